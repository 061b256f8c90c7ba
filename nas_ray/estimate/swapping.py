"""How many passes over its input a transposition takes where hardware swaps axes of three.

A compiler sorts the axes by swaps (selection sort). Of a tensor of at most three axes any two swap
in one pass, as do the outer two and the inner two of more, with the others joined to three. Else
one of the two is moved to the edge first, and back after (ethos-u-vela 5.2.0, `DecomposeTranspose`;
Apache-2.0, the rule is written anew). Axes of one element count, since they do there.
"""

from collections.abc import Sequence
from math import prod

_AT_ONCE = 3


def passes(shape: Sequence[int], order: Sequence[int]) -> int:
    """Return the number of swaps for the stored `shape`, whose axis `order[n]` comes to place n."""
    sides = list(shape)
    wanted = [list(order).index(axis) for axis in range(len(sides))]
    count = 0
    for place in range(len(sides)):
        found = wanted.index(place)
        if found != place:
            count += _swap(sides, place, found)
            wanted[place], wanted[found] = wanted[found], wanted[place]
    return count


def _swap(sides: list[int], first: int, second: int) -> int:
    """Swap two axes of `sides`, `first` before `second`, and return the number of passes."""
    rank = len(sides)
    is_inside = first >= rank - _AT_ONCE and prod(sides[:-_AT_ONCE]) == 1
    edges = {(0, 1), (rank - 2, rank - 1), (0, rank - 1)}
    if is_inside or (first, second) in edges:
        sides[first], sides[second] = sides[second], sides[first]
        return 1
    if first:
        sides.insert(0, sides.pop(first))
        count = _swap(sides, 0, second)
        sides.insert(first, sides.pop(0))
    else:
        sides.append(sides.pop(second))
        count = _swap(sides, 0, rank - 1)
        sides.insert(second, sides.pop())
    return count + 2
