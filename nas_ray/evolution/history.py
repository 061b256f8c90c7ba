"""Everything told to a search, in the order of telling, with what is asked of it most often.

Notation: `n` observations, `M` objectives; points are minimised, NaN for a failed network.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nas_ray.evolution.observation import Observation
from nas_ray.objective import Constraint, Objective
from nas_ray.pareto import Points, non_dominated

Flags = NDArray[np.bool_]


class History:
    """Observations by the key of their network, and as arrays that grow with them."""

    def __init__(self, objectives: Sequence[Objective], constraints: Sequence[Constraint]) -> None:
        self._objectives = tuple(objectives)
        self._constraints = tuple(constraints)
        #: How often an observation was replaced: what was derived from the old one is void.
        self.replaced = 0
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._observations: list[Observation] = []
        self._places: dict[str, int] = {}
        self._points = np.empty((64, len(self._objectives)))
        self._feasible = np.empty(64, dtype=bool)
        self._final = np.empty(64, dtype=bool)
        # All were replaced by none: as many that are told next are not those of before.
        self.replaced += 1
        self._front = np.empty(0, dtype=np.intp)

    def __len__(self) -> int:
        return len(self._observations)

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def __getitem__(self, place: int) -> Observation:
        return self._observations[place]

    @property
    def observations(self) -> tuple[Observation, ...]:
        """All of them, in the order in which they were first told."""
        return tuple(self._observations)

    def get(self, key: str) -> Observation | None:
        """What is known of a network, if anything."""
        place = self._places.get(key)
        return None if place is None else self._observations[place]

    def add(self, key: str, observation: Observation) -> None:
        """Take an observation; one of the same network is replaced."""
        place = self._places.setdefault(key, len(self._observations))
        replaces = place < len(self._observations)
        if replaces:
            self._observations[place] = observation
            self.replaced += 1
        else:
            self._append(observation)
        self._points[place] = self._point(observation)
        self._final[place] = observation.final
        self._feasible[place] = not observation.failed and self.keeps_to(observation.metrics)
        if replaces:
            self._set_front(np.flatnonzero(self.feasible & self.final))
        elif self._feasible[place] and self._final[place]:
            # Whom somebody behind the front beats, somebody on it beats as well.
            self._set_front(np.append(self._front, place))

    def _append(self, observation: Observation) -> None:
        self._observations.append(observation)
        if len(self._observations) > len(self._points):
            self._points = np.vstack([self._points, np.empty_like(self._points)])
            self._feasible = np.append(self._feasible, np.empty_like(self._feasible))
            self._final = np.append(self._final, np.empty_like(self._final))

    def _set_front(self, among: NDArray[np.intp]) -> None:
        self._front = among[non_dominated(self.points[among])]

    def keeps_to(self, metrics: Mapping[str, float]) -> bool:
        """Whether everything told of a network keeps to the constraints."""
        return all(c.violation(metrics.get(c.quantity, np.nan)) == 0 for c in self._constraints)

    def _point(self, observation: Observation) -> list[float]:
        if observation.failed:
            return [np.nan] * len(self._objectives)
        return [o.minimised(observation.metrics[o.metric]) for o in self._objectives]

    @property
    def trained(self) -> int:
        """How many did not fail."""
        return int(np.count_nonzero(~np.isnan(self.points[:, 0])))

    @property
    def points(self) -> Points:
        """Minimised objectives `(n, M)`."""
        return self._points[: len(self)]

    @property
    def feasible(self) -> Flags:
        """Which did not fail and keep to the constraints: `(n,)`."""
        return self._feasible[: len(self)]

    @property
    def final(self) -> Flags:
        """Which were trained in full: `(n,)`."""
        return self._final[: len(self)]

    def front(self) -> list[Observation]:
        """The feasible networks trained in full that no other one dominates."""
        return [self._observations[place] for place in self._front]

    def is_on_front(self, key: str) -> bool:
        """Whether a network, by its key, is one of `front`."""
        place = self._places.get(key)
        return place is not None and bool((self._front == place).any())
