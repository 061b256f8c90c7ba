"""The record of a search as tables: every trial, the Pareto front, the funnel.

Values are in the unit their column names; a metric that a trial did not report is NaN.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from nas_ray.objective import Constraint, Objective
from nas_ray.pareto import non_dominated
from nas_ray.record import Record, Trial
from nas_ray.report.settings import constraints_of, objectives_of

#: The origin that marks the network to beat.
_BASELINE = "baseline"
_FIRST = ("trial", "origin", "status", "epoch")
_LAST = ("checkpoint", "config")
_CHANGE = "_relative_change"


def trials_table(record: Record) -> pd.DataFrame:
    """One row a trial, in the order they started.

    Columns: trial, origin, status, epoch, every metric and cost, test metrics as they were reported
    (with `test_` before one that has the name of another metric), checkpoint (an absolute path, a
    URI without its query, or empty) and config (a dict). Raises RecordError for a checkpoint
    outside the record.
    """
    trials = tuple(record.trials().values())
    metrics = _metric_names(record, trials)
    tests = _test_columns(trials, metrics)
    rows = [_row(record, trial, tests) for trial in trials]
    numbers = list(dict.fromkeys([*metrics, *tests.values()]))
    table = pd.DataFrame(rows, columns=[*_FIRST, *numbers, *_LAST])
    return table.astype({"trial": int, "epoch": int, **dict.fromkeys(numbers, float)})


def front_table(record: Record) -> pd.DataFrame:
    """The completed trials that keep the constraints and that no other one dominates.

    The baseline is a member only if it does both. Sorted by the first minimised objective, or by
    the first one, best first. Besides the columns of `trials_table`, each objective and each cost
    has a `..._relative_change`: -0.43 is 43 % less than the baseline. It is NaN without a baseline,
    and for what a baseline has not reported because it has not (yet) been trained in full.
    """
    objectives = objectives_of(record)
    table = trials_table(record)
    final = table[final_trials(record, table)]
    points = np.column_stack([o.minimised(1.0) * final[o.metric].to_numpy() for o in objectives])
    first = next((o for o in objectives if o.direction == "min"), objectives[0])
    rising = first.direction == "min"
    front = final[non_dominated(points)].sort_values(first.metric, ascending=rising, kind="stable")
    front = front.reset_index(drop=True)
    reference = _reference(record)
    for name in dict.fromkeys([*(o.metric for o in objectives), *cost_names(record)]):
        baseline = reference.get(name, math.nan) or math.nan
        front[name + _CHANGE] = (front[name] - baseline) / abs(baseline)
    return front


def final_trials(record: Record, table: pd.DataFrame) -> "pd.Series[bool]":
    """Which rows of `trials_table` may be on the front: trained in full, within the constraints."""
    objectives = [o.metric for o in objectives_of(record)]
    final: pd.Series[bool] = (table["status"] == "completed") & (table["epoch"] > 0)
    final &= np.isfinite(table[objectives].to_numpy()).all(axis=1)
    for constraint in constraints_of(record):
        final &= table[constraint.metric].map(constraint.violation).eq(0)
    return final


def change_column(metric: str) -> str:
    """The column of `front_table` with the change of `metric` relative to the baseline."""
    return metric + _CHANGE


def tested_column(table: pd.DataFrame, metric: str) -> str:
    """The column with `metric` on test data, whatever prefix validation has; empty if none."""
    names = (f"test_{metric}", f"test_{metric.removeprefix('val_')}")
    return next((name for name in names if name in table.columns), "")


def baseline_row(record: Record) -> "pd.Series[Any] | None":
    """The row of the baseline in `trials_table`, whatever became of it; None before it starts."""
    table = trials_table(record)
    rows = table[table["origin"] == _BASELINE]
    return rows.iloc[0] if len(rows) else None


def cost_names(record: Record) -> list[str]:
    """What was known of the trials before training, in the order it was told."""
    return _distinct(trial.costs for trial in record.trials().values())


@dataclass(frozen=True, kw_only=True)
class Funnel:
    """How many networks came how far.

    The pre-filter costed, could not build, found feasible and scored; of the trials started for
    training (the baseline among them), each is completed, stopped early, failed or still running.
    """

    costed: int
    unbuildable: int
    feasible: int
    scored: int
    trained: int
    completed: int
    stopped_early: int
    failed: int
    running: int


def funnel(record: Record) -> Funnel:
    """How many networks came how far in the search."""
    batches = record.batches()
    statuses = [trial.status for trial in record.trials().values()]
    return Funnel(
        costed=sum(batch.costed for batch in batches),
        unbuildable=sum(sum(batch.unbuildable.values()) for batch in batches),
        feasible=sum(batch.feasible for batch in batches),
        scored=sum(batch.scored for batch in batches),
        trained=len(statuses),
        completed=statuses.count("completed"),
        stopped_early=statuses.count("stopped"),
        failed=statuses.count("failed"),
        running=statuses.count("running"),
    )


def _row(record: Record, trial: Trial, tests: dict[str, str]) -> dict[str, object]:
    return {
        **trial.metrics,
        **{tests[name]: value for name, value in trial.test.items()},
        "trial": trial.number,
        "origin": trial.origin,
        "status": trial.status,
        "epoch": trial.epoch,
        "checkpoint": "" if (place := record.checkpoint(trial)) is None else place.name,
        "config": dict(trial.config),
    }


def _metric_names(record: Record, trials: Sequence[Trial]) -> list[str]:
    """What was searched by comes first and is always there; the rest as it was told."""
    searched: tuple[Constraint | Objective, ...] = (*objectives_of(record), *constraints_of(record))
    told = _distinct(trial.metrics for trial in trials)
    names = dict.fromkeys([*(s.metric for s in searched), *told])
    return [name for name in names if name not in (*_FIRST, *_LAST)]


def _test_columns(trials: Sequence[Trial], metrics: Sequence[str]) -> dict[str, str]:
    taken = {*metrics, *_FIRST, *_LAST}
    names = _distinct(trial.test for trial in trials)
    return {name: f"test_{name}" if name in taken else name for name in names}


def _reference(record: Record) -> dict[str, float]:
    """What the baseline has to compare with: costs, and metrics once it is trained in full."""
    for trial in record.trials().values():
        if trial.origin == _BASELINE:
            return trial.metrics if trial.status == "completed" else dict(trial.costs)
    return {}


def _distinct(tables: Iterable[Iterable[str]]) -> list[str]:
    return list(dict.fromkeys(name for names in tables for name in names))
