"""What is expected of candidates before they are trained, as points to compare.

Notation: `q` candidates, `n` networks known or under way, `M` objectives; all minimised.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nas_ray.evolution.choosing import Draw
from nas_ray.evolution.history import History
from nas_ray.evolution.learner import Learner
from nas_ray.evolution.normal_scores import normal_scores
from nas_ray.evolution.screen import Candidate
from nas_ray.evolution.surrogate import Surrogate
from nas_ray.objective import Constraint, Objective
from nas_ray.pareto import Points
from nas_ray.zero_shot import log_rank

Array = NDArray[np.float64]

#: A network that fails is worse than one that breaks a constraint by any number of deviations.
_FAILURE = 100.0


def unknown_metrics(
    objectives: Sequence[Objective],
    constraints: Sequence[Constraint],
    candidates: Sequence[Candidate],
) -> dict[str, float]:
    """What only training tells, with the sign that makes less better, in objectives first."""
    metrics = {o.metric: o.minimised(1.0) for o in objectives}
    metrics |= {c.quantity: metrics.get(c.quantity, 1.0) for c in constraints}
    return {
        name: sign
        for name, sign in metrics.items()
        if not all(name in candidate.costs for candidate in candidates)
    }


class Axes:
    """Puts candidates on the axes of the objectives: costs as known, the rest as expected."""

    def __init__(self, objectives: Sequence[Objective], candidates: Sequence[Candidate]) -> None:
        self._objectives = objectives
        self._costs = {o.metric for o in objectives if all(o.metric in c.costs for c in candidates)}

    def has_place_for(self, candidate: Candidate) -> bool:
        """Whether its costs are known: not those of one that was told but could not be built."""
        return self._costs <= candidate.costs.keys()

    def points(self, candidates: Sequence[Candidate], expected: Mapping[str, Array]) -> Points:
        """Points `(q, M)`; `expected` are minimised values `(q,)` of what is not a cost."""
        axes = [
            self._cost_axis(o, candidates) if o.metric in self._costs else expected[o.metric]
            for o in self._objectives
        ]
        return np.array(axes, dtype=float).T.reshape(len(candidates), len(self._objectives))

    def _cost_axis(self, objective: Objective, candidates: Sequence[Candidate]) -> Array:
        costs = [objective.minimised(c.costs[objective.metric]) for c in candidates]
        return np.array(costs, dtype=float)


def ensemble_scores(candidates: Sequence[Candidate]) -> Array:
    """Normal scores `(q,)` by the zero-shot ensemble, lower is better; all 0 without scores.

    Without scores the number of multiply-accumulates stands in for them, which is a score as well
    (AZ-NAS's complexity, Lee and Ham, 2024) and known of every network that was traced.
    """
    rows = [c.scores for c in candidates]
    if not any(rows):
        rows = [{"macs": c.costs["macs"]} if "macs" in c.costs else {} for c in candidates]
    return -normal_scores(log_rank(rows)) if any(rows) else np.zeros(len(candidates))


class Outlook:
    """Where candidates will stand beside what is known and under way.

    `known` networks were trained, in full or in part; `pending` ones are being trained. Before
    `enough` are known the zero-shot ensemble stands in for the surrogate.
    """

    def __init__(
        self,
        history: History,
        learner: Learner,
        pending: Sequence[Candidate],
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint],
        enough: int,
    ) -> None:
        self._history = history
        self._learner = learner
        self._pending = list(pending)
        self._objectives = objectives
        self._constraints = constraints
        self._enough = enough

    def draws(
        self, candidates: Sequence[Candidate], count: int, rng: np.random.Generator
    ) -> tuple[Points, list[Draw]]:
        """Points `(n, M)` of what is known and under way, and the candidates by `count` draws."""
        metrics = unknown_metrics(self._objectives, self._constraints, candidates)
        if not metrics or self._history.trained < self._enough:
            return self._by_scores(candidates, metrics)
        front = self._history.front()
        on_front = [o.candidate for o in front]
        axes = Axes(self._objectives, [*candidates, *on_front])
        surrogate = self._learner.surrogate(metrics)
        reached = {
            metric: surrogate.scores_of(metric, [sign * o.metrics[metric] for o in front])
            for metric, sign in metrics.items()
        }
        taken = [axes.points(on_front, reached)]
        # Where a stopped network is expected to end, another like it adds nothing new.
        expected = [*filter(axes.has_place_for, [*self._pending, *surrogate.doubtful])]
        if expected:
            means = _columns(surrogate.mean(expected), metrics)
            taken.append(axes.points(expected, means))
        failing = np.where(surrogate.failing(candidates, rng), _FAILURE, 0.0)
        draws = [
            Draw(
                points=axes.points(candidates, drawn),
                unfit=failing + self._excess(surrogate, metrics, drawn),
            )
            for values in surrogate.draws(candidates, count, rng)
            for drawn in [_columns(values, metrics)]
        ]
        return np.vstack(taken), draws

    def _excess(
        self, surrogate: Surrogate, metrics: Mapping[str, float], drawn: Mapping[str, Array]
    ) -> Array | float:
        return sum(_excess(bound, surrogate, metrics, drawn) for bound in self._constraints)

    def _by_scores(
        self, candidates: Sequence[Candidate], metrics: Mapping[str, float]
    ) -> tuple[Points, list[Draw]]:
        trained = [o.candidate for o in self._history.observations if not o.failed]
        axes = Axes(self._objectives, [*candidates, *trained])
        others = [*trained, *filter(axes.has_place_for, self._pending)]
        ensemble = ensemble_scores([*others, *candidates])
        before, after = ensemble[: len(others)], ensemble[len(others) :]
        return (
            axes.points(others, dict.fromkeys(metrics, before)),
            [
                Draw(
                    points=axes.points(candidates, dict.fromkeys(metrics, after)),
                    unfit=np.zeros(len(candidates)),
                )
            ],
        )


def _columns(values: Array, metrics: Mapping[str, float]) -> dict[str, Array]:
    return {metric: values[:, k] for k, metric in enumerate(metrics)}


def _excess(
    constraint: Constraint,
    surrogate: Surrogate,
    metrics: Mapping[str, float],
    drawn: Mapping[str, Array],
) -> Array | float:
    """How far the drawn values break a constraint on what training tells."""
    metric = constraint.quantity
    if metric not in metrics:
        return 0.0
    bounds = sorted(metrics[metric] * bound for bound in (constraint.lower, constraint.upper))
    # A side without a bound is out of reach, however far beyond the known a draw may be.
    low, high = (
        float(surrogate.scores_of(metric, [bound])[0]) if math.isfinite(bound) else bound
        for bound in bounds
    )
    return np.maximum(drawn[metric] - high, 0) + np.maximum(low - drawn[metric], 0)
