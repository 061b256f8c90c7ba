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
        first = np.arange(trees) * nodes
        feature, threshold = self.feature.ravel(), self.threshold.ravel()
        left, right = (self.left + first[:, None]).ravel(), (self.right + first[:, None]).ravel()
        nan_left, is_leaf = self.nan_left.ravel(), left == np.arange(left.size)
        values, row = rows.ravel(), np.repeat(np.arange(len(rows)) * rows.shape[1], trees)
        # Trees of row 0, then of row 1, ...; a tree that is at a leaf is looked at no more.
        node = np.tile(first, len(rows))
        walking = np.flatnonzero(~is_leaf[node])
        for _ in range(nodes):  # enough for any tree; a damaged file may hold a ring
            if not walking.size:
                break
            at = node[walking]
            value = values[row[walking] + feature[at]]
            goes_left = (value <= threshold[at]) | (np.isnan(value) & nan_left[at])
            following = np.where(goes_left, left[at], right[at])
            node[walking] = following
            walking = walking[~is_leaf[following]]
        summed = self.value.ravel()[node].reshape(len(rows), trees).sum(axis=1)
        return np.asarray(self.baseline + summed)

    def arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        """All arrays by name, for a file."""
        return {prefix + field.name: getattr(self, field.name) for field in fields(self)}


def from_arrays(arrays: Mapping[str, NDArray[Any]], prefix: str) -> Trees:
    """What `Trees.arrays` gave."""
    return Trees(**{field.name: arrays[prefix + field.name] for field in fields(Trees)})
