"""Which of many feasible candidates to train next.

Costs are known, everything else is drawn: from the surrogate, or while little is known from the
zero-shot ensemble in its place. Chosen is what adds most hypervolume to the front of what is known
and under way; where nothing adds any, what is least behind it.

Notation: `q` candidates, `M` objectives; all minimised.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas_ray.evolution.improvement import behind, hypervolume_improvement
from nas_ray.pareto import Points, non_dominated

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Draw:
    """Candidates as points `(q, M)`, and by how much each is unfit: `(q,)`, 0 where it is fit."""

    points: Points
    unfit: Array


def choose(taken: Points, drawn: Draw, count: int, rng: np.random.Generator) -> list[int]:
    """Up to `count` candidates by their index, best first.

    `taken` `(n, M)` are the points of what is known and under way; what is chosen counts among it.
    """
    chosen: list[int] = []
    while len(chosen) < min(count, len(drawn.points)):
        best = next(int(i) for i in _order(taken, drawn, rng) if i not in chosen)
        chosen.append(best)
        taken = np.vstack([taken, drawn.points[best : best + 1]])
    return chosen


def _order(taken: Points, drawn: Draw, rng: np.random.Generator) -> NDArray[np.intp]:
    everything = np.vstack([taken, drawn.points])
    low, high = everything.min(axis=0), everything.max(axis=0)
    span = np.where(high > low, high - low, 1.0)
    points, front = (drawn.points - low) / span, (taken - low) / span
    front = front[non_dominated(front)]
    # A little beyond the worst, so that the ends of the front add something too.
    reference = np.full(points.shape[1], 1.05)
    gain = hypervolume_improvement(front, points, reference, rng)
    return np.lexsort((behind(front, points), -gain, drawn.unfit))
