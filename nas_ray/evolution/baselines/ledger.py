"""What a baseline has asked for and was told, and which networks it may still ask for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas_ray.evolution.costing import Costs
from nas_ray.evolution.observation import Observation
from nas_ray.evolution.proposal import WALKABLE_SIZE
from nas_ray.evolution.screen import Candidate, violation
from nas_ray.evolution.search import EvolutionarySearch
from nas_ray.objective import Constraint, Objective
from nas_ray.space import Config, SearchSpace

#: Random networks tried before those that are left are walked, or the space is given up.
ATTEMPTS = 500


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a config did: its minimised objectives `(M,)`, and whether it keeps to every bound."""

    config: Config
    metrics: Mapping[str, float]
    point: tuple[float, ...]
    fits: bool


class Ledger:
    """Known, pending and infeasible networks of one search.

    The books are those of an `EvolutionarySearch` that is never asked, so that a baseline and the
    search it is compared with gate, count and refuse alike; only what to ask next is a baseline's.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint],
        costs: Costs,
        seed: int,
    ) -> None:
        self._books = EvolutionarySearch(
            space,
            objectives=objectives,
            constraints=constraints,
            costs=costs,
            surrogate=False,
            seed=seed,
        )
        self._pending: set[str] = set()
        self._left: Iterator[Config] | None = None

    @property
    def space(self) -> SearchSpace:
        """The space that is searched."""
        return self._books.space

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What the search is to improve."""
        return self._books.objectives

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """What the search must keep to."""
        return self._books.constraints

    @property
    def pending(self) -> int:
        """How many networks were asked for and not told yet."""
        return len(self._pending)

    # Which network may be next

    def is_known(self, config: Mapping[str, Any]) -> bool:
        """Whether a network is told, pending, or known to be infeasible."""
        return self._books.is_known(self.space.key(config))

    def costed(self, configs: Sequence[Config]) -> list[Candidate]:
        """`configs` with their costs; those that are infeasible are remembered as such."""
        return self._books.costed(configs)

    def allows(self, candidate: Candidate) -> bool:
        """Whether the costs of a candidate keep to the constraints."""
        return violation(candidate, self.constraints) == 0

    def admit(self, config: Config) -> Config | None:
        """Make `config` pending and return it; None where it is known or its costs forbid it."""
        if self.is_known(config):
            return None
        (candidate,) = self.costed([self.space.canonical(config)])
        return self.start(candidate) if self.allows(candidate) else None

    def start(self, candidate: Candidate) -> Config:
        """Make a candidate that is allowed pending, and return its config."""
        self._pending.add(self.space.key(candidate.config))
        return self._books.admit(candidate)

    def random(self, rng: np.random.Generator) -> Config:
        """A random network that is new and allowed, made pending.

        Raises StopIteration when none is left, InfeasibleError when there never was one.
        """
        for _ in range(ATTEMPTS):
            if (config := self.admit(self.space.sample(rng))) is not None:
                return config
        for left in self._walk(rng):
            if (config := self.admit(left)) is not None:
                return config
        raise self.over()

    def _walk(self, rng: np.random.Generator) -> Iterator[Config]:
        """What is left of a space small enough to walk; each network once, whoever takes it."""
        if self._left is None:
            small = self.space.size <= WALKABLE_SIZE
            configs = list(self.space.configs()) if small else []
            self._left = iter([configs[n] for n in rng.permutation(len(configs))])
        return self._left

    def over(self) -> Exception:
        """What to raise where no network is left."""
        asked = self.pending or self._books.observations
        return StopIteration() if asked else self._books.infeasible()

    # What became of it

    def tell(self, config: Mapping[str, Any], metrics: Mapping[str, float]) -> Told:
        """Record what a config did; raises SearchError as `EvolutionarySearch.tell` does."""
        self._books.tell(config, metrics)
        self._pending.discard(self.space.key(config))
        canonical = self.space.canonical(config)
        told = next(o for o in reversed(self._books.observations) if o.config == canonical)
        return Told(
            config=canonical,
            metrics=told.metrics,
            point=tuple(o.minimised(told.metrics[o.metric]) for o in self.objectives),
            fits=all(c.violation(told.metrics[c.quantity]) == 0 for c in self.constraints),
        )

    def tell_failed(self, config: Mapping[str, Any]) -> None:
        """Record a config that could not be evaluated: never asked for again."""
        self._books.tell_failed(config)
        self._pending.discard(self.space.key(config))

    def front(self) -> list[Observation]:
        """The feasible networks told so far that no other dominates."""
        return self._books.front()
