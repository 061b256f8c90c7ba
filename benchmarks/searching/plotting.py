"""Hypervolume against queries: one panel a task, one line a method."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

#: Shares by task, method and seed, after 10, 20, ... queries.
Shares = Mapping[str, Mapping[str, Sequence[Sequence[float]]]]


def plot(shares: Shares, to: Path) -> None:
    """Medians over the seeds, with a band between the quartiles."""
    columns = min(3, len(shares))
    rows = -(-len(shares) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.4 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat[len(shares) :]:
        axis.set_axis_off()
    for axis, (task, methods) in zip(axes.flat, shares.items(), strict=False):
        for method, runs in methods.items():
            low, middle, high = np.quantile(np.array(runs), [0.25, 0.5, 0.75], axis=0)
            queries = 10 * np.arange(1, len(middle) + 1)
            # What is left to the exact front: on this axis the last per cent shows too.
            axis.plot(queries, 1 - middle, label=method)
            axis.fill_between(queries, 1 - high, 1 - low, alpha=0.15)
        axis.set(title=task, yscale="log", xlabel="networks trained")
    axes[0][0].set_ylabel("hypervolume missing, as a share")
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    with mpl.rc_context({"svg.hashsalt": "nas_ray"}):
        figure.savefig(to, metadata={"Date": None})
