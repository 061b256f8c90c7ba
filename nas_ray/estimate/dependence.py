"""Which choices a value depends on, as far as examples tell.

Two examples with different values must differ in a choice that the value depends on. So a set of
choices explains all examples if it meets the difference of every such pair: a hitting set
(Wyss et al., FastFDs, 2001). The smallest one is taken.

Axes: `B` examples, `K` choices.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nas_ray.estimate.codes import Codes

Values = NDArray[np.int64]

#: Sets up to this size are searched exhaustively; beyond it one choice at a time is taken.
_EXHAUSTIVE = 4
_MOST_DIFFERENCES = 300


class NoFunctionError(Exception):
    """Examples that agree in every choice differ in their value."""


def smallest_set(codes: Codes, values: Values) -> tuple[int, ...]:
    """The fewest choices of which `values` `(B,)` is a function, given `codes` `(K, B)`.

    Raises NoFunctionError where it is a function of no choices at all.
    """
    kept: list[int] = []
    chosen: set[int] = set()
    while (clash := _clashes(codes, values, chosen)) is not None:
        # Only the smallest differences tell; the others are looked at where they are not met.
        kept = _minimal([*kept, *_masks(clash)])
        chosen = _members(_hitting_set(kept))
    return tuple(sorted(chosen))


def _clashes(codes: Codes, values: Values, chosen: set[int]) -> NDArray[np.bool_] | None:
    """Differences `(P, K)` of pairs that agree in `chosen` and not in value; None without any."""
    same = np.ones((len(values), len(values)), dtype=np.bool_)
    for k in chosen:
        same &= codes[k][:, None] == codes[k]
    first, second = np.nonzero(np.triu(same & (values[:, None] != values)))
    if not len(first):
        return None
    differences: NDArray[np.bool_] = (codes[:, first] != codes[:, second]).T
    if not differences.any(axis=1).all():
        raise NoFunctionError
    return differences


def _masks(differences: NDArray[np.bool_]) -> list[int]:
    """The smallest differences as bit masks, each once."""
    order = np.argsort(differences.sum(axis=1), kind="stable")[: 10 * _MOST_DIFFERENCES]
    packed = np.packbits(differences[order], axis=1, bitorder="little")
    rows = dict.fromkeys(row.tobytes() for row in packed)
    return [int.from_bytes(row, "little") for row in rows][:_MOST_DIFFERENCES]


def _minimal(masks: Sequence[int]) -> list[int]:
    """`masks` without those that contain another one, the smallest first."""
    result: list[int] = []
    for mask in sorted(set(masks), key=int.bit_count):
        if not any(other & mask == other for other in result):
            result.append(mask)
    return result


def _hitting_set(masks: Sequence[int]) -> int:
    for size in range(1, _EXHAUSTIVE + 1):
        found = _of_size(masks, 0, size)
        if found is not None:
            return found
    chosen = 0
    while missed := [mask for mask in masks if not mask & chosen]:
        bits = {bit for mask in missed for bit in _members(mask)}
        chosen |= 1 << max(bits, key=lambda bit: sum(mask >> bit & 1 for mask in missed))
    return chosen


def _of_size(masks: Sequence[int], chosen: int, left: int) -> int | None:
    """A set that meets all `masks` with at most `left` more choices than `chosen`."""
    missed = next((mask for mask in masks if not mask & chosen), None)
    if missed is None:
        return chosen
    if not left:
        return None
    for bit in sorted(_members(missed)):
        found = _of_size(masks, chosen | 1 << bit, left - 1)
        if found is not None:
            return found
    return None


def _members(mask: int) -> set[int]:
    return {bit for bit in range(mask.bit_length()) if mask >> bit & 1}
