"""Asynchronous successive halving on several objectives.

ASHA (Li et al., 2020) with its ranking replaced: at each rung a network is compared with all that
reached the rung before it, by non-dominated sorting of its objectives there (accuracy so far,
costs), the less crowded first within a front. It goes on when it stands in the best
`1 / reduction_factor` of them. Sorting by dominance instead of accuracy keeps small networks from
losing to large ones; crowding keeps one corner of the front from taking every place.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from nas_ray.errors import SearchError
from nas_ray.pareto import crowding_distance, dominance_rank


@dataclass(frozen=True, kw_only=True)
class Rungs:
    """Who reached which rung with what. `records[epoch][trial]` are minimised objectives `(M,)`."""

    max_epochs: int
    grace_epochs: int = 1
    reduction_factor: int = 3
    records: dict[int, dict[str, tuple[float, ...]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1 <= self.grace_epochs <= self.max_epochs or self.reduction_factor < 2:
            raise SearchError(
                "`1 <= grace_epochs <= max_epochs` and `reduction_factor >= 2` must hold, but got "
                f"grace_epochs={self.grace_epochs}, max_epochs={self.max_epochs}, "
                f"reduction_factor={self.reduction_factor}."
            )

    @property
    def epochs(self) -> tuple[int, ...]:
        """The epochs at which networks are compared."""
        steps = range(math.ceil(math.log(self.max_epochs, self.reduction_factor)) + 1)
        rungs = (self.grace_epochs * self.reduction_factor**step for step in steps)
        return tuple(rung for rung in rungs if rung < self.max_epochs)

    def goes_on(self, trial: str, epoch: int, values: Sequence[float]) -> bool:
        """Record `trial` with its minimised objectives at `epoch`, and whether to train it further.

        Between rungs every trial goes on. The same report twice gives the same answer, whoever came
        in between: a resumed trial passes again the rungs that it has passed.
        """
        if epoch not in self.epochs:
            return True
        rung = self.records.setdefault(epoch, {})
        rung[trial] = tuple(values)
        mine = list(rung).index(trial)
        arrived = list(rung.values())[: mine + 1]
        points = np.array(arrived, dtype=float)
        rank = dominance_rank(points)
        same = np.flatnonzero(rank == rank[mine])
        crowding = crowding_distance(points[same])
        ahead = int((rank < rank[mine]).sum())
        ahead += int((crowding > crowding[same == mine]).sum())
        return ahead < math.ceil(len(arrived) / self.reduction_factor)
