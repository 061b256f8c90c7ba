"""Pareto dominance and hypervolume, in numpy. Everything is minimised.

Notation: `N` points, `M` objectives; points are `(N, M)`.
"""

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]


def non_dominated(points: Points) -> NDArray[np.bool_]:
    """Which of the points `(N, M)` no other point dominates: `(N,)`. Equal points all stay.

    A NaN is worse than any number, infinity included.
    """
    points = np.nan_to_num(np.asarray(points, dtype=float), nan=np.inf)
    if points.shape[1:] == (2,):
        return _non_dominated_in_two(points)
    stays = np.ones(len(points), dtype=bool)
    with np.errstate(over="ignore", invalid="ignore"):  # sums of infinities
        sums = points.sum(axis=1)
    # Points with small sums dominate many others, so few are left to be compared.
    for place in np.argsort(sums, kind="stable"):
        if stays[place]:
            rivals = np.flatnonzero(stays)
            beaten = (points[place] <= points[rivals]).all(axis=1)
            beaten &= (points[place] < points[rivals]).any(axis=1)
            stays[rivals[beaten]] = False
    return stays


def _non_dominated_in_two(points: Points) -> NDArray[np.bool_]:
    """In two objectives: below all that are further left, and lowest where it stands."""
    order = np.lexsort((points[:, 1], points[:, 0]))
    x, y = points[order].T
    first = np.searchsorted(x, x)  # the lowest of each column of equal x
    lowest = np.minimum.accumulate(np.concatenate(([np.inf], y)))
    stays = np.empty(len(points), dtype=bool)
    stays[order] = (y == y[first]) & ((y < lowest[first]) | (first == 0))
    return stays


def crowding_distance(points: Points) -> NDArray[np.float64]:
    """How alone each point stands (Deb et al., 2002, sec. III-B): `(N,)`; the ends are infinite."""
    points = np.asarray(points, dtype=float)
    distance = np.zeros(len(points))
    for values in points.T if len(points) else ():
        order = np.argsort(values, kind="stable")
        span = values[order[-1]] - values[order[0]]
        distance[order[[0, -1]]] = np.inf
        if span > 0:
            distance[order[1:-1]] += (values[order[2:]] - values[order[:-2]]) / span
    return distance


def hypervolume(points: Points, reference: NDArray[np.float64]) -> float:
    """The volume between the points `(N, M)` and the reference point `(M,)`, exactly.

    Points that do not dominate the reference add nothing. Slices along the last objective
    (While et al., 2006): fine for a few hundred points in three or four objectives.
    """
    points = np.asarray(points, dtype=float).reshape(-1, len(reference))
    points = points[(points < reference).all(axis=1)]
    if len(points) == 0:
        return 0.0
    if points.shape[1] == 1:
        return float(reference[0] - points.min())
    points = points[non_dominated(points)]
    points = points[np.argsort(points[:, -1], kind="stable")]
    depths = np.diff(np.append(points[:, -1], reference[-1]))
    return float(
        sum(
            depth * hypervolume(points[: n + 1, :-1], reference[:-1])
            for n, depth in enumerate(depths)
            if depth > 0
        )
    )
