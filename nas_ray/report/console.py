"""A search in the terminal: the Pareto table and one line of state."""

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
        caption=Text(status_line(record) + note),
        box=SIMPLE_HEAD,
    )
    for position, name in enumerate(cells.head):
        table.add_column(Text(name), justify="right" if position else "left", overflow="fold")
    if cells.baseline is not None:
        table.add_row(*map(Text, cells.baseline), style="dim", end_section=True)
    for row in cells.front:
        table.add_row(*map(Text, row))
    return table


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
