"""Boosted regression trees as plain arrays: kept without a pickle, walked without scikit-learn.

Axes: `N` rows, `F` features, `T` trees, `M` nodes of the largest tree.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Rows at once: temporaries stay in the cache.
_AT_ONCE = 256
_DEEPEST = 64


@dataclass(frozen=True, kw_only=True)
class Trees:
    """A sum of regression trees.

    At node `n` a row goes to `left` if its `feature` is at most `threshold`, or if it is NaN and
    `nan_left` says so, else to `right`; a leaf goes to itself and is worth `value`. All but
    `baseline` are `(T, M)`.
    """

    feature: NDArray[np.int16]
    threshold: NDArray[np.float64]
    left: NDArray[np.int16]
    right: NDArray[np.int16]
    nan_left: NDArray[np.bool_]
    value: NDArray[np.float64]
    baseline: NDArray[np.float64]

    def predict(self, rows: Array) -> Array:
        """`(N,)` for `rows` `(N, F)`; a row's number does not depend on the others."""
        parts = [self._few(rows[n : n + _AT_ONCE]) for n in range(0, len(rows), _AT_ONCE)] or [
            np.zeros(0)
        ]
        return np.concatenate(parts)

    def _few(self, rows: Array) -> Array:
        trees, nodes = self.feature.shape
        first = (np.arange(trees) * nodes)[None, :]
        feature, threshold = self.feature.ravel(), self.threshold.ravel()
        left = (self.left + first.T).ravel()
        right = (self.right + first.T).ravel()
        nan_left = self.nan_left.ravel()
        which = np.arange(len(rows))[:, None]
        node = np.broadcast_to(first, (len(rows), trees))
        for _ in range(_DEEPEST):
            values = rows[which, feature[node]]
            goes_left = (values <= threshold[node]) | (np.isnan(values) & nan_left[node])
            following = np.where(goes_left, left[node], right[node])
            if (following == node).all():
                break
            node = following
        return np.asarray(self.baseline + self.value.ravel()[node].sum(axis=1))

    def arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        """All arrays by name, for a file."""
        return {prefix + field.name: getattr(self, field.name) for field in fields(self)}


def from_arrays(arrays: Mapping[str, NDArray[Any]], prefix: str) -> Trees:
    """What `Trees.arrays` gave."""
    return Trees(**{field.name: arrays[prefix + field.name] for field in fields(Trees)})
