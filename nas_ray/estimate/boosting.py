"""Gradient boosting by scikit-learn, its trees taken out as plain arrays."""

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from nas_ray.estimate.trees import Array, Trees


def fit_trees(rows: Array, target: Array) -> Trees:
    """Gradient boosting of `target` `(N,)` on `rows` `(N, F)`; deterministic."""
    return _fitted(
        HistGradientBoostingRegressor(
            max_iter=300,
            learning_rate=0.1,
            max_leaf_nodes=200,
            min_samples_leaf=5,
            max_features=0.3,
            l2_regularization=0.1,
            early_stopping=False,
            random_state=0,
        ),
        rows,
        target,
    )


def fit_chances(rows: Array, target: NDArray[np.bool_]) -> Trees:
    """Fit how likely `target` `(N,)` is on `rows` `(N, F)`: the mean of what is like it."""
    return _fitted(
        HistGradientBoostingRegressor(
            max_iter=60,
            learning_rate=0.2,
            max_leaf_nodes=40,
            min_samples_leaf=5,
            max_features=0.5,
            early_stopping=False,
            random_state=0,
        ),
        rows,
        target.astype(np.float64),
    )


def fit_small_trees(rows: Array, target: Array) -> Trees:
    """The same, coarser: for a `target` that is mostly noise."""
    return _fitted(
        HistGradientBoostingRegressor(
            max_iter=80,
            max_leaf_nodes=15,
            min_samples_leaf=30,
            early_stopping=False,
            random_state=0,
        ),
        rows,
        target,
    )


def _fitted(regressor: HistGradientBoostingRegressor, rows: Array, target: Array) -> Trees:
    # Boosting spins its threads between short steps: on shared cores that is 30 times slower.
    with threadpool_limits(limits=1):
        return trees_of(regressor.fit(rows, target))


def trees_of(regressor: HistGradientBoostingRegressor) -> Trees:
    """The trees of a fitted regressor; its categories are not followed."""
    # The one place that reads them: scikit-learn has no public form of these trees, and every
    # converter (ONNX, Treelite) reads the same attributes.
    found = [trees[0].nodes for trees in regressor._predictors]  # noqa: SLF001
    baseline = float(np.ravel(regressor._baseline_prediction)[0])  # noqa: SLF001
    nodes = max(map(len, found))
    made = {name: np.zeros((len(found), nodes)) for name in _OF_SCIKIT_LEARN}
    for tree, rows in enumerate(found):
        own = np.arange(len(rows))
        leaf = rows["is_leaf"].astype(bool)
        for name, theirs in _OF_SCIKIT_LEARN.items():
            made[name][tree, : len(rows)] = rows[theirs]
        made["left"][tree, : len(rows)][leaf] = own[leaf]
        made["right"][tree, : len(rows)][leaf] = own[leaf]
        made["value"][tree, : len(rows)][~leaf] = 0.0
    return Trees(
        feature=made["feature"].astype(np.int16),
        threshold=made["threshold"],
        left=made["left"].astype(np.int16),
        right=made["right"].astype(np.int16),
        nan_left=made["nan_left"].astype(np.bool_),
        value=made["value"],
        baseline=np.array(baseline),
    )


_OF_SCIKIT_LEARN = {
    "feature": "feature_idx",
    "threshold": "num_threshold",
    "left": "left",
    "right": "right",
    "nan_left": "missing_go_to_left",
    "value": "value",
}
