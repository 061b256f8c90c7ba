"""One draw of a regression forest: randomised trees, each on its own bootstrap sample.

Trees find what a smooth kernel cannot: that one option at one place ruins a network. What a small
forest says differs from draw to draw by about as much as is unknown, so a draw is a Thompson draw.

Notation: `n` observations, `q` queries, `d` features.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor

Array = NDArray[np.float64]

_TREES = 12
#: The share of features a split looks at.
_FEATURES = 0.5


def forest_draw(
    features: Array, targets: Array, weights: Array, queries: Array, rng: np.random.Generator
) -> Array:
    """Predictions `(q,)` for `queries` `(q, d)` of a forest drawn anew by `rng`.

    `features` are `(n, d)`, `targets` and `weights` of the observations `(n,)`. Extremely
    randomised trees (Geurts et al., 2006) on bootstrap samples.
    """
    forest = ExtraTreesRegressor(
        _TREES,
        max_features=_FEATURES,
        bootstrap=True,
        random_state=int(rng.integers(2**31)),
    )
    forest.fit(features, targets, sample_weight=weights)
    return np.asarray(forest.predict(queries), dtype=float)
