"""From one device to another by whole networks measured on the other.

The estimates of subgraphs stay the starting point. Four levels, each a special case of the next:

    plain    e_s                      the estimate as it is
    scaled   c e_s                    one factor
    kinds    w_0 e_s + sum_j w_j x_sj, w >= 0: what operators of each kind cost, x_s their work
    smooth   kinds * (1 + g(u_s))     g a Gaussian process over the make-up u_s of subgraphs

A network is the sum of its subgraphs at every level. In `kinds` a ridge holds the rates `w` down;
in `smooth` the network's kernel is the sum over pairs of its subgraphs, which is exact. Strengths
and the level are chosen by the error on networks left out, so the richer level must earn its
place: with few or noisy measurements the result is the plain or the scaled estimate.

Axes: `N` measured networks, `S` their different subgraphs, `F` = 1 + W features, `A` anchors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.spatial.distance import cdist
from scipy.stats import t as student
from threadpoolctl import threadpool_limits

from nas_ray.errors import DeviceError
from nas_ray.estimate.work import KINDS, make_up, work
from nas_ray.graph import Graph

Array = NDArray[np.float64]

FEWEST_NETWORKS = 2
LEVEL = 0.95
_RIDGES = 10.0 ** np.arange(-3.5, 1.1, 0.5)
#: Below this many networks each is left out alone, above it a tenth of them at a time.
_LEAVE_ONE_OUT = 20
#: Below this many networks a Gaussian process has nothing to hold on to.
_FEWEST_SMOOTH = 40
_LENGTHS = (1.0, 2.0, 4.0)
_SIGNALS = (0.3, 1.0, 3.0, 10.0, 30.0)
#: A richer level must be better by this share of the squared error, or it is luck.
_GAIN = 0.01
_LEAST_MS = 1e-9
_CHUNK = 1000


@dataclass(frozen=True, kw_only=True)
class Smooth:
    """g at a make-up: `values` `(A,)` at `anchors` `(A, P)`, fading with distance over `length`."""

    anchors: Array
    values: Array
    length: float

    def __call__(self, makes: Array) -> Array:
        """`(S, P)` to relative corrections `(S,)`, which take at most nine tenths away."""
        # Not a matrix product: BLAS rounds a row differently in batches of different size.
        near = _nearness(makes, self.anchors, self.length)
        return np.asarray(np.maximum((near * self.values).sum(axis=1), -0.9))


@dataclass(frozen=True, kw_only=True)
class Correction:
    """A fitted correction of `level` plain, scaled, kinds or smooth.

    `rates` `(F,)` are ms for one ms of estimate and for one unit of each work. `held_out_ms`
    `(N,)`, in the order of the measurements, is what is said of each network by a fit without it;
    `upper_factor` times a latency is the upper end for 95 of 100 networks.
    """

    level: str
    rates: Array
    smooth: Smooth | None
    held_out_ms: Array
    upper_factor: float

    def apply(self, graphs: Sequence[Graph], base_ms: Array) -> Array:
        """Corrected latency of each subgraph `(S,)` that was estimated to take `base_ms`."""
        if not graphs:
            return np.zeros(0)
        features = np.column_stack([base_ms, [work(graph) for graph in graphs]])
        corrected = (features * self.rates).sum(axis=1)
        if self.smooth is not None:
            corrected = corrected * (1 + self.smooth(np.array([make_up(g) for g in graphs])))
        return np.asarray(np.maximum(corrected, _LEAST_MS))


@dataclass(frozen=True, kw_only=True)
class _Problem:
    """`counts` `(N, S)`, `features` `(S, F)`, `makes` `(S, P)`, `measured_ms` and `fold` `(N,)`."""

    counts: Array
    features: Array
    makes: Array
    measured_ms: Array
    fold: NDArray[np.intp]

    def networks(self) -> Array:
        """Features of networks `(N, F)`."""
        return self.counts @ self.features


def fit_correction(
    networks: Sequence[Mapping[str, int]],
    parts: Mapping[str, Graph],
    base_ms: Mapping[str, float],
    measured_ms: Sequence[float],
) -> Correction:
    """The correction that `measured_ms` of `networks` ask for, whatever their order.

    A network maps signatures of subgraphs to how often they occur; `parts` and `base_ms` hold
    each of them. Raises DeviceError for fewer than two networks.
    """
    if len(networks) < FEWEST_NETWORKS:
        raise DeviceError(
            f"a correction needs at least {FEWEST_NETWORKS} measured networks, but there "
            f"{'is 1' if networks else 'are 0'}. Measure more."
        )
    keyed = [
        (sorted(network.items()), ms) for network, ms in zip(networks, measured_ms, strict=True)
    ]
    order = sorted(range(len(keyed)), key=lambda n: keyed[n])
    with threadpool_limits(limits=1):
        chosen = _best(
            _problem([networks[n] for n in order], parts, base_ms, [measured_ms[n] for n in order])
        )
    held_out_ms = np.empty(len(order))
    held_out_ms[order] = chosen.held_out_ms
    return replace(chosen, held_out_ms=held_out_ms)


def _problem(
    networks: Sequence[Mapping[str, int]],
    parts: Mapping[str, Graph],
    base_ms: Mapping[str, float],
    measured_ms: Sequence[float],
) -> _Problem:
    keys = sorted({key for network in networks for key in network})
    place = {key: n for n, key in enumerate(keys)}
    counts = np.zeros((len(networks), len(keys)))
    for row, network in zip(counts, networks, strict=True):
        for key, count in network.items():
            row[place[key]] = count
    folds = len(networks) if len(networks) <= _LEAVE_ONE_OUT else 10
    return _Problem(
        counts=counts,
        features=np.array([[base_ms[key], *work(parts[key])] for key in keys]),
        makes=np.array([make_up(parts[key]) for key in keys]),
        measured_ms=np.array(measured_ms, dtype=np.float64),
        fold=np.random.default_rng(0).permutation(len(networks)) % folds,
    )


def _best(problem: _Problem) -> Correction:
    """The plainest level that no richer one beats."""
    best = _scaled(problem, plain=True)
    kinds = _kinds(problem)
    for richer in (_scaled(problem, plain=False), kinds, _smooth(problem, kinds)):
        if richer is not None and _error(problem, richer) < (1 - _GAIN) * _error(problem, best):
            best = richer
    return best


def _error(problem: _Problem, correction: Correction) -> float:
    """Mean squared relative error on networks left out."""
    return float(np.mean(np.square(correction.held_out_ms / problem.measured_ms - 1)))


def _made(
    problem: _Problem, level: str, rates: Array, held_out_ms: Array, smooth: Smooth | None = None
) -> Correction:
    # An estimate of nothing would be off by an infinite factor.
    held_out_ms = np.maximum(held_out_ms, 1e-3 * problem.measured_ms)
    return Correction(
        level=level,
        rates=rates,
        smooth=smooth,
        held_out_ms=held_out_ms,
        upper_factor=_upper_factor(np.log(problem.measured_ms / held_out_ms)),
    )


def _scaled(problem: _Problem, *, plain: bool) -> Correction:
    base = problem.counts @ problem.features[:, 0]
    ratios = np.log(problem.measured_ms / base)
    factor = 0.0 if plain else ratios.mean()
    left_out = 0.0 if plain else (ratios.sum() - ratios) / (len(ratios) - 1)
    rates = np.zeros(problem.features.shape[1])
    rates[0] = np.exp(factor)
    return _made(problem, "plain" if plain else "scaled", rates, base * np.exp(left_out))


def _kinds(problem: _Problem) -> Correction:
    features = problem.networks()
    # One unit of estimate, of operators, of MACs and of traffic is what a network has on average.
    means = features.mean(axis=0)
    work_units = np.tile(means[1:].reshape(len(KINDS), -1).sum(axis=0), len(KINDS))
    units = np.maximum([means[0], *work_units], 1e-12) / problem.measured_ms.mean()
    rows = features / units / problem.measured_ms[:, None]
    left_out = [_left_out(rows, problem.fold, ridge) for ridge in _RIDGES]
    errors = [np.mean(np.square(held_out - 1)) for held_out in left_out]
    chosen = int(np.argmin(errors))
    rates = _ridge(rows, _RIDGES[chosen]) / units
    return _made(problem, "kinds", rates, left_out[chosen] * problem.measured_ms)


def _ridge(rows: Array, ridge: float) -> Array:
    """Rates >= 0 that bring `rows` `(N, F)` close to 1 while they are small themselves."""
    penalty = np.sqrt(ridge) * np.eye(rows.shape[1])
    target = np.concatenate([np.ones(len(rows)), np.zeros(len(penalty))])
    rates, _ = nnls(np.vstack([rows, penalty]), target, maxiter=100 * len(penalty))
    return np.asarray(rates)


def _left_out(rows: Array, fold: NDArray[np.intp], ridge: float) -> Array:
    held_out = np.empty(len(rows))
    for k in range(fold.max() + 1):
        held_out[fold == k] = rows[fold == k] @ _ridge(rows[fold != k], ridge)
    return held_out


def _smooth(problem: _Problem, kinds: Correction) -> Correction | None:
    """`kinds` and a Gaussian process on its relative residuals; None with too few networks."""
    measured_ms = problem.measured_ms
    if len(measured_ms) < _FEWEST_SMOOTH:
        return None
    part_ms = problem.features @ kinds.rates
    anchors, place = np.unique(problem.makes, axis=0, return_inverse=True)
    shares = np.zeros((len(measured_ms), len(anchors)))
    np.add.at(shares.T, place.ravel(), (problem.counts * part_ms / measured_ms[:, None]).T)
    left_out = 1 - kinds.held_out_ms / measured_ms
    tried = []
    for length in _LENGTHS:
        kernel = _network_kernel(shares, anchors, length)
        for signal in _SIGNALS:
            inverse = np.linalg.inv(signal * kernel + np.eye(len(kernel)))
            # Leaving one out of a Gaussian process (Rasmussen and Williams, 2006, eq. 5.12).
            error = inverse @ left_out / np.diag(inverse)
            tried.append((float(np.mean(error**2)), length, signal, error, inverse))
    _, length, signal, error, inverse = min(tried, key=lambda one: one[0])
    values = signal * (shares.T @ (inverse @ (1 - shares.sum(axis=1))))
    smooth = Smooth(anchors=anchors, values=values, length=length)
    return _made(problem, "smooth", kinds.rates, (1 - error) * measured_ms, smooth)


def _nearness(makes: Array, anchors: Array, length: float) -> Array:
    return np.asarray(np.exp(-cdist(makes, anchors, "sqeuclidean") / (2 * length**2)))


def _network_kernel(shares: Array, anchors: Array, length: float) -> Array:
    """`(N, N)`: the kernel summed over the subgraphs of two networks, by blocks of anchors."""
    kernel = np.zeros((len(shares), len(shares)))
    for first in range(0, len(anchors), _CHUNK):
        block = slice(first, first + _CHUNK)
        kernel += shares[:, block] @ (_nearness(anchors[block], anchors, length) @ shares.T)
    return kernel


def _upper_factor(residuals: Array) -> float:
    """The 95 % quantile of measured / predicted: conformal, or by Student's t with few networks."""
    count = len(residuals)
    rank = int(np.ceil((count + 1) * LEVEL))
    if rank <= count:
        return float(np.exp(max(0.0, np.sort(residuals)[rank - 1])))
    spread = np.sqrt(np.mean(residuals**2) * (1 + 1 / count))
    return float(np.exp(student.ppf(LEVEL, count - 1) * spread))
