"""Gaussian-process regression over groups of features, with exact joint draws.

Notation: `n` observations, `q` queries, `G` groups; features are G matrices `(n, columns)`. The
kernel is a Matérn 5/2 (Rasmussen and Williams, 2006, eq. 4.17) of the distance
r² = sum over groups of w_g |x_g - x'_g|²; the noise of observation i is w_G + noise_i of the
signal's variance. Networks that differ in few choices, or cost and score alike, are alike.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

Array = NDArray[np.float64]

#: Random weights tried, then how many steps from the best of them.
_STARTS = 16
_STEPS = 16
_WEIGHTS = (0.01, 3.0)
_NOISES = (1e-3, 0.3)
_JITTER = 1e-6
_TINY = 1e-300


class GaussianProcess:
    """The posterior given `targets` `(n,)` of mean near 0; `weights` `(G + 1,)`, the noise last."""

    def __init__(
        self, groups: Sequence[Array], targets: Array, noise: Array, weights: Array
    ) -> None:
        self._groups = groups
        self._weights = weights
        kernel = _matern(_distances(groups, groups), weights)
        self._factor = np.linalg.cholesky(kernel + np.diag(weights[-1] + noise))
        self._whitened = solve_triangular(self._factor, targets, lower=True)
        #: The variance of the signal that makes the targets most likely.
        self.variance = float(self._whitened @ self._whitened) / max(1, len(targets))

    def mean(self, groups: Sequence[Array]) -> Array:
        """Posterior means of the queries: `(q,)`."""
        return np.asarray(self._projected(groups).T @ self._whitened)

    def draws(self, groups: Sequence[Array], count: int, rng: np.random.Generator) -> Array:
        """Functions drawn from the posterior, at the queries: `(count, q)`."""
        projected = self._projected(groups)
        prior = _matern(_distances(groups, groups), self._weights)
        covariance = prior - projected.T @ projected + _JITTER * np.eye(projected.shape[1])
        factor = np.linalg.cholesky(covariance * self.variance + 1e-12 * np.eye(len(covariance)))
        noise = rng.standard_normal((count, len(factor))) @ factor.T
        return np.asarray(projected.T @ self._whitened + noise)

    def _projected(self, groups: Sequence[Array]) -> Array:
        cross = _matern(_distances(self._groups, groups), self._weights)
        return np.asarray(solve_triangular(self._factor, cross, lower=True))


def tuned_weights(
    groups: Sequence[Array], targets: Array, noise: Array, rng: np.random.Generator
) -> Array:
    """The weights `(G + 1,)` that make the targets most likely, of some drawn on a log scale."""
    low, high = np.log([[_WEIGHTS[0]] * len(groups) + [_NOISES[0]],
                        [_WEIGHTS[1]] * len(groups) + [_NOISES[1]]])  # fmt: skip
    distances = _distances(groups, groups)
    best, best_likelihood = (low + high) / 2, -np.inf
    for step in range(_STARTS + _STEPS):
        nearby = best + rng.normal(0, 0.5, len(best))
        drawn = rng.uniform(low, high) if step < _STARTS else np.clip(nearby, low, high)
        likelihood = _log_likelihood(distances, targets, noise, np.exp(drawn))
        if likelihood > best_likelihood:
            best, best_likelihood = drawn, likelihood
    return np.asarray(np.exp(best))


def _log_likelihood(distances: Array, targets: Array, noise: Array, weights: Array) -> float:
    kernel = _matern(distances, weights) + np.diag(weights[-1] + noise)
    factor = np.linalg.cholesky(kernel)
    whitened = solve_triangular(factor, targets, lower=True)
    variance = float(whitened @ whitened) / len(targets)
    # The variance is the one that makes the targets most likely (ibid., ch. 5.4.1, profiled out).
    determinant = float(np.log(np.diag(factor)).sum())
    return -0.5 * len(targets) * float(np.log(variance + _TINY)) - determinant


def _distances(first: Sequence[Array], second: Sequence[Array]) -> Array:
    """Squared distances by group: `(G, n, q)`."""
    return np.array([
        np.maximum((a * a).sum(1)[:, None] + (b * b).sum(1)[None, :] - 2 * a @ b.T, 0)
        for a, b in zip(first, second, strict=True)
    ])  # fmt: skip


def _matern(distances: Array, weights: Array) -> Array:
    r = np.sqrt(5 * np.tensordot(weights[:-1], distances, axes=1) + 1e-12)
    return (1 + r + r * r / 3) * np.exp(-r)
