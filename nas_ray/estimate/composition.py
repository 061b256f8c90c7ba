"""Look up what networks consist of in learned tables.

Axes: `N` configs, `K` choices, `P` positions, `L` lines as in `covering`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas_ray.estimate.codes import Codes
from nas_ray.estimate.covering import Lines, occurrences
from nas_ray.estimate.skeleton import Position
from nas_ray.estimate.tables import Layout, Network, Part, PositionTables, Table

#: A skeleton is rare at a position where fewer networks have shown it.
_RARE = 8
_SUPPORT = 3

Rows = NDArray[np.intp]
Tables = Mapping[Position, PositionTables]


@dataclass(frozen=True, kw_only=True)
class Composition:
    """Networks as rows of `ids` `(N, P)` into `parts`; -1 where nothing stands at a position.

    Positions are in the order of the tables, that of execution. `missing` lists configs with an
    entry that no network has shown, one for each such entry; with any, `ids` mean nothing.
    """

    positions: tuple[Position, ...]
    ids: NDArray[np.int32]
    parts: tuple[Part, ...]
    missing: tuple[int, ...]

    def network(self, row: int) -> Network:
        """One row in full."""
        pairs = zip(self.positions, self.ids[row], strict=True)
        return {position: self.parts[i] for position, i in pairs if i >= 0}


def compose(tables: Tables, codes: Codes, sizes: Codes) -> Composition:
    """What the networks of `codes` `(K, N)` consist of."""
    ids = np.full((codes.shape[1], len(tables)), -1, dtype=np.int32)
    numbering: dict[Part, int] = {}
    missing: list[int] = []
    for p, position in enumerate(tables.values()):
        everywhere = np.arange(codes.shape[1])
        missing += _unseen(position.which, position.which.entries(codes, sizes), everywhere)
        for layout, rows in _standing(position, codes, sizes):
            found, places, unseen = _parts(layout, codes[:, rows], sizes, rows)
            missing += unseen
            numbers = [numbering.setdefault(part, len(numbering)) for part in found]
            ids[rows, p] = np.array(numbers, dtype=np.int32)[places]
    return Composition(
        positions=tuple(tables), ids=ids, parts=tuple(numbering), missing=tuple(set(missing))
    )


def _standing(
    position: PositionTables, codes: Codes, sizes: Codes
) -> Iterator[tuple[Layout, Rows]]:
    """The layouts of a position with the configs that have them, as far as known."""
    which = position.which
    entries = which.entries(codes, sizes)
    label = np.where(which.seen > 0, which.values[which.labels], -1)[entries]
    for n, layout in enumerate(position.layouts):
        rows = np.flatnonzero(label == n)
        if len(rows):
            yield layout, rows


def _parts(
    layout: Layout, codes: Codes, sizes: Codes, rows: Rows
) -> tuple[list[Part], NDArray[np.intp], list[int]]:
    """The different subgraphs of one layout, which of them each config has, unseen entries."""
    key = np.zeros(len(rows), dtype=np.int64)
    unseen: list[int] = []
    labels = []
    for table in layout.tables:
        entries = table.entries(codes, sizes)
        unseen += _unseen(table, entries, rows)
        labels.append(table.labels[entries])
        # Renumbered where it could overflow: there are never more keys than configs.
        if key.max() > 1 << 40:
            key = np.unique(key, return_inverse=True)[1]
        key = key * len(table.values) + labels[-1]
    _, first, places = np.unique(key, return_index=True, return_inverse=True)
    values = [t.values[label[first]] for t, label in zip(layout.tables, labels, strict=True)]
    numbers = np.stack([values[t] for t in layout.place], axis=1)
    return [(layout.skeleton, tuple(row)) for row in numbers.tolist()], places, unseen


def _unseen(table: Table, entries: NDArray[np.int64], rows: Rows) -> list[int]:
    """A config for each entry that is asked for and was not seen."""
    blank = np.flatnonzero(table.seen[entries] == 0)
    _, first = np.unique(entries[blank], return_index=True)
    return [int(n) for n in rows[blank[first]]]


def entry_lines(tables: Tables, codes: Codes, sizes: Codes) -> tuple[Lines, NDArray[np.int32]]:
    """Lines of table entries for `worth_seeing`, and how often each is still to be seen.

    Once, or `_SUPPORT` times where an entry says that a rare skeleton stands somewhere: choices
    that explain a few cases by chance do not explain the next ones.
    """
    lines: list[Lines] = [np.zeros((0, codes.shape[1]), dtype=np.int32)]
    # Thing 0 is what a config shows on a line that does not concern it.
    wanted = [np.zeros(1, dtype=np.int32)]
    total = 1
    everywhere = np.arange(codes.shape[1])
    for position in tables.values():
        which = position.which
        shown = np.bincount(which.labels, weights=which.seen)[which.labels]
        concerned = [(which, everywhere, np.where((shown < _RARE) & (which.seen > 0), _SUPPORT, 1))]
        for layout, rows in _standing(position, codes, sizes):
            concerned += [(table, rows, np.ones_like(table.seen)) for table in layout.tables]
        for table, rows, support in concerned:
            line = np.zeros((1, codes.shape[1]), dtype=np.int32)
            line[0, rows] = table.entries(codes[:, rows], sizes) + total
            lines.append(line)
            wanted.append(np.maximum(support - table.seen, 0).astype(np.int32))
            total += len(table.seen)
    all_lines = np.concatenate(lines)
    return all_lines, np.minimum(np.concatenate(wanted), occurrences(all_lines, total))
