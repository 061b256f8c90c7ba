"""How much a point would add to a front, and how far one that adds nothing is behind it.

Notation: `F` points of a front, `Q` queries, `M` objectives; all minimised.
"""

import numpy as np
from numpy.typing import NDArray

from nas_ray.pareto import Points

Array = NDArray[np.float64]

#: Points drawn to estimate the improvement in three objectives or more.
_SAMPLES = 4096


def hypervolume_improvement(
    front: Points, queries: Points, reference: Array, rng: np.random.Generator
) -> Array:
    """The hypervolume each query alone would add to the non-dominated `front`: `(Q,)`.

    Exact for one and two objectives; for more it is estimated from points drawn evenly.
    """
    front = front[(front < reference).all(axis=1)]
    if queries.shape[1] == 1:
        best = np.append(front[:, 0], reference[0]).min()
        return np.asarray(np.maximum(best - queries[:, 0], 0.0))
    if queries.shape[1] == 2:
        return _in_strips(front, queries, reference)
    return _sampled(front, queries, reference, rng)


def _in_strips(front: Points, queries: Points, reference: Array) -> Array:
    """Between two neighbours of the front the dominated region ends at the left one's height.

    A query adds to the strips from the one it stands in to the last whose ceiling is above it.
    """
    front = front[np.lexsort((front[:, 1], front[:, 0]))]
    right = np.concatenate((front[:, 0], reference[:1]))
    ceiling = np.concatenate((reference[1:], front[:, 1]))
    x, y = queries.T
    first = np.searchsorted(right, x, side="right")
    end = np.searchsorted(-ceiling, -y, side="left")
    adds = first < end
    first, end = np.where(adds, first, 0), np.where(adds, end, 1)
    # Of the whole strips to its right: their areas below the ceilings, less those below it.
    widths = np.diff(right, prepend=right[:1])
    area = np.cumsum(widths * ceiling)
    own = (right[first] - x) * (ceiling[first] - y)
    beside = area[end - 1] - area[first] - y * (right[end - 1] - right[first])
    return np.asarray(np.where(adds, own + beside, 0.0))


def _sampled(front: Points, queries: Points, reference: Array, rng: np.random.Generator) -> Array:
    lowest = np.minimum(np.vstack([front, queries]).min(axis=0), reference)
    samples = rng.uniform(lowest, reference, (_SAMPLES, len(reference)))
    dominated = np.asarray((front[None] <= samples[:, None]).all(axis=2)).any(axis=1)
    free = samples[~dominated]
    share = (queries[:, None] <= free[None]).all(axis=2).sum(axis=1) / _SAMPLES
    return np.asarray(share * np.prod(reference - lowest))


def behind(front: Points, queries: Points) -> Array:
    """By how much each query must improve in every objective to join the front: `(Q,)`.

    The additive epsilon indicator (Zitzler et al., 2003); negative ahead of the front.
    """
    if len(front) == 0:
        return np.zeros(len(queries))
    if queries.shape[1] == 2:
        return _behind_in_two(front, queries)
    # Objective by objective: a minimum along an axis of two is slow.
    gaps = queries[:, :1] - front[:, 0]
    for m in range(1, queries.shape[1]):
        np.minimum(gaps, queries[:, m : m + 1] - front[:, m], out=gaps)
    return np.asarray(gaps.max(axis=1))


def _behind_in_two(front: Points, queries: Points) -> Array:
    """Along the front one gap falls, the other rises: the smaller is largest where they cross."""
    front = front[np.lexsort((front[:, 1], front[:, 0]))]
    slope = front[:, 0] - front[:, 1]
    crossing = np.searchsorted(slope, queries[:, 0] - queries[:, 1])
    beside = np.clip([crossing - 1, crossing], 0, len(front) - 1)
    return np.asarray((queries - front[beside]).min(axis=2).max(axis=0))
