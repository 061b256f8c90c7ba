"""What networks of a space consist of, as tables over few choices.

A position is a module path (and which time it occurs). For each position one table says which
skeleton stands there, and for each skeleton there one table for each of its numbers. A table has
an entry for each combination of the values of the choices it depends on; only entries seen in a
network are ever used.

Axes: `N` configs, `B` networks seen, `K` choices, `P` positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas_ray.estimate.codes import Codes, combined
from nas_ray.estimate.dependence import Values, smallest_set
from nas_ray.estimate.skeleton import Position

#: Skeleton and numbers of a piece.
Part = tuple[str, tuple[int, ...]]
#: The pieces of a network by position.
Network = dict[Position, Part]

_LARGEST_TABLE = 1 << 20


class TooWideError(Exception):
    """A value depends on so many choices that a table of it would never be filled."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """`values[labels[entry]]` for each entry; `seen` counts the networks behind an entry."""

    choices: tuple[int, ...]
    values: Values
    labels: NDArray[np.int32]
    seen: NDArray[np.int32]

    def entries(self, codes: Codes, sizes: Codes) -> NDArray[np.int64]:
        """`(N,)`: the entry of each config."""
        return combined(codes, sizes, self.choices)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A skeleton at a position; number `q` of it is in `tables[place[q]]`."""

    skeleton: str
    tables: tuple[Table, ...]
    place: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class PositionTables:
    """Which of `layouts` stands at a position; label -1 is none."""

    which: Table
    layouts: tuple[Layout, ...]


class Learner:
    """Makes tables, and remembers which choices explained which values."""

    def __init__(self) -> None:
        self._explained: dict[tuple[bytes, bytes], tuple[int, ...]] = {}
        self._last: dict[object, tuple[int, ...]] = {}

    def position_tables(
        self, codes: Codes, sizes: Codes, networks: Sequence[Network]
    ) -> dict[Position, PositionTables]:
        """The tables of everything in `networks`, whose configs are `codes` `(K, B)`.

        Raises NoFunctionError where a network is no function of its config, TooWideError where a
        table would be too large.
        """
        positions = dict.fromkeys(p for network in networks for p in network)
        return {p: self._position(p, codes, sizes, networks) for p in positions}

    def _position(
        self, position: Position, codes: Codes, sizes: Codes, networks: Sequence[Network]
    ) -> PositionTables:
        rows: dict[str, list[int]] = {}
        for n, network in enumerate(networks):
            if position in network:
                rows.setdefault(network[position][0], []).append(n)
        which = np.full(len(networks), -1, dtype=np.int64)
        layouts = []
        for label, (skeleton, members) in enumerate(rows.items()):
            which[members] = label
            numbers = np.array([networks[n][position][1] for n in members], dtype=np.int64)
            layouts.append(self._layout((position, skeleton), codes[:, members], sizes, numbers))
        table = self._table(position, codes, sizes, which)
        return PositionTables(which=table, layouts=tuple(layouts))

    def _layout(
        self, key: tuple[Position, str], codes: Codes, sizes: Codes, numbers: Values
    ) -> Layout:
        columns: dict[bytes, int] = {}
        place, tables = [], []
        for q in range(numbers.shape[1]):
            column = np.ascontiguousarray(numbers[:, q])
            text = column.tobytes()
            if text not in columns:
                columns[text] = len(columns)
                tables.append(self._table((*key, q), codes, sizes, column))
            place.append(columns[text])
        return Layout(skeleton=key[1], tables=tuple(tables), place=tuple(place))

    def _table(self, key: object, codes: Codes, sizes: Codes, column: Values) -> Table:
        values, labels = np.unique(column, return_inverse=True)
        choices = self._last.get(key, ())
        if not _explains(codes, sizes, choices, labels):
            memory = (codes.tobytes(), labels.tobytes())
            if memory not in self._explained:
                self._explained[memory] = smallest_set(codes, labels)
            choices = self._last[key] = self._explained[memory]
        size = int(np.prod(sizes[list(choices)], dtype=np.int64))
        if size > _LARGEST_TABLE:
            raise TooWideError
        entries = combined(codes, sizes, choices)
        table = np.zeros(size, dtype=np.int32)
        table[entries] = labels
        seen = np.bincount(entries, minlength=size).astype(np.int32)
        return Table(choices=choices, values=values, labels=table, seen=seen)


def _explains(codes: Codes, sizes: Codes, choices: Sequence[int], labels: Values) -> bool:
    """Whether `labels` `(B,)` is a function of `choices`."""
    if not choices:
        return len(labels) == 0 or not (labels != labels[0]).any()
    both = combined(codes, sizes, choices)
    return len(np.unique(both)) == len(np.unique(both * (int(labels.max()) + 1) + labels))
