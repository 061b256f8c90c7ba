"""The front beside the baseline, as text: one table for the terminal and the page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from nas_ray.estimate.cost import RELIABILITY
from nas_ray.record import Record
from nas_ray.report.reliability import reliability_columns
from nas_ray.report.settings import objectives_of
from nas_ray.report.tables import (
    baseline_row,
    change_column,
    cost_names,
    front_table,
    tested_column,
)
from nas_ray.report.units import percent, quantity

#: Costs worth a column although nobody searched by them.
_ALWAYS = ("latency_ms", "peak_memory_bytes", "weight_bytes")


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Cells of a table: its head, the baseline's row (None before it starts), the front's rows."""

    head: tuple[str, ...]
    baseline: tuple[str, ...] | None
    front: tuple[tuple[str, ...], ...]


def compare_front(record: Record) -> Comparison:
    """The front against the baseline: objectives, their test values, the costs that matter.

    Objectives and costs are followed by their change relative to the baseline. What says how far
    to trust the costs has a column where it is above 0 for any of them.
    """
    front = front_table(record)
    baseline = baseline_row(record)
    columns = _columns(record, front)
    return Comparison(
        head=("trial", *(_head(record, name) for name in columns)),
        baseline=None if baseline is None else _baseline_cells(baseline, columns),
        front=tuple(_front_cells(row, columns) for _, row in front.iterrows()),
    )


def _columns(record: Record, front: pd.DataFrame) -> list[str]:
    objectives = objectives_of(record)
    names: list[str] = []
    for objective in sorted(objectives, key=lambda o: o.direction == "min"):
        names += [objective.metric, tested_column(front, objective.metric)]
    costs = [name for name in _ALWAYS if name in cost_names(record)]
    doubts = reliability_columns(record)
    return [name for name in dict.fromkeys([*names, *costs, *doubts]) if name]


def _head(record: Record, column: str) -> str:
    trained = {o.metric for o in objectives_of(record)} - set(cost_names(record))
    label = quantity(column).label
    return f"{label} (validation)" if column in trained else label


def _baseline_cells(row: "pd.Series[Any]", columns: Sequence[str]) -> tuple[str, ...]:
    state = "" if row["status"] == "completed" else f" ({row['status']})"
    return (f"baseline{state}", *(quantity(c).text(row[c]) for c in columns))


def _front_cells(row: "pd.Series[Any]", columns: Sequence[str]) -> tuple[str, ...]:
    return (str(row["trial"]), *(_cell(row, name) for name in columns))


def _cell(row: "pd.Series[Any]", name: str) -> str:
    text = quantity(name).text(row[name])
    change = None if name in RELIABILITY else row.get(change_column(name))
    return text if change is None or pd.isna(change) else f"{text} ({percent(change)})"
