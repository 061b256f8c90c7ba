"""Who of those that wait is trained next: by draws of what a surrogate expects, some at random."""

from collections.abc import Sequence

import numpy as np

from nas_ray.evolution.choosing import Draw, choose, ranked
from nas_ray.evolution.expectation import Outlook
from nas_ray.evolution.history import History
from nas_ray.evolution.learner import Learner
from nas_ray.evolution.screen import Candidate
from nas_ray.evolution.threads import one_thread
from nas_ray.evolution.waiting import Plan, Waiting
from nas_ray.objective import Constraint, Objective
from nas_ray.pareto import Points

#: Finished networks before children are bred from them, and before a surrogate learns from them.
INITIAL = 12
#: Draws of the surrogate that a choice is the mean of.
DRAWS = 3
#: With every so many trained networks one more is chosen at a time: the more is known, the less the
#: next answer changes what is best, and the longer it takes to find it.
TRAINED_PER_CHOICE = 500
#: The share of networks that are chosen at random, while nothing is known and afterwards.
RANDOM_AT_FIRST = 0.3
RANDOM_LATER = 0.05


class Planner:
    """Chooses by what a `learner` says of candidates beside a `history`; it keeps nothing."""

    def __init__(
        self,
        history: History,
        learner: Learner,
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint],
        seed: int,
    ) -> None:
        self._history = history
        self._learner = learner
        self._objectives = objectives
        self._constraints = constraints
        self._seed = seed

    def best(
        self,
        candidates: Sequence[Candidate],
        pending: Sequence[Candidate],
        count: int,
        rng: np.random.Generator,
    ) -> list[Candidate]:
        """The `count` candidates most worth training beside those `pending`.

        In their own order where there are no more than that.
        """
        if len(candidates) <= count:
            return list(candidates)
        with one_thread():
            taken, draws = self._outlook(candidates, pending, rng)
            return [candidates[n] for n in choose(taken, draws, count, rng)]

    def plan(
        self, waiting: Waiting, pending: Sequence[Candidate], chosen: int, at_least: int
    ) -> Plan:
        """Who of some that wait is trained next, `at_least` so many, after `chosen` in all."""
        rng = np.random.default_rng([self._seed, chosen, 2])
        trained = self._history.trained
        share = RANDOM_LATER if trained >= INITIAL else RANDOM_AT_FIRST
        count = min(max(at_least, trained // TRAINED_PER_CHOICE, 1), len(waiting))
        lucky = _drawn(int((rng.random(count) < share).sum()), len(waiting), rng)
        if len(lucky) == count:
            return Plan(next=lucky)
        with one_thread():
            taken, draws = self._outlook(waiting.candidates, pending, rng)
            surplus = waiting.surplus(ranked(taken, draws, rng))
            best = [place for place in choose(taken, draws, count, rng) if place not in lucky]
        following = [*best[: count - len(lucky)], *lucky]
        return Plan(next=following, dropped=[n for n in surplus if n not in following])

    def _outlook(
        self,
        candidates: Sequence[Candidate],
        pending: Sequence[Candidate],
        rng: np.random.Generator,
    ) -> tuple[Points, list[Draw]]:
        outlook = Outlook(
            self._history, self._learner, pending, self._objectives, self._constraints, INITIAL
        )
        return outlook.draws(candidates, DRAWS, rng)


def _drawn(count: int, places: int, rng: np.random.Generator) -> list[int]:
    """Different places at random."""
    drawn: dict[int, None] = {}
    while len(drawn) < count:
        drawn[int(rng.integers(places))] = None
    return list(drawn)
