"""One order of positions, in which the pieces of every network of a space run.

Most spaces have one: blocks come and go, but none overtakes another. Where networks contradict
each other, those of each order get positions of their own.
"""

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from nas_ray.estimate.skeleton import Position
from nas_ray.estimate.tables import Network

#: Each order is learned on its own, so that more take longer than building.
_MOST_ORDERS = 8


class NoOrderError(Exception):
    """Networks contradict each other in more ways than is worth learning."""


class PositionOrder:
    """Positions of all networks so far, in an order in which each of them runs."""

    def __init__(self) -> None:
        # For each order, the positions known to stand directly before each position.
        self._orders: list[dict[Position, set[Position]]] = []

    def placed(self, network: Network) -> Network:
        """`network`, whose positions are of order 0, with those of the first order that it fits.

        Raises NoOrderError where it fits none and there are many.
        """
        names = list(network)
        order = next((n for n, one in enumerate(self._orders) if _fits(one, names)), None)
        if order is None:
            if len(self._orders) >= _MOST_ORDERS:
                raise NoOrderError
            order = len(self._orders)
            self._orders.append({})
        self._orders[order] = _joined(self._orders[order], names)
        return {(name, time, order): part for (name, time, _), part in network.items()}

    def __iter__(self) -> Iterator[Position]:
        for order, before in enumerate(self._orders):
            for name, time, _ in TopologicalSorter(before).static_order():
                yield name, time, order


def _fits(before: dict[Position, set[Position]], names: list[Position]) -> bool:
    try:
        TopologicalSorter(_joined(before, names)).prepare()
    except CycleError:
        return False
    return True


def _joined(
    before: dict[Position, set[Position]], names: list[Position]
) -> dict[Position, set[Position]]:
    """`before` and what `names`, one network, adds to it."""
    if all(name in before for name in names) and all(
        first in before[second] for first, second in pairwise(names)
    ):
        return before
    joined = {name: set(others) for name, others in before.items()}
    for name in names:
        joined.setdefault(name, set())
    for first, second in pairwise(names):
        joined[second].add(first)
    return joined
