"""The Pareto front as a figure."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nas_ray.objective import Constraint, Objective
from nas_ray.pareto import non_dominated
from nas_ray.record import Record
from nas_ray.report.canvas import BASELINE, FRONT, OTHER, canvas
from nas_ray.report.settings import constraints_of, objectives_of
from nas_ray.report.tables import front_table, tested_column, trials_table
from nas_ray.report.units import Quantity, quantity

#: How far beyond the points, as a share of their span, a bound is still worth showing.
_NEAR = 0.5


@dataclass(frozen=True, kw_only=True)
class _Plane:
    """What the two axes show; `x` is None for a lone objective, drawn over the trial number."""

    x: Objective | None
    y: Objective

    @property
    def across(self) -> Quantity:
        """What lies along x."""
        return quantity(self.x.metric) if self.x else Quantity(title="trial, in order of start")

    @property
    def up(self) -> Quantity:
        """What lies along y."""
        return quantity(self.y.metric)


def front_plot(record: Record) -> Figure:
    """Completed trials, the front and the baseline in the plane of two objectives.

    The first minimised objective lies along x and the first maximised one along y; without one of
    either kind the first two objectives do, and a lone objective lies over the trial number.
    """
    plane = _plane(objectives_of(record))
    trials, front = _points(trials_table(record), plane), _points(front_table(record), plane)
    completed = trials[trials["status"] == "completed"]
    baseline = completed["origin"] == "baseline"
    with canvas(height=4.6, nothing="No trial has completed yet.") as (figure, axes):
        _draw_completed(axes, completed[~baseline & ~completed["trial"].isin(front["trial"])])
        _draw_front(axes, plane, front)
        _draw_test(axes, front.dropna(subset="test"), plane)
        _draw_baseline(axes, completed[baseline])
        _draw_stopped(axes, trials[trials["status"] == "stopped"])
        for constraint in constraints_of(record) if axes.has_data() else ():
            _shade_forbidden(axes, plane, constraint)
        axes.set_xlabel(plane.across.label)
        axes.set_ylabel(plane.up.label)
    return figure


def _plane(objectives: tuple[Objective, ...]) -> _Plane:
    rising = [o for o in objectives if o.direction == "max"]
    falling = [o for o in objectives if o.direction == "min"]
    if rising and falling:
        return _Plane(x=falling[0], y=rising[0])
    if len(objectives) > 1:
        return _Plane(x=objectives[0], y=objectives[1])
    return _Plane(x=None, y=objectives[0])


def _points(table: pd.DataFrame, plane: _Plane) -> pd.DataFrame:
    """Rows with both coordinates, as columns x, y and test (NaN if untested) in units shown."""
    test = tested_column(table, plane.y.metric)
    points = table[["trial", "origin", "status"]].assign(
        x=table[plane.x.metric if plane.x else "trial"] * plane.across.scale,
        y=table[plane.y.metric] * plane.up.scale,
        test=table[test] * plane.up.scale if test else math.nan,
    )
    return points.replace([math.inf, -math.inf], math.nan).dropna(subset=["x", "y"])


def _draw_completed(axes: Axes, points: pd.DataFrame) -> None:
    if len(points):
        axes.scatter(points["x"], points["y"], s=24, color=OTHER, lw=0, zorder=2, label="completed")


def _draw_front(axes: Axes, plane: _Plane, points: pd.DataFrame) -> None:
    if points.empty:
        return
    if plane.x:
        # With three objectives some members are dominated in this plane: no step goes there.
        minimised = [plane.x.minimised(1.0) * points["x"], plane.y.minimised(1.0) * points["y"]]
        steps = points[non_dominated(np.column_stack(minimised))].sort_values("x")
        # What is reached at x holds on the side where x is worse.
        side = "steps-post" if plane.x.direction == "min" else "steps-pre"
        axes.plot(steps["x"], steps["y"], drawstyle=side, color=FRONT, lw=1.6, zorder=3)
    axes.scatter(points["x"], points["y"], s=46, color=FRONT, lw=0, zorder=5, label="front")
    for number, x, y in zip(points["trial"], points["x"], points["y"], strict=True):
        axes.annotate(
            str(number),
            (x, y),
            (-4, 5),
            textcoords="offset points",
            ha="right",
            fontsize=8,
        )


def _draw_test(axes: Axes, points: pd.DataFrame, plane: _Plane) -> None:
    if len(points):
        x, y, label = points["x"], points["test"], f"front, test {plane.up.title}"
        axes.vlines(x, y, points["y"], color=FRONT, lw=0.8, linestyles="dotted", zorder=3)
        axes.scatter(x, y, s=40, facecolors="none", edgecolors=FRONT, zorder=4, label=label)


def _draw_baseline(axes: Axes, points: pd.DataFrame) -> None:
    for x, y in points[["x", "y"]].to_numpy():
        axes.scatter(x, y, s=75, marker="D", color=BASELINE, lw=0, zorder=4, label="baseline")
        axes.annotate(
            "baseline", (x, y), (0, -16), textcoords="offset points", ha="center", color=BASELINE
        )


def _draw_stopped(axes: Axes, points: pd.DataFrame) -> None:
    """Trials stopped early, whose first epochs may at most double the height of the view."""
    if points.empty:
        return
    y, label = points["y"], "stopped early"
    if axes.has_data():
        low, high = axes.get_ylim()
        span = high - low
        low = min(low, max(low - span / 2, y.min() - span / 20))
        high = max(high, min(high + span / 2, y.max() + span / 20))
        axes.set_ylim(low, high)
        hidden = int(((y < low) | (y > high)).sum())
        label += f" ({hidden} out of view)" if hidden else ""
    axes.scatter(points["x"], y, s=20, marker="x", color=OTHER, lw=0.9, alpha=0.7, label=label)


def _shade_forbidden(axes: Axes, plane: _Plane, constraint: Constraint) -> None:
    """Hatch what `constraint` forbids, where that is near enough to be seen."""
    across = plane.x is not None and constraint.metric == plane.x.metric
    if not across and constraint.metric != plane.y.metric:
        return
    low, high = axes.get_xlim() if across else axes.get_ylim()
    near, margin = _NEAR * (high - low), 0.06 * (high - low)
    upper, lower = (
        b * quantity(constraint.metric).scale for b in (constraint.upper, constraint.lower)
    )
    forbidden = []
    if upper < high + near:
        high = max(high, upper + margin)
        forbidden.append((upper, high))
    if lower > low - near:
        low = min(low, lower - margin)
        forbidden.append((low, lower))
    for begin, end in forbidden:
        draw = axes.axvspan if across else axes.axhspan
        draw(
            begin,
            end,
            facecolor="none",
            edgecolor=OTHER,
            hatch="///",
            lw=0,
            alpha=0.55,
            zorder=0,
            label=f"breaks {constraint}",
        )
    (axes.set_xlim if across else axes.set_ylim)(low, high)
