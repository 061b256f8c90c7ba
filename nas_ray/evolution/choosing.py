"""Which of many feasible candidates to train next.

Costs are known, everything else is drawn: from the surrogate, or while little is known from the
zero-shot ensemble in its place. Chosen is what adds most hypervolume to the front of what is known
and under way; where nothing adds any, what is least behind it. A few draws are averaged: by one
alone, a candidate wins as often for being unknown as for being good.

Notation: `q` candidates, `M` objectives; all minimised.
"""

from collections.abc import Sequence
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


def choose(taken: Points, draws: Sequence[Draw], count: int, rng: np.random.Generator) -> list[int]:
    """Up to `count` candidates by their index, best first, by the mean over one or more draws.

    `taken` `(n, M)` are the points of what is known and under way; what is chosen counts among it.
    """
    candidates = np.mean([drawn.points for drawn in draws], axis=0)
    chosen: list[int] = []
    while len(chosen) < min(count, len(candidates)):
        best = next(i for i in ranked(taken, draws, rng) if i not in chosen)
        chosen.append(best)
        taken = np.vstack([taken, candidates[best : best + 1]])
    return chosen


def ranked(taken: Points, draws: Sequence[Draw], rng: np.random.Generator) -> list[int]:
    """All candidates by their index, each by what it alone adds to what is taken, best first."""
    everything = np.vstack([taken, *(drawn.points for drawn in draws)])
    low, high = everything.min(axis=0), everything.max(axis=0)
    span = np.where(high > low, high - low, 1.0)
    front = (taken - low) / span
    front = front[non_dominated(front)]
    # A little beyond the worst, so that the ends of the front add something too.
    reference = np.full(front.shape[1], 1.05)
    scaled = [(drawn.points - low) / span for drawn in draws]
    gain = np.mean([hypervolume_improvement(front, q, reference, rng) for q in scaled], axis=0)
    gap = np.mean([behind(front, q) for q in scaled], axis=0)
    unfit = np.mean([drawn.unfit for drawn in draws], axis=0)
    return [int(place) for place in np.lexsort((gap, -gain, unfit))]
