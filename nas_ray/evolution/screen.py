"""The pre-filter: of many candidates with known costs, the few that are worth training.

Costs are known before training, so they gate: a candidate that breaks a constraint goes no
further. Of the rest the zero-shot scores say which look trainable; a candidate is worth training
when no other in the pool looks better at no more cost. A share is drawn at random, because
zero-shot scores filter well and select badly.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nas_ray.errors import SearchError
from nas_ray.evolution.proposal import best_first
from nas_ray.objective import Constraint, Objective
from nas_ray.space import Config
from nas_ray.zero_shot import log_rank


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A config on its way to training: what it costs, and how its untrained network scores.

    `error` says why it cannot be built, where it cannot.
    """

    config: Config
    costs: Mapping[str, float] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    error: str = ""

    def plain(self) -> dict[str, Any]:
        """It as JSON; `Candidate(**plain)` is the same again."""
        return {
            "config": self.config,
            "costs": dict(self.costs),
            "scores": dict(self.scores),
            "error": self.error,
        }


@dataclass(frozen=True, kw_only=True)
class Screen:
    """How wide the funnel is: `pool` candidates costed, `scored` of them scored, `kept` trained.

    With a surrogate all that were scored wait, and it chooses; a pass then comes for every
    `kept // 2` trials. Without one the best `kept` by score wait, a `random_share` of them random.
    """

    pool: int = 256
    scored: int = 48
    kept: int = 8
    random_share: float = 0.25

    def __post_init__(self) -> None:
        if not (self.pool >= 1 and self.scored >= 0 and self.kept >= 1):
            raise SearchError(
                "`pool >= 1`, `scored >= 0` and `kept >= 1` must hold, but got "
                f"pool={self.pool}, scored={self.scored}, kept={self.kept}."
            )
        if not 0 <= self.random_share <= 1:
            raise SearchError(
                f"`0 <= random_share <= 1` must hold, but got random_share={self.random_share}."
            )


def violation(candidate: Candidate, constraints: Sequence[Constraint]) -> float:
    """How far the known costs break the constraints, as a sum of relative excesses; 0 if they hold.

    A constraint on something that is not a cost waits until it is reported.
    """
    if candidate.error:
        return math.inf
    return sum(
        constraint.violation(candidate.costs[constraint.quantity]) / _scale(constraint)
        for constraint in constraints
        if constraint.quantity in candidate.costs
    )


def _scale(constraint: Constraint) -> float:
    bounds = (constraint.upper, constraint.lower)
    return next((abs(b) for b in bounds if math.isfinite(b) and b != 0), 1.0)


def worth_scoring(
    candidates: Sequence[Candidate], count: int, rng: np.random.Generator
) -> list[Candidate]:
    """At most `count` of the feasible candidates, drawn evenly."""
    if len(candidates) <= count:
        return list(candidates)
    return [candidates[i] for i in sorted(rng.permutation(len(candidates))[:count])]


def worth_training(
    candidates: Sequence[Candidate],
    objectives: Sequence[Objective],
    screen: Screen,
    rng: np.random.Generator,
) -> list[Candidate]:
    """The `screen.kept` candidates to train, best first.

    Sorted by non-dominated rank of (zero-shot ensemble, known costs that are objectives), the less
    crowded first within a front; a share at random takes the last places.
    """
    if len(candidates) <= 1:
        return list(candidates)
    scored = any(c.scores for c in candidates)
    ensemble = log_rank([c.scores for c in candidates]) if scored else np.zeros(len(candidates))
    cost = [o for o in objectives if all(o.metric in c.costs for c in candidates)]
    points = np.array(
        [
            [-ensemble[n], *(o.minimised(c.costs[o.metric]) for o in cost)]
            for n, c in enumerate(candidates)
        ]
    )
    order = best_first(points, len(points))
    by_rank = screen.kept - round(screen.kept * screen.random_share)
    rest = rng.permutation(order[by_rank:])
    chosen = [*order[:by_rank], *rest][: screen.kept]
    return [candidates[i] for i in chosen]
