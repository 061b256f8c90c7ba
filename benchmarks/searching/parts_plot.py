"""Hypervolume against trials and against wall time: a line a seed, a colour a method."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

#: By method and seed: after each trial the seconds and the share of hypervolume.
Shares = Mapping[str, Sequence[Sequence[tuple[float, float]]]]


def parts_plot(shares: Shares, to: Path) -> None:
    """Two panels over the same shares; thin lines are seeds, thick ones their medians."""
    figure = Figure(figsize=(9.5, 4), layout="constrained")
    by_trials, by_time = figure.subplots(1, 2, sharey=True)
    last = max(run[-1][0] for of_method in shares.values() for run in of_method)
    clock = np.linspace(0, last, 200)
    for n, (method, of_method) in enumerate(shares.items()):
        colour = f"C{n}"
        trials = min(len(run) for run in of_method)
        counted = np.array([[share for _, share in run[:trials]] for run in of_method])
        timed = np.array([_over(clock, run) for run in of_method])
        for axis, across, values in (
            (by_trials, np.arange(1, trials + 1), counted),
            (by_time, clock, timed),
        ):
            # What is missing: on this axis the last per cent shows too.
            axis.plot(across, 1 - values.T, color=colour, linewidth=0.6, alpha=0.5)
            axis.plot(across, 1 - np.median(values, axis=0), color=colour, label=method)
    by_trials.set(
        yscale="log",
        xlabel="trials, of any length",
        ylabel="hypervolume missing, as a share",
    )
    by_time.set(xlabel="wall time (s)")
    figure.legend(*by_trials.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    with mpl.rc_context({"svg.hashsalt": "nas_ray"}):
        figure.savefig(to, metadata={"Date": None})


def _over(clock: np.ndarray, run: Sequence[tuple[float, float]]) -> np.ndarray:
    seconds, shares = np.array(run, dtype=float).T
    last = np.searchsorted(seconds, clock, side="right") - 1
    # A search that is over stays where it ended.
    return np.where(last >= 0, shares[last], 0.0)
