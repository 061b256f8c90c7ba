"""The learning curves of a search as a figure."""

from collections.abc import Mapping
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nas_ray.record import Record, Trial
from nas_ray.report.canvas import BASELINE, FRONT, OTHER, canvas
from nas_ray.report.settings import objectives_of
from nas_ray.report.tables import front_table
from nas_ray.report.units import quantity


@dataclass(frozen=True, kw_only=True)
class _Pen:
    """How a kind of trial is drawn; kinds further down cover those above."""

    label: str
    color: str
    width: float
    alpha: float = 1.0
    dashes: str = "-"
    end: str = "o"


_PENS: Mapping[str, _Pen] = {
    "unfinished": _Pen(label="not completed", color=OTHER, width=0.8, alpha=0.6, end="x"),
    "completed": _Pen(label="completed", color=OTHER, width=1.5),
    "front": _Pen(label="front", color=FRONT, width=1.8),
    "baseline": _Pen(label="baseline", color=BASELINE, width=1.8, dashes="--", end="D"),
}


def curves_plot(record: Record) -> Figure:
    """The first maximised objective (or else the first) over the epochs, one line a trial."""
    objectives = objectives_of(record)
    metric = next((o for o in objectives if o.direction == "max"), objectives[0]).metric
    front = set(front_table(record)["trial"])
    with canvas(height=3.8, nothing="No trial has reported an epoch yet.") as (figure, axes):
        trials = [(_kind(trial, front), trial) for trial in record.trials().values()]
        for kind, pen in _PENS.items():
            for drawn_as, trial in trials:
                if drawn_as == kind:
                    _draw(axes, pen, trial, metric)
        axes.set_xlabel("epoch")
        axes.set_ylabel(quantity(metric).label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def _kind(trial: Trial, front: set[int]) -> str:
    if trial.origin == "baseline":
        return "baseline"
    if trial.number in front:
        return "front"
    return "completed" if trial.status == "completed" else "unfinished"


def _draw(axes: Axes, pen: _Pen, trial: Trial, metric: str) -> None:
    scale = quantity(metric).scale
    points = {e: scale * m[metric] for e, m in sorted(trial.curve.items()) if metric in m}
    if points:
        axes.plot(
            list(points),
            list(points.values()),
            color=pen.color,
            linewidth=pen.width,
            alpha=pen.alpha,
            linestyle=pen.dashes,
            marker=pen.end,
            markersize=4,
            markevery=[len(points) - 1],
            label=pen.label,
        )
