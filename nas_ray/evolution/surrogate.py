"""The surrogate: what candidates would reach if they were trained, by what is known of others.

An ensemble of two kinds of model over choices, costs and zero-shot scores. A Gaussian process
learns from a dozen networks and knows what it does not know; a forest finds the one option that
ruins a network. Each draw asks one of the two, at random, for one function that fits what is known
(Thompson sampling), so that workers which ask at the same time try different networks.

Notation: `n` known networks, `q` candidates, `K` metrics; values are minimised.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nas_ray.evolution.encoding import Encoding, Groups, OptionColumns
from nas_ray.evolution.forest import forest_draws
from nas_ray.evolution.gaussian_process import GaussianProcess, tuned_weights
from nas_ray.evolution.screen import Candidate
from nas_ray.evolution.winsorised import winsorised

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

#: How often a draw is the Gaussian process's; otherwise the forest's.
GAUSSIAN_SHARE = 2 / 3


@dataclass(frozen=True, kw_only=True)
class Known:
    """One network that was trained, in full or in part, or that failed.

    `values` are minimised; those of a `partial` network are where it is expected to end. How sure
    that is say its `variances`, by metric, and besides `doubt`, a share of the variance of all
    values.
    """

    candidate: Candidate
    values: Mapping[str, float]
    variances: Mapping[str, float] = field(default_factory=dict)
    doubt: float = 0.0
    partial: bool = False
    failed: bool = False


class Surrogate:
    """What the `known` say about `metrics` of other networks; `columns` are those of the space.

    `weights` are the kernel's by metric, from `tuned`. Everything is on the scale of `winsorised`
    known values, so draws of different metrics are alike.
    """

    def __init__(
        self,
        columns: OptionColumns,
        known: Sequence[Known],
        metrics: Sequence[str],
        weights: Mapping[str, Array],
    ) -> None:
        self._metrics = tuple(metrics)
        self._known = [k for k in known if not k.failed]
        self._all = known
        self._encoding = Encoding(columns, [k.candidate for k in known])
        self._groups = self._encoding.groups([k.candidate for k in self._known])
        #: Networks that were trained in part.
        self.doubtful = [k.candidate for k in self._known if k.partial]
        self._values = {m: np.array([k.values[m] for k in self._known]) for m in self._metrics}
        #: The known values by metric, on their scale: `(n,)` each, failed networks left out.
        self.scores: dict[str, Array] = {}
        # The variance of each on that scale.
        self._noise: dict[str, Array] = {}
        for metric, values in self._values.items():
            self.scores[metric], deviation = winsorised(values)
            self._noise[metric] = _noise(self._known, metric, deviation)
        self._processes = {
            metric: GaussianProcess(self._groups, scores, self._noise[metric], weights[metric])
            for metric, scores in self.scores.items()
        }

    def draws(self, candidates: Sequence[Candidate], count: int, rng: np.random.Generator) -> Array:
        """Functions that fit what is known, at the candidates: `(count, q, K)`."""
        groups = self._encoding.groups(candidates)
        smooth = int(rng.binomial(count, GAUSSIAN_SHARE))
        drawn = [
            np.vstack(
                [
                    self._processes[metric].draws(groups, smooth, rng),
                    self._grown(metric, groups, count - smooth, rng),
                ]
            )
            for metric in self._metrics
        ]
        return np.stack(drawn, axis=2)

    def mean(self, candidates: Sequence[Candidate]) -> Array:
        """What is expected of the candidates: `(q, K)`."""
        groups = self._encoding.groups(candidates)
        return np.array([self._processes[metric].mean(groups) for metric in self._metrics]).T

    def failing(self, candidates: Sequence[Candidate], rng: np.random.Generator) -> Flags:
        """Which candidates fail, in one draw: `(q,)` of booleans."""
        failed = np.array([k.failed for k in self._all], dtype=float)
        if not failed.any() or failed.all():
            return np.zeros(len(candidates), dtype=bool)
        features = np.hstack(self._encoding.groups([k.candidate for k in self._all]))
        queries = np.hstack(self._encoding.groups(candidates))
        (drawn,) = forest_draws(features, failed, np.ones(len(failed)), queries, 1, rng)
        return np.asarray(drawn > 0.5)

    def scores_of(self, metric: str, values: Sequence[float]) -> Array:
        """Where minimised `values` of `metric` are on the scale of the known, 1 beyond them."""
        order = np.argsort(self._values[metric], kind="stable")
        known, scores = self._values[metric][order], self.scores[metric][order]
        return np.asarray(
            np.interp(values, known, scores, left=scores[0] - 1, right=scores[-1] + 1)
        )

    def _grown(self, metric: str, groups: Groups, count: int, rng: np.random.Generator) -> Array:
        weights = 1 / (1 + self._noise[metric])
        features, queries = np.hstack(self._groups), np.hstack(groups)
        return forest_draws(features, self.scores[metric], weights, queries, count, rng)


def tuned(
    columns: OptionColumns,
    known: Sequence[Known],
    metrics: Sequence[str],
    rng: np.random.Generator,
) -> dict[str, Array]:
    """Kernel weights by metric that fit the `known` best."""
    trained = [k for k in known if not k.failed]
    encoding = Encoding(columns, [k.candidate for k in known])
    groups = encoding.groups([k.candidate for k in trained])
    weights = {}
    for metric in metrics:
        scores, deviation = winsorised(np.array([k.values[metric] for k in trained]))
        noise = _noise(trained, metric, deviation)
        weights[metric] = tuned_weights(groups, scores, noise, rng)
    return weights


def _noise(known: Sequence[Known], metric: str, deviation: float) -> Array:
    """How sure each value is, as a variance where `deviation` is 1: `(n,)`."""
    return np.array([k.doubt + k.variances.get(metric, 0.0) / deviation**2 for k in known])
