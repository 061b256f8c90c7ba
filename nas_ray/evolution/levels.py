"""Dominance ranks that are kept up to date as points come in.

Ranking all points anew for every one that arrives takes time that grows with the square of their
number. An arrival moves few of the others: from each level those that the ones arriving there
dominate go on to the next (Li, Deb, Zhang and Zhang, 2014, "Efficient non-domination level update
approach for steady-state evolutionary multiobjective optimization").

Notation: `N` points, `M` objectives; all minimised.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nas_ray.pareto import Points


class Levels:
    """One or more points in the order of their arrival, and the front each belongs to."""

    def __init__(self, points: Sequence[Sequence[float]]) -> None:
        self._points = np.empty((64, len(points[0])))
        self._rank = np.empty(64, dtype=np.int64)
        self._count = 0
        for point in points:
            self.add(point)

    def __len__(self) -> int:
        return self._count

    @property
    def points(self) -> Points:
        """All of them: `(N, M)`."""
        return self._points[: self._count]

    @property
    def rank(self) -> NDArray[np.int64]:
        """The front each belongs to: 0 the non-dominated, 1 those behind them, ...: `(N,)`."""
        return self._rank[: self._count]

    def add(self, point: Sequence[float]) -> None:
        """Let one more arrive. A NaN is worse than any number, infinity included."""
        arriving = np.asarray(point, dtype=float)
        before = self.rank[_dominate(self.points, arriving)]
        level = int(before.max()) + 1 if len(before) else 0
        place = self._append(arriving, level)
        moved = np.array([place])
        while len(moved):
            others = np.setdiff1d(np.flatnonzero(self.rank == level), moved)
            moved = others[_dominate(self.points[moved][:, None], self.points[others]).any(axis=0)]
            level += 1
            self._rank[moved] = level

    def _append(self, point: NDArray[np.float64], level: int) -> int:
        place = self._count
        if place == len(self._points):
            self._points = np.vstack([self._points, np.empty_like(self._points)])
            self._rank = np.append(self._rank, np.empty_like(self._rank))
        self._points[place], self._rank[place] = point, level
        self._count += 1
        return place


def _dominate(first: Points, second: Points) -> NDArray[np.bool_]:
    """Which of `first` dominate which of `second`; their shapes but for the last broadcast."""
    first, second = np.nan_to_num(first, nan=np.inf), np.nan_to_num(second, nan=np.inf)
    return np.asarray((first <= second).all(axis=-1) & (first < second).any(axis=-1))
