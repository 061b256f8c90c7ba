"""The largest network first: what a search that claims to learn must beat (`top_flops`)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nas_ray.errors import SearchError, nearest
from nas_ray.evolution.baselines.ledger import Ledger
from nas_ray.evolution.costing import Costs
from nas_ray.evolution.observation import Observation
from nas_ray.evolution.proposal import WALKABLE_SIZE
from nas_ray.evolution.screen import Candidate
from nas_ray.objective import Constraint, Objective
from nas_ray.space import Config, SearchSpace

#: Networks of a space too large to walk that are put in order at a time.
SAMPLE = 5_000


class TopMacs:
    """The networks that are allowed, by falling `by`: a cost, or a zero-shot score of `scores`.

    Equal ones come in random order. The first `ask` costs the whole space where it has at most
    50,000 networks, otherwise a random sample of `sample`, and another one when that is used up.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint] = (),
        costs: Costs = None,
        scores: Callable[[Config], Mapping[str, float]] | None = None,
        by: str = "macs",
        sample: int = SAMPLE,
        seed: int = 0,
    ) -> None:
        self._ledger = Ledger(
            space, objectives=objectives, constraints=constraints, costs=costs, seed=seed
        )
        self._rng = np.random.default_rng(seed)
        self._scores = scores
        self._by = by
        self._sample = sample
        self._ranked: Iterator[Candidate] | None = None

    def ask(self) -> Config:
        """The next config; StopIteration when there is no further one.

        Raises SearchError where `by` is neither a cost nor a score.
        """
        if (config := self._next()) is not None:
            return config
        self._ranked = None if self._ledger.space.size > WALKABLE_SIZE else self._ranked
        if (config := self._next()) is not None:
            return config
        raise self._ledger.over()

    def _next(self) -> Config | None:
        if self._ranked is None:
            self._ranked = iter(self._in_order())
        for candidate in self._ranked:
            if not self._ledger.is_known(candidate.config):
                return self._ledger.start(candidate)
        return None

    def _in_order(self) -> list[Candidate]:
        costed = self._ledger.costed(list(self._some()))
        allowed = [candidate for candidate in costed if self._ledger.allows(candidate)]
        shuffled = [allowed[n] for n in self._rng.permutation(len(allowed))]
        return sorted(shuffled, key=self._size, reverse=True)

    def _some(self) -> Iterator[Config]:
        space = self._ledger.space
        if space.size <= WALKABLE_SIZE:
            return space.configs()
        drawn = (space.sample(self._rng) for _ in range(self._sample))
        return iter({space.key(config): config for config in drawn}.values())

    def _size(self, candidate: Candidate) -> float:
        known = dict(candidate.costs)
        if self._by not in known and self._scores is not None:
            known |= self._scores(candidate.config)
        if self._by not in known:
            raise SearchError(
                f"`by` must name a cost or a score, but got {self._by!r}; "
                f"{nearest(self._by, known)}"
            )
        return float(known[self._by])

    def tell(self, config: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        """Record what a config did."""
        self._ledger.tell(config, metrics)

    def tell_failed(self, config: Mapping[str, Any]) -> None:
        """Record a config that could not be evaluated."""
        self._ledger.tell_failed(config)

    def front(self) -> list[Observation]:
        """The feasible networks told so far that no other dominates."""
        return self._ledger.front()
