"""`SearchResult`: what a search found, for programs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nas_ray.errors import SearchError, nearest
from nas_ray.objective import Constraint, Objective
from nas_ray.record import Record
from nas_ray.report.page import write_page
from nas_ray.report.settings import objectives_of
from nas_ray.report.tables import (
    baseline_row,
    cost_names,
    final_trials,
    front_table,
    tested_column,
    trials_table,
)


@dataclass(frozen=True)
class SearchResult:
    """A record, read as tables each time it is asked, so a running search can be watched."""

    record: Record

    @property
    def front(self) -> pd.DataFrame:
        """The best trade-offs, one row a network; see `nas_ray.report.tables.front_table`."""
        return front_table(self.record)

    @property
    def trials(self) -> pd.DataFrame:
        """Every trial, one row each; see `nas_ray.report.tables.trials_table`."""
        return trials_table(self.record)

    @property
    def baseline(self) -> "pd.Series[Any] | None":
        """The row of the network to beat, whatever became of it; None before it starts."""
        return baseline_row(self.record)

    def best(self, metric: str, **bounds: float) -> "pd.Series[Any]":
        """The completed trial with the best `metric`, as a row of `trials`.

        `bounds` name further metrics: an upper bound for what is minimised (costs too), a lower one
        for what is maximised. The search's own constraints hold as well; the other objectives break
        ties. Raises SearchError for a metric without a direction, and where nothing qualifies.
        """
        table = self.trials
        known = _directed(self.record, table)
        wanted = _find(metric, known)
        limits = [_limit(_find(name, known), bound) for name, bound in bounds.items()]
        final = table[final_trials(self.record, table) & np.isfinite(table[metric])]
        within = np.logical_and.reduce(
            [np.ones(len(final), dtype=bool), *(_excess(final, one) == 0 for one in limits)]
        )
        if not within.any():
            raise SearchError(_nothing_qualifies(table, final, limits))
        order = [wanted, *objectives_of(self.record)]
        keys = [o.minimised(1.0) * final[within][o.metric].to_numpy() for o in order]
        row: pd.Series[Any] = final[within].iloc[int(np.lexsort(keys[::-1])[0])]
        return row

    def report(self, path: str | Path) -> None:
        """Write the search as one self-contained HTML page; RecordError where it cannot be."""
        write_page(self.record, path)


def _directed(record: Record, table: pd.DataFrame) -> dict[str, Objective]:
    """Every metric it is known of which way is better: objectives, their test values, costs."""
    objectives = objectives_of(record)
    found = {name: Objective(name, "min") for name in cost_names(record)}
    for objective in objectives:
        name = tested_column(table, objective.metric)
        if name:
            found[name] = Objective(name, objective.direction)
    return {**found, **{objective.metric: objective for objective in objectives}}


def _find(metric: str, known: dict[str, Objective]) -> Objective:
    if metric not in known:
        raise SearchError(
            f"a metric to choose by must be an objective, its value on test data, or a cost, but "
            f"got {metric!r}; {nearest(metric, known)}"
        )
    return known[metric]


def _limit(objective: Objective, bound: float) -> Constraint:
    if objective.direction == "min":
        return Constraint(objective.metric, upper=bound)
    return Constraint(objective.metric, lower=bound)


def _excess(table: pd.DataFrame, limit: Constraint) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """By how much each row breaks `limit`, as a share of the bound."""
    bound = limit.upper if np.isfinite(limit.upper) else limit.lower
    broken = np.array([limit.violation(value) for value in table[limit.metric]], dtype=float)
    return broken / (abs(bound) or 1.0)


def _nothing_qualifies(
    table: pd.DataFrame, final: pd.DataFrame, limits: Sequence[Constraint]
) -> str:
    if final.empty:
        counts = table["status"].value_counts()
        states = (
            ", ".join(f"{count} {status}" for status, count in counts.items()) or "none started"
        )
        return (
            "no trial has completed within the constraints of the search yet "
            f"(trials: {states}). The report lists the failures, `trials` has every row."
        )
    row = final.iloc[int(np.argmin(np.sum([_excess(final, one) for one in limits], axis=0)))]
    has = ", ".join(f"{one.metric} {row[one.metric]:.4g}" for one in limits)
    return (
        f"no completed trial meets {' and '.join(map(str, limits))}: the nearest is trial "
        f"{row['trial']} with {has}. Loosen the bound or search on."
    )
