"""Draws of a regression forest: randomised trees, each on its own bootstrap sample.

Trees find what a smooth kernel cannot: that one option at one place ruins a network. What a few
trees say differs from draw to draw by about as much as is unknown, so a draw is a Thompson draw.

Notation: `n` observations, `q` queries, `d` features.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor

Array = NDArray[np.float64]

#: Trees a draw is the mean of.
_TREES = 6
#: The share of features a split looks at.
_FEATURES = 0.5


def forest_draws(
    features: Array,
    targets: Array,
    weights: Array,
    queries: Array,
    count: int,
    rng: np.random.Generator,
) -> Array:
    """Predictions `(count, q)` for `queries` `(q, d)`, each of a few trees drawn anew by `rng`.

    `features` are `(n, d)`, `targets` and `weights` of the observations `(n,)`. Extremely
    randomised trees (Geurts et al., 2006) on bootstrap samples.
    """
    if count == 0:
        return np.empty((0, len(queries)))
    forest = ExtraTreesRegressor(
        count * _TREES,
        max_features=_FEATURES,
        bootstrap=True,
        random_state=int(rng.integers(2**31)),
    )
    forest.fit(features, targets, sample_weight=weights)
    single = np.array([tree.predict(queries) for tree in forest.estimators_])
    return np.asarray(single.reshape(count, _TREES, -1).mean(axis=1))
