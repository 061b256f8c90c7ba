"""What a measurement table covers: whether an operator is like those that were measured.

An operator is covered if each of its sizes and attributes lies in the range that the table has of
its kind (a little slack allowed), if each of its labels (variant, activation, padding) occurs with
its kind, and if each pair of its main sizes falls near one that occurs: two sizes may both be in
their ranges and yet no operator have had them together. All of it is read off the table, so that a
new column is covered by no operator until the table has it.

Axes: `O` operators, `K` kinds, `B` columns with a range, `L` labels, `P` pairs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from nas_ray.estimate.operator_table import KINDS, LABELS, RANGED, Array, OperatorTable

#: A property may lie this factor outside the table's range before an estimate is a guess.
_SLACK = 1.1
_DEPTHWISE = KINDS.index("depthwise")
#: Sizes of which each pair must have occurred, an octave more or less.
_PAIRED = (
    *("height", "width", "channels_in", "channels", "kernel_height", "kernel_width"),
    *("stride_height", "dilation_height", "groups"),
)
_PAIRS = tuple(combinations(range(len(_PAIRED)), 2))
_OCTAVES = 40


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Ranges `low` and `high` `(K, B)` in logarithms, numbers of `labels` and `pairs`, sorted."""

    low: Array
    high: Array
    labels: Array
    pairs: Array

    def is_outside(self, table: OperatorTable) -> NDArray[np.bool_]:
        """Tell which operators `(O,)` are unlike anything in the table."""
        kind, values, slack = table.kind, _ranged(table), np.log(_SLACK)
        within = (values >= self.low[kind] - slack) & (values <= self.high[kind] + slack)
        known = np.isin(_label_numbers(table), self.labels)
        together = np.isin(_pair_numbers(table, _octaves(table)), self.pairs)
        return np.asarray(~(within.all(axis=1) & known.all(axis=1) & together.all(axis=1)))


def coverage_of(table: OperatorTable, used: NDArray[np.bool_]) -> Coverage:
    """Return what those operators cover for which `used` `(O,)` is set."""
    kind, values = table.kind[used], _ranged(table)[used]
    low = np.full((len(KINDS), values.shape[1]), np.inf)
    high = np.full((len(KINDS), values.shape[1]), -np.inf)
    np.minimum.at(low, kind, values)
    np.maximum.at(high, kind, values)
    octaves = _octaves(table)
    near = [octaves]
    for place in range(len(_PAIRED)):
        for step in (-1.0, 1.0):
            moved = octaves.copy()
            moved[:, place] += step
            near.append(moved)
    pairs = [_pair_numbers(table, one)[used].ravel() for one in near]
    return Coverage(
        low=low,
        high=high,
        labels=np.unique(_label_numbers(table)[used]),
        pairs=np.unique(np.concatenate(pairs)),
    )


def as_arrays(coverage: Coverage) -> dict[str, Array]:
    """Return the arrays of `coverage` by name; `from_arrays` reads them back."""
    return {f"coverage_{f.name}": getattr(coverage, f.name) for f in fields(coverage)}


def from_arrays(arrays: Mapping[str, Array]) -> Coverage:
    """Return the coverage that `as_arrays` has taken apart."""
    return Coverage(**{f.name: arrays[f"coverage_{f.name}"] for f in fields(Coverage)})


def _columns(table: OperatorTable) -> dict[str, Array]:
    """Columns by name; groups of a depthwise convolution are its channels, no property of it."""
    is_depthwise = table["kind"] == _DEPTHWISE
    columns = {name: table[name] for name in RANGED}
    columns["groups"] = np.where(is_depthwise, 1.0, table["groups"])
    return columns


def _ranged(table: OperatorTable) -> Array:
    columns = _columns(table)
    return np.column_stack([np.log1p(columns[name]) for name in RANGED])


def _label_numbers(table: OperatorTable) -> Array:
    """Return a number `(O, L)` for each label with its kind."""
    numbers = [(table["kind"] * len(LABELS) + n) * 100 + table[one] for n, one in enumerate(LABELS)]
    return np.column_stack(numbers)


def _octaves(table: OperatorTable) -> Array:
    columns = _columns(table)
    return np.column_stack([np.floor(np.log2(columns[name] + 1)) for name in _PAIRED])


def _pair_numbers(table: OperatorTable, octaves: Array) -> Array:
    """Return a number `(O, P)` for each pair of `octaves` `(O, len(_PAIRED))` with the kind."""
    numbers = [
        ((table["kind"] * len(_PAIRS) + n) * _OCTAVES + octaves[:, first] + 1) * _OCTAVES
        + (octaves[:, second] + 1)
        for n, (first, second) in enumerate(_PAIRS)
    ]
    return np.column_stack(numbers)
