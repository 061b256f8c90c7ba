"""Where new candidates come from: parents from the archive, moves from the space.

Steady state, no generations: at any moment the archive of what was observed is ranked by
non-dominated sorting and crowding (NSGA-II, Deb et al., 2002), the best few of it win tournaments
and become parents, children are mutations and crossovers, and a share of fresh random configs keeps
the search open.
"""

from collections.abc import Callable, Sequence

import numpy as np

from nas_ray.pareto import Points, crowding_distance, non_dominated
from nas_ray.space import Config, SearchSpace

#: How many of the archive can be parents where nothing else selects. The archive only grows:
#: tournaments over all of it would select too little to outweigh what mutations spoil, and the
#: search would be no better than random.
POPULATION = 16
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
    *,
    population: int = POPULATION,
) -> list[Config]:
    """Up to `count` new configs, all different and none known.

    `parents` are configs of the archive with their minimised `points` `(N, M)`; the `population`
    best of them compete. Without any, candidates are random. Fewer than `count` come back only
    where the space is nearly used up; none when it is.
    """
    ranked = [parents[i] for i in best_first(points, population)]
    fresh: dict[str, Config] = {}
    for _ in range(ATTEMPTS_PER_CANDIDATE * count):
        if len(fresh) == count:
            break
        config = _child(space, ranked, rng)
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


def best_first(points: Points, count: int) -> np.ndarray:
    """Indices of `count` of the points `(N, M)`: front by front, within one the less crowded."""
    chosen: list[int] = []
    rest = np.arange(len(points))
    while len(chosen) < count and len(rest):
        front = non_dominated(points[rest])
        members = rest[front]
        crowding = crowding_distance(points[members])
        chosen += members[np.argsort(-crowding, kind="stable")].tolist()
        rest = rest[~front]
    return np.array(chosen[:count], dtype=np.int64)


def _child(space: SearchSpace, ranked: Sequence[Config], rng: np.random.Generator) -> Config:
    """One new config; the parents in `ranked` are best first."""
    if not ranked or rng.random() < RANDOM_SHARE:
        return space.sample(rng)
    first = ranked[_winner(len(ranked), rng)]
    if rng.random() < CROSSOVER_SHARE:
        second = ranked[_winner(len(ranked), rng)]
        return space.crossover(first, second, rng)
    return space.mutate(first, rng, edits=int(rng.integers(1, 3)))


def _winner(count: int, rng: np.random.Generator) -> int:
    """The better of two parents drawn at random."""
    return int(rng.integers(count, size=2).min())
