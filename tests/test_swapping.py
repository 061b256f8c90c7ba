"""Passes of a transposition, beside the compiler's own algorithm done step by step."""

from itertools import permutations

import pytest

from nas_ray.estimate.swapping import passes

#: Stored shape, order of its axes, and how many passes the compiler's log shows.
KNOWN = {
    "last two": ((1, 126, 480), (0, 2, 1), 1),
    "shuffle of channels": ((1, 25, 25, 2, 16), (0, 1, 2, 4, 3), 1),
    "heads": ((1, 9, 196, 4), (0, 2, 1, 3), 1),
    "queries, keys and values": ((1, 121, 3, 1, 46), (2, 0, 3, 1, 4), 13),
    "as it is": ((1, 4, 5, 6), (0, 1, 2, 3), 0),
}


@pytest.mark.parametrize(("shape", "order", "count"), KNOWN.values(), ids=KNOWN)
def test_known_transpositions(shape, order, count):
    """The passes that ethos-u-vela 5.2.0 makes."""
    assert passes(shape, order) == count


@pytest.mark.parametrize("order", [*permutations(range(3))])
def test_three_axes_take_as_many_passes_as_there_are_swaps(order):
    """A permutation of three axes is none, one or two swaps."""
    away = sum(axis != place for place, axis in enumerate(order))
    assert passes((2, 3, 4), order) == {0: 0, 2: 1, 3: 2}[away]


def test_axes_in_the_middle_are_moved_to_the_edge_and_back():
    """Of four axes the middle two swap in five passes, in one where the first is a batch of one."""
    assert passes((2, 9, 196, 4), (0, 2, 1, 3)) == 5
    assert passes((1, 9, 196, 4), (0, 2, 1, 3)) == 1
