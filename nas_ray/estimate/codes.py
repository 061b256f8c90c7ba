"""Configs as whole numbers: one row a config, one column a choice.

Axes: `N` configs, `K` choices. A choice that is absent from a config has a code of its own.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int32]

_ABSENT = 0
#: The column that tells the orders of keys apart; no name of a choice is a tuple.
_ORDER = ("order of keys",)


@dataclass(frozen=True, kw_only=True)
class Codebook:
    """Values seen so far, by choice; it only grows, so codes stay what they are.

    Values of different type have different codes: 1, 1.0 and True are equal in Python, but need
    not mean the same network.
    """

    columns: dict[Hashable, dict[type, dict[Hashable, int]]] = field(default_factory=dict)

    @property
    def sizes(self) -> Codes:
        """`(K,)`: how many codes each choice has."""
        return np.array([_count(types) + 1 for types in self.columns.values()], dtype=np.int32)

    def encode(self, configs: Sequence[Mapping[str, Any]]) -> Codes:
        """`(K, N)`; raises TypeError for a value that has no hash."""
        patterns: dict[tuple[str, ...], list[int]] = {}
        for n, config in enumerate(configs):
            patterns.setdefault(tuple(config), []).append(n)
        for keys in patterns:
            for key in keys:
                self.columns.setdefault(key, {})
        if _ORDER in self.columns or not _ordered(patterns):
            self.columns.setdefault(_ORDER, {})
        row = {key: k for k, key in enumerate(self.columns)}
        codes = np.full((len(row), len(configs)), _ABSENT, dtype=np.int32)
        for keys, members in patterns.items():
            place = np.array(members)
            rows = zip(*(configs[n].values() for n in members), strict=True)
            for key, values in zip(keys, rows, strict=True):
                codes[row[key], place] = self._column(key, values)
            if _ORDER in row:
                codes[row[_ORDER], place] = self._column(_ORDER, [keys] * len(members))
        return codes

    def _column(self, key: Hashable, values: Sequence[Hashable]) -> Codes:
        kinds = dict.fromkeys(map(type, values))
        if len(kinds) == 1:
            return self._of_type(key, next(iter(kinds)), values)
        codes = np.empty(len(values), dtype=np.int32)
        for kind in kinds:
            place = [n for n, value in enumerate(values) if type(value) is kind]
            codes[place] = self._of_type(key, kind, [values[n] for n in place])
        return codes

    def _of_type(self, key: Hashable, kind: type, values: Sequence[Hashable]) -> Codes:
        types = self.columns[key]
        known = types.setdefault(kind, {})
        for value in dict.fromkeys(values):
            if value not in known:
                known[value] = _count(types) + 1
        return np.fromiter(map(known.__getitem__, values), dtype=np.int32, count=len(values))


def _count(types: Mapping[type, Mapping[Hashable, int]]) -> int:
    return sum(map(len, types.values()))


def _ordered(patterns: Mapping[tuple[str, ...], object]) -> bool:
    """Whether there is one order of keys that all configs keep to."""
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for keys in patterns:
        for before, after in pairwise(keys):
            sorter.add(after, before)
    try:
        sorter.prepare()
    except CycleError:
        return False
    return True


def combined(codes: Codes, sizes: Codes, choices: Sequence[int]) -> NDArray[np.int64]:
    """`(N,)`: one number for each combination of the values of `choices`."""
    result = np.zeros(codes.shape[1], dtype=np.int64)
    for k in choices:
        result = result * int(sizes[k]) + codes[k]
    return result
