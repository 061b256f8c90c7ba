"""Local search (White et al., 2021), of several objectives over fronts (Paquete et al., 2004)."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nas_ray.evolution.baselines.ledger import Ledger, Told
from nas_ray.evolution.costing import Costs
from nas_ray.evolution.observation import Observation
from nas_ray.objective import Constraint, Objective
from nas_ray.pareto import non_dominated
from nas_ray.space import Config, SearchSpace


def neighbours(
    space: SearchSpace, config: Mapping[str, Any], rng: np.random.Generator
) -> list[Config]:
    """Every config that differs from `config` in one choice, in random order.

    What an edit brings into use gets a random value.
    """
    fresh = {n: c.options[rng.integers(len(c.options))] for n, c in space.choices.items()}
    found = [
        space.canonical({**fresh, **config, name: option})
        for name in config
        for option in space.choices[name].options
        if option != config[name]
    ]
    return [found[n] for n in rng.permutation(len(found))]


class LocalSearch:
    """Climbs from a random network to better and better neighbours, and starts again at the top.

    A climb keeps the front of what it was told. The neighbours of its members are asked for, one
    member after another, the newest first; a member that is dominated is left at once. With one
    objective the front is the incumbent, and this is "query until lower" of White et al. When every
    neighbour of the front is told, the climb is over and the next one starts at random. Networks
    that broke a constraint when measured are not climbed from. While the last neighbours of a climb
    are still pending, starts of later climbs are asked for. A network that an earlier climb knew is
    not climbed to again: what it leads to is known.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint] = (),
        costs: Costs = None,
        seed: int = 0,
    ) -> None:
        self._ledger = Ledger(
            space, objectives=objectives, constraints=constraints, costs=costs, seed=seed
        )
        self._rng = np.random.default_rng(seed)
        self._climb: list[Told] = []
        self._around: dict[str, list[Config]] = {}
        self._pending_neighbours: set[str] = set()
        self._starts: deque[Told] = deque()

    @property
    def incumbents(self) -> list[Config]:
        """The front of the present climb, oldest first."""
        return [member.config for member in self._climb]

    def ask(self) -> Config:
        """The next config; StopIteration when there is no further one."""
        while True:
            if (neighbour := self._neighbour()) is not None:
                self._pending_neighbours.add(self._key(neighbour))
                return neighbour
            if self._pending_neighbours or not self._starts:
                return self._ledger.random(self._rng)
            self._climb = [self._starts.popleft()]
            self._around.clear()

    def _neighbour(self) -> Config | None:
        """A new neighbour of the climb's front, made pending; None where all are known."""
        for member in reversed(self._climb):
            key = self._key(member.config)
            if key not in self._around:
                self._around[key] = neighbours(self._ledger.space, member.config, self._rng)
            while self._around[key]:
                if (config := self._ledger.admit(self._around[key].pop())) is not None:
                    return config
        return None

    def _key(self, config: Mapping[str, Any]) -> str:
        return self._ledger.space.key(config)

    def tell(self, config: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        """Record what a config did; a neighbour that no other of the climb dominates joins it."""
        told = self._ledger.tell(config, metrics)
        is_neighbour = self._is_no_longer_pending(config)
        if told.fits and is_neighbour:
            self._join(told)
        elif told.fits:
            self._starts.append(told)

    def _join(self, told: Told) -> None:
        if any(member.point == told.point for member in self._climb):
            return
        points = np.array([*(member.point for member in self._climb), told.point])
        stays = non_dominated(points)
        self._climb = [m for m, on in zip([*self._climb, told], stays, strict=True) if on]

    def _is_no_longer_pending(self, config: Mapping[str, Any]) -> bool:
        was = self._key(config) in self._pending_neighbours
        self._pending_neighbours.discard(self._key(config))
        return was

    def tell_failed(self, config: Mapping[str, Any]) -> None:
        """Record a config that could not be evaluated."""
        self._ledger.tell_failed(config)
        self._is_no_longer_pending(config)

    def front(self) -> list[Observation]:
        """The feasible networks told so far that no other dominates."""
        return self._ledger.front()
