"""From everything told to a surrogate: which networks it learns from, and when it is tuned.

A surrogate is a function of the observations in their order and of the seed, of nothing else, so a
search that is restored has the same one. Fitting costs the third power of the number of networks:
of many it learns from those nearest to the front and a sample of the rest, and the weights of its
kernel are tuned at some counts of observations only.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from nas_ray.evolution.curves import Endings
from nas_ray.evolution.encoding import OptionColumns
from nas_ray.evolution.history import History
from nas_ray.evolution.improvement import behind
from nas_ray.evolution.observation import Observation
from nas_ray.evolution.screen import Candidate
from nas_ray.evolution.surrogate import Known, Surrogate, tuned
from nas_ray.pareto import non_dominated
from nas_ray.space import SearchSpace

Array = NDArray[np.float64]

#: Networks a surrogate learns from at most, and how many of them are those nearest to the front.
LARGEST = 400
NEAREST = 200
#: How doubtful it is that a network does here what it did elsewhere, as a share of all variance.
_ELSEWHERE = 0.1
#: The same of one that was stopped, while too few were trained in full to say.
_UNKNOWN = 0.5
#: The weights are tuned anew when there are this many times as many observations.
_GROWTH = 1.2


class Learner:
    """Makes surrogates of what a `history` says."""

    def __init__(self, space: SearchSpace, history: History, seed: int) -> None:
        self._columns = OptionColumns(space)
        self._history = history
        self._seed = seed
        self._made: tuple[tuple[object, ...], Surrogate] | None = None
        self._tuned: tuple[tuple[object, ...], dict[str, Array]] | None = None

    def surrogate(self, metrics: Mapping[str, float]) -> Surrogate:
        """The surrogate for `metrics`: their names, with the sign that makes less better."""
        told = len(self._history)
        state = (told, self._history.replaced, *metrics)
        if self._made is None or self._made[0] != state:
            known = self._known(told, metrics)
            weights = self._weights(_last_tuning(told), metrics)
            self._made = (state, Surrogate(self._columns, known, tuple(metrics), weights))
        return self._made[1]

    def _weights(self, told: int, metrics: Mapping[str, float]) -> dict[str, Array]:
        state = (told, self._history.replaced, *metrics)
        if self._tuned is None or self._tuned[0] != state:
            rng = np.random.default_rng([self._seed, told, 4])
            known = self._known(told, metrics)
            self._tuned = (state, tuned(self._columns, known, tuple(metrics), rng))
        return self._tuned[1]

    def _known(self, told: int, metrics: Mapping[str, float]) -> list[Known]:
        """What the first `told` observations teach, or those of them that teach most."""
        chosen = [self._history[place] for place in self._worth_learning(told)]
        endings = Endings([o for o in chosen if o.final])
        return [_known(observation, metrics, endings) for observation in chosen]

    def _worth_learning(self, told: int) -> NDArray[np.intp]:
        if told <= LARGEST:
            return np.arange(told)
        points = self._history.points[:told]
        trained = np.flatnonzero(~np.isnan(points).any(axis=1))
        low, span = points[trained].min(axis=0), np.ptp(points[trained], axis=0)
        scaled = (points - low) / np.where(span > 0, span, 1.0)
        front = scaled[trained][non_dominated(scaled[trained])]
        distance = np.full(told, np.inf)
        distance[trained] = behind(front, scaled[trained])
        order = np.argsort(distance, kind="stable")
        rng = np.random.default_rng([self._seed, told, 5])
        others = rng.permutation(order[NEAREST:])[: LARGEST - NEAREST]
        return np.sort(np.concatenate([order[:NEAREST], others]))


def _last_tuning(told: int) -> int:
    """The largest count up to `told` at which weights are tuned."""
    count = 1
    while (following := max(count + 1, int(count * _GROWTH))) <= told:
        count = following
    return count


def _known(observation: Observation, metrics: Mapping[str, float], endings: Endings) -> Known:
    candidate = Candidate(
        config=observation.config, costs=observation.costs, scores=observation.scores
    )
    if observation.failed:
        return Known(candidate=candidate, values={}, failed=True)
    if observation.final or not observation.curve:
        values = {name: sign * observation.metrics[name] for name, sign in metrics.items()}
        return Known(candidate=candidate, values=values, partial=not observation.final)
    ends = {name: endings.of(observation, name) for name in metrics}
    unknown = any(end.variance is None for end in ends.values())
    return Known(
        candidate=candidate,
        values={name: sign * ends[name].value for name, sign in metrics.items()},
        variances={name: end.variance or 0.0 for name, end in ends.items()},
        doubt=_UNKNOWN * unknown + _ELSEWHERE * observation.elsewhere,
        partial=not observation.elsewhere,
    )
