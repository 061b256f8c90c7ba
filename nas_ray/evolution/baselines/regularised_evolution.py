"""Regularised evolution (Real et al., 2019, algorithm 1): the oldest dies, not the worst."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nas_ray.errors import SearchError
from nas_ray.evolution.baselines.ledger import ATTEMPTS, Ledger, Told
from nas_ray.evolution.costing import Costs
from nas_ray.evolution.observation import Observation
from nas_ray.evolution.proposal import best_first
from nas_ray.objective import Constraint, Objective
from nas_ray.space import Config, SearchSpace


class RegularisedEvolution:
    """A queue of the last `population` networks; a tournament of `sample` of them breeds.

    The first `population` networks are random; then each is the winner of a tournament with one
    choice changed. With several objectives the winner is of the best non-dominated front, the least
    crowded of it. Networks that broke a constraint when measured win only among themselves. A
    child that is known or not allowed is bred again, from a new tournament.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint] = (),
        costs: Costs = None,
        population: int = 30,
        sample: int = 10,
        seed: int = 0,
    ) -> None:
        if not 1 <= sample <= population:
            raise SearchError(
                "`1 <= sample <= population` must hold, but got "
                f"sample={sample}, population={population}."
            )
        self._ledger = Ledger(
            space, objectives=objectives, constraints=constraints, costs=costs, seed=seed
        )
        self._rng = np.random.default_rng(seed)
        self._capacity = population
        self._sample = sample
        self._population: deque[Told] = deque(maxlen=population)

    @property
    def population(self) -> list[Config]:
        """The living, oldest first."""
        return [member.config for member in self._population]

    def ask(self) -> Config:
        """The next config; StopIteration when there is no further one."""
        if len(self._population) + self._ledger.pending >= self._capacity and self._population:
            for _ in range(ATTEMPTS):
                child = self._ledger.space.mutate(self._winner().config, self._rng)
                if (config := self._ledger.admit(child)) is not None:
                    return config
        return self._ledger.random(self._rng)

    def _winner(self) -> Told:
        drawn = self._rng.integers(len(self._population), size=self._sample)
        entrants = [self._population[n] for n in drawn]
        entrants = [member for member in entrants if member.fits] or entrants
        points = np.array([member.point for member in entrants])
        return entrants[int(best_first(points, 1)[0])]

    def tell(self, config: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        """Record what a config did; the oldest of a full population dies."""
        self._population.append(self._ledger.tell(config, metrics))

    def tell_failed(self, config: Mapping[str, Any]) -> None:
        """Record a config that could not be evaluated; it is not of the population."""
        self._ledger.tell_failed(config)

    def front(self) -> list[Observation]:
        """The feasible networks told so far that no other dominates."""
        return self._ledger.front()
