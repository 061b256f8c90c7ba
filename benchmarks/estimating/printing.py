"""Figures as tables for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from estimating.figures import Figures

#: Heading, key of `figures.accuracy`, and format of a column.
_COLUMNS = (
    ("n", "n", "{}"),
    ("MAPE", "mape", "{:.1%}"),
    ("± s.e.", "mape_standard_error", "{:.1%}"),
    ("median", "median", "{:.1%}"),
    ("bias", "bias", "{:+.1%}"),
    ("in 3 %", "within_3_percent", "{:.1%}"),
    ("in 10 %", "within_10_percent", "{:.1%}"),
    ("Spearman", "spearman", "{:.4f}"),
    ("< upper", "below_upper", "{:.1%}"),
    ("worst", "worst", "{:+.1%}"),
)
_FEW = ("mape", "within_10_percent", "spearman")


def print_accuracy(console: Console, title: str, rows: Mapping[str, Figures]) -> None:
    """A row a set of graphs."""
    table = Table("", *(heading for heading, _, _ in _COLUMNS), "which", title=title)
    for name, found in rows.items():
        cells = (cell(found, key, form) for _, key, form in _COLUMNS)
        table.add_row(name, *cells, found.get("worst_name", ""))
    console.print(table)


def print_methods(console: Console, title: str, label: str, rows: Sequence[Figures]) -> None:
    """A row a method or size of the table; a few columns for each set of graphs."""
    sets = [name for name, value in rows[0].items() if isinstance(value, dict)]
    few = [column for column in _COLUMNS if column[1] in _FEW]
    headings = [f"{name}\n{heading}" for name in sets for heading, _, _ in few]
    table = Table(*([label] if label == "rows" else [label, "rows"]), *headings, title=title)
    for row in rows:
        first = [str(row[key] or "-") for key in dict.fromkeys((label, "rows"))]
        cells = (cell(row.get(name, {}), key, form) for name in sets for _, key, form in few)
        table.add_row(*first, *cells)
    console.print(table)


def print_networks(console: Console, title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """A row a network: latency and memory, estimated and compiled."""
    table = Table(
        *("", "estimate ms", "compiler ms", "error", "upper ms"),
        *("estimate KiB", "compiler KiB", "error"),
        title=title,
    )
    for row in rows:
        latency, memory = row["latency_ms"], row["peak_memory_bytes"]
        table.add_row(
            row["name"],
            *(f"{latency['estimate']:.3f}", f"{latency['compiler']:.3f}"),
            f"{latency['estimate'] / latency['compiler'] - 1:+.1%}",
            f"{latency['upper']:.3f}",
            *(f"{memory['estimate'] / 1024:.0f}", f"{memory['compiler'] / 1024:.0f}"),
            f"{memory['estimate'] / memory['compiler'] - 1:+.1%}",
        )
    console.print(table)


def print_times(console: Console, title: str, rows: Mapping[str, Figures], unit: str = "s") -> None:
    """A row a step: median and spread."""
    table = Table("", f"median {unit}", "quartiles", "lowest - highest", "n", title=title)
    for name, one in rows.items():
        table.add_row(
            name,
            f"{one['median']:.4g}",
            f"{one['quartile_1']:.4g} - {one['quartile_3']:.4g}",
            f"{one['lowest']:.4g} - {one['highest']:.4g}",
            str(one["n"]),
        )
    console.print(table)


def cell(found: Figures, key: str, form: str) -> str:
    """One figure, or a dash where there is none."""
    value = found.get(key)
    return "-" if value is None else form.format(value)
