"""A search in the terminal: the Pareto table and one line of state."""

import textwrap

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from nas_ray.record import Record
from nas_ray.report.comparison import compare_front
from nas_ray.report.settings import settings_of
from nas_ray.report.tables import front_table, funnel


def pareto_table(record: Record) -> Table:
    """The front below the baseline, with changes relative to it; fits 100 columns.

    Everything is plain text to rich: names and values of a record are no markup.
    """
    cells = compare_front(record)
    settings = settings_of(record)
    device = f" on {settings.device}" if settings.device else ""
    note = f"\ncosts on the device: {settings.device_note}" if settings.device_note else ""
    table = Table(
        title=Text(f"Pareto front of {settings.space or 'the search'}{device}"),
        caption=Text(status_line(record).replace(" | ", "\n", 1) + note),
        box=SIMPLE_HEAD,
    )
    rows = [*cells.front, *([] if cells.baseline is None else [cells.baseline])]
    for position, name in enumerate(cells.head):
        widest = max((len(row[position]) for row in rows), default=len(name))
        head = Text(_broken(name, widest))
        table.add_column(head, justify="right" if position else "left", overflow="fold")
    if cells.baseline is not None:
        table.add_row(*map(Text, cells.baseline), style="dim", end_section=True)
    for row in cells.front:
        table.add_row(*map(Text, row))
    return table


def _broken(name: str, width: int) -> str:
    """A head on as many lines as keep its column as narrow as its values, so that none is cut."""
    return "\n".join(textwrap.wrap(name, max(width, 1), break_long_words=False))


def status_line(record: Record) -> str:
    """Trials by state, how many candidates were feasible, and the size of the front."""
    counts = funnel(record)
    screened = (
        f"{counts.feasible} of {counts.costed} candidates feasible | " if counts.costed else ""
    )
    return (
        f"{counts.trained} trials: {counts.completed} completed, "
        f"{counts.stopped_early} stopped early, {counts.failed} failed, "
        f"{counts.running} running | {screened}front: {len(front_table(record))}"
    )
