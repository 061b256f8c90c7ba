"""Which networks of a record have estimates that are in good part guesses."""

from dataclasses import dataclass

import pandas as pd

from nas_ray.estimate.cost import RELIABILITY
from nas_ray.record import Record
from nas_ray.report.tables import baseline_row, front_table, trials_table

#: A network with more than this has estimates that are in good part a guess.
_MOST = {"outside_share": 0.1, "host_operators": 0}


@dataclass(frozen=True, kw_only=True)
class Doubtful:
    """How many networks have estimates that are in good part guesses.

    These have more than 10 % of their latency outside the table of the device, or operators that
    the host processor runs. `trained` counts all trials, `front` those on the front; a record that
    does not say counts none.
    """

    trained: int
    front: int


def doubtful(record: Record) -> Doubtful:
    """The networks of `record` with such estimates."""
    return Doubtful(trained=_count(trials_table(record)), front=_count(front_table(record)))


def doubtful_text(found: Doubtful, *, trained: int, front: int) -> str:
    """The line about `found` among so many `trained` networks and `front` members; empty for 0."""
    if not found.trained:
        return ""
    return (
        f"latency in good part a guess: {found.trained} of {trained} trained networks, "
        f"{found.front} of {front} on the front (more than 10 % of it outside the table, "
        "or operators on the host processor)"
    )


def reliability_columns(record: Record) -> list[str]:
    """Those of `RELIABILITY` that are above 0 for a network of the front or for the baseline."""
    front, baseline = front_table(record), baseline_row(record)
    rows = front if baseline is None else pd.concat([front, baseline.to_frame().T])
    return [name for name in RELIABILITY if name in rows and (rows[name] > 0).any()]


def _count(table: pd.DataFrame) -> int:
    """A number that a trial has not reported is NaN, and above nothing."""
    known = {name: most for name, most in _MOST.items() if name in table}
    return int((table[list(known)] > pd.Series(known)).any(axis=1).sum()) if known else 0
