"""Where new candidates come from: parents from the archive, moves from the space.

Steady state, no generations: at any moment the archive of what was observed is ranked by
non-dominated sorting and crowding (NSGA-II, Deb et al., 2002), parents win tournaments, children
are mutations and crossovers, and a share of fresh random configs keeps the search open.
"""

from collections.abc import Callable, Sequence

import numpy as np

from nas_ray.pareto import Points, crowding_distance, dominance_rank
from nas_ray.space import Config, SearchSpace

RANDOM_SHARE = 0.25
CROSSOVER_SHARE = 0.25
#: How often a draw may repeat something known before it is given up; small spaces are then walked.
ATTEMPTS_PER_CANDIDATE = 20
WALKABLE_SIZE = 50_000


def propose(
    space: SearchSpace,
    parents: Sequence[Config],
    points: Points,
    is_known: Callable[[str], bool],
    count: int,
    rng: np.random.Generator,
) -> list[Config]:
    """Up to `count` new configs, all different and none known.

    `parents` are configs of the archive with their minimised `points` `(N, M)`; without any,
    candidates are random. Fewer than `count` come back only where the space is nearly used up;
    none when it is.
    """
    order = _tournament_order(points)
    fresh: dict[str, Config] = {}
    for _ in range(ATTEMPTS_PER_CANDIDATE * count):
        if len(fresh) == count:
            break
        config = _child(space, parents, order, rng)
        key = space.key(config)
        if key not in fresh and not is_known(key):
            fresh[key] = config
    if len(fresh) < count and space.size <= WALKABLE_SIZE:
        _walk(space, is_known, fresh, count)
    return list(fresh.values())


def _walk(
    space: SearchSpace, is_known: Callable[[str], bool], fresh: dict[str, Config], count: int
) -> None:
    for config in space.configs():
        if len(fresh) == count:
            return
        key = space.key(config)
        if key not in fresh and not is_known(key):
            fresh[key] = config


def _tournament_order(points: Points) -> np.ndarray:
    """Position `(N,)` of each parent from best (0) to worst: front first, then the less crowded."""
    if len(points) == 0:
        return np.empty(0, dtype=np.int64)
    rank = dominance_rank(points)
    crowding = np.empty(len(points))
    for front in np.unique(rank):
        members = rank == front
        crowding[members] = crowding_distance(points[members])
    position = np.empty(len(points), dtype=np.int64)
    position[np.lexsort((-crowding, rank))] = np.arange(len(points))
    return position


def _child(
    space: SearchSpace, parents: Sequence[Config], order: np.ndarray, rng: np.random.Generator
) -> Config:
    if not parents or rng.random() < RANDOM_SHARE:
        return space.sample(rng)
    first = parents[_winner(order, rng)]
    if rng.random() < CROSSOVER_SHARE:
        second = parents[_winner(order, rng)]
        return space.crossover(first, second, rng)
    return space.mutate(first, rng, edits=int(rng.integers(1, 3)))


def _winner(order: np.ndarray, rng: np.random.Generator) -> int:
    """The better of two parents drawn at random."""
    pair = rng.integers(len(order), size=2)
    return int(pair[np.argmin(order[pair])])
