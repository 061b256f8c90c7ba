"""Random search: the baseline of baselines (Li and Talwalkar, 2019)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nas_ray.evolution.baselines.ledger import Ledger
from nas_ray.evolution.costing import Costs
from nas_ray.evolution.observation import Observation
from nas_ray.objective import Constraint, Objective
from nas_ray.space import Config, SearchSpace


class RandomSearch:
    """Networks at random, of those that are new and allowed."""

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

    def ask(self) -> Config:
        """The next config; StopIteration when there is no further one."""
        return self._ledger.random(self._rng)

    def tell(self, config: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        """Record what a config did."""
        self._ledger.tell(config, metrics)

    def tell_failed(self, config: Mapping[str, Any]) -> None:
        """Record a config that could not be evaluated."""
        self._ledger.tell_failed(config)

    def front(self) -> list[Observation]:
        """The feasible networks told so far that no other dominates."""
        return self._ledger.front()
