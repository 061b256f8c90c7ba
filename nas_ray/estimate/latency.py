"""Latency of subgraphs, regressed on a measurement table.

`N` rows of the table, `G` graphs asked about. First physics: a non-negative least-squares fit of
arithmetic and traffic. Then gradient boosting on what is left, log(measured / physics). Each of
a few models has not seen one fold of the table: their mean is the prediction, and what each says
about its own unseen fold tells how far off it is. Nothing is kept on disk: fitting takes about
as long as checking a cache against its table would be worth.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from nas_ray.errors import DeviceError
from nas_ray.estimate.features import Array, features, operator_table, prior_terms
from nas_ray.graph import Graph

FOLDS = 3
_FEWEST_ROWS = 30
#: Work may lie this factor outside the table's range before an estimate counts as a guess. Most
#: features are logarithms; a plain count must not exceed the table's at all.
_RANGE_SLACK = 1.1


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Of held-out subgraphs: mean absolute error relative to the table, share within 10 %."""

    mape: float
    within_10_percent: float
    subgraphs: int


@dataclass(frozen=True, kw_only=True)
class LatencyModel:
    """A fitted regression.

    `residuals` `(N,)` are log(measured / predicted) of unseen rows, `predicted_ms` `(N,)` the
    predictions they belong to; `kinds` and the two bounds `(F,)` of the features tell what the
    table covers.
    """

    coefficients: Array
    models: tuple[Any, ...]
    factor: int
    residuals: Array
    predicted_ms: Array
    kinds: frozenset[str]
    low: Array
    high: Array

    def predict_ms(self, graphs: Sequence[Graph]) -> tuple[Array, NDArray[np.bool_]]:
        """Latency of each graph, and whether it lies outside what the table covers; both `(G,)`."""
        if not graphs:
            return np.zeros(0), np.zeros(0, dtype=np.bool_)
        prior, x = _inputs(graphs, self.factor, self.coefficients)
        with _one_thread():
            correction = np.mean([model.predict(x) for model in self.models], axis=0)
        outside = ((x < self.low) | (x > self.high)).any(axis=1)
        unknown = np.array([not _kinds(graph) <= self.kinds for graph in graphs])
        return prior * np.exp(correction), outside | unknown

    @property
    def accuracy(self) -> Accuracy:
        """Cross-validated on the table itself."""
        error = np.abs(np.exp(-self.residuals) - 1)
        return Accuracy(
            mape=float(error.mean()),
            within_10_percent=float((error <= 0.1).mean()),
            subgraphs=len(error),
        )


def fit(graphs: Sequence[Graph], latency_ms: Array, parallelism_factor: int) -> LatencyModel:
    """The regression of `latency_ms` `(N,)` on `graphs`; the same data give the same model.

    Raises DeviceError for a table too small to hold a part of it out.
    """
    if len(graphs) < _FEWEST_ROWS:
        raise DeviceError(
            f"a latency model needs at least {_FEWEST_ROWS} measured subgraphs, but the table has "
            f"{len(graphs)}. Measure more with `nas-ray profile`."
        )
    coefficients = _physics(graphs, latency_ms, parallelism_factor)
    prior, x = _inputs(graphs, parallelism_factor, coefficients)
    target = np.log(latency_ms / prior)
    fold = np.random.default_rng(0).permutation(len(graphs)) % FOLDS
    predicted = np.empty(len(graphs))
    models = []
    for k in range(FOLDS):
        with _one_thread():
            models.append(_regressor().fit(x[fold != k], target[fold != k]))
            predicted[fold == k] = models[-1].predict(x[fold == k])
    slack = np.log(_RANGE_SLACK)
    return LatencyModel(
        coefficients=coefficients,
        models=tuple(models),
        factor=parallelism_factor,
        residuals=target - predicted,
        predicted_ms=prior * np.exp(predicted),
        kinds=frozenset().union(*map(_kinds, graphs)),
        low=x.min(axis=0) - slack,
        high=x.max(axis=0) + slack,
    )


def _regressor() -> Any:
    return HistGradientBoostingRegressor(
        max_iter=100,
        learning_rate=0.15,
        max_bins=64,
        max_leaf_nodes=31,
        l2_regularization=0.1,
        early_stopping=False,
        random_state=0,
    )


def _one_thread() -> Any:
    # Boosting spins its threads between short steps: on shared cores that is 30 times slower.
    return threadpool_limits(limits=1)


def _physics(graphs: Sequence[Graph], latency_ms: Array, factor: int) -> Array:
    """Coefficients `(T,)` >= 0 that make the relative error of the prior least."""
    terms = prior_terms(operator_table(graphs), factor)
    coefficients, _ = nnls(terms / latency_ms[:, None], np.ones(len(graphs)))
    return np.asarray(coefficients)


def _inputs(graphs: Sequence[Graph], factor: int, coefficients: Array) -> tuple[Array, Array]:
    """The prior in ms `(G,)` and the features `(G, F)`, the prior's logarithm first."""
    table = operator_table(graphs)
    # Not a matrix product: BLAS rounds a row differently in batches of different size.
    prior = np.maximum((prior_terms(table, factor) * coefficients).sum(axis=1), 1e-9)
    return prior, np.column_stack([np.log(prior), features(table, factor)])


def _kinds(graph: Graph) -> frozenset[str]:
    return frozenset(operator.kind for operator in graph.operators)
