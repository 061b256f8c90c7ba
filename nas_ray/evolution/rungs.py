"""Asynchronous successive halving on several objectives.

ASHA (Li et al., 2020) with its ranking replaced: at each rung a network is compared with all that
reached the rung before it, by non-dominated sorting of its objectives there (accuracy so far,
costs), the less crowded first within a front. It goes on when it stands in the best
`1 / reduction_factor` of them. Sorting by dominance instead of accuracy keeps small networks from
losing to large ones; crowding keeps one corner of the front from taking every place.

Where a stopped network can be trained on from its checkpoint, rungs are `patient`: nobody goes on
before there are enough to compare with, and who has come to stand among the best since is promoted.
That is ASHA's own rule. Without it the first ones to arrive go on because they are the first, and
in a search that improves, nearly all later ones because they beat the first.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from nas_ray.errors import SearchError
from nas_ray.evolution.levels import Levels
from nas_ray.evolution.proposal import best_first
from nas_ray.pareto import crowding_distance


@dataclass(frozen=True, kw_only=True)
class Rungs:
    """Who reached which rung with what. `records[epoch][trial]` are minimised objectives `(M,)`.

    `promoted[epoch]` are the trials that went on from a rung after they had been stopped there.
    """

    max_epochs: int
    grace_epochs: int = 1
    reduction_factor: int = 3
    patient: bool = False
    records: dict[int, dict[str, tuple[float, ...]]] = field(default_factory=dict)
    promoted: dict[int, dict[str, None]] = field(default_factory=dict)
    # By epoch: where all that arrived stand, and what was answered to each.
    _levels: dict[int, Levels] = field(default_factory=dict, init=False, compare=False, repr=False)
    _answers: dict[int, dict[str, bool]] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )

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
        if epoch not in self.epochs or trial in self.promoted.get(epoch, {}):
            return True
        rung, answers = self.records.setdefault(epoch, {}), self._answers.setdefault(epoch, {})
        if trial not in answers or rung[trial] != tuple(values):
            levels = self._arrive(trial, epoch, values)
            answers[trial] = _ahead_of_last(levels) < self._places(len(levels))
        return answers[trial]

    def _arrive(self, trial: str, epoch: int, values: Sequence[float]) -> Levels:
        """Record a report; returned is where `trial` stands, the last one, with those before it."""
        rung, levels = self.records[epoch], self._levels.get(epoch)
        is_new = trial not in rung
        rung[trial] = tuple(values)
        if is_new and levels is not None:
            levels.add(values)
            return levels
        # The first one, or one that reports something else than before.
        self._levels[epoch] = Levels(list(rung.values()))
        return Levels(list(rung.values())[: list(rung).index(trial) + 1])

    def _places(self, arrived: int) -> int:
        """How many of those that arrived at a rung go on."""
        share = arrived / self.reduction_factor
        return math.floor(share) if self.patient else math.ceil(share)

    def promotable(self, stopped: Collection[str]) -> tuple[str, int] | None:
        """The best of the `stopped` trials that by now stand among those who go on, and its rung.

        The highest rung comes first: what is nearest to the end is worth most.
        """
        for epoch in reversed(self.epochs):
            rung = self.records.get(epoch, {})
            trials = list(rung)
            points = np.array(list(rung.values()), dtype=float)
            for place in best_first(points, self._places(len(rung))) if rung else ():
                if trials[place] in stopped and self._is_last(trials[place], epoch):
                    return trials[place], epoch
        return None

    def _is_last(self, trial: str, epoch: int) -> bool:
        """Whether `trial` was stopped at this rung, not at one that it reached later."""
        later = [records for rung, records in self.records.items() if rung > epoch]
        return not any(trial in records for records in later)

    def promote(self, trial: str, epoch: int) -> None:
        """Let a trial go on from a rung at which it was stopped."""
        self.promoted.setdefault(epoch, {})[trial] = None


def _ahead_of_last(levels: Levels) -> int:
    """How many stand before the last that arrived: on fronts before its own, or less crowded."""
    own = levels.rank[-1]
    same = np.flatnonzero(levels.rank == own)
    crowding = crowding_distance(levels.points[same])
    return int((levels.rank < own).sum()) + int((crowding > crowding[-1]).sum())
