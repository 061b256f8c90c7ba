"""Make the margins of estimates from rows that a regression had not seen.

Axes: `N` rows of the table, `G` parts of them, `O` operators of the parts.
"""

from collections import Counter

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression

from nas_ray.estimate.boosting import fit_small_trees
from nas_ray.estimate.difficulty import difficulty_features
from nas_ray.estimate.familiar import numbers
from nas_ray.estimate.interval import (
    AS_THEY_ARE,
    Calibration,
    Joining,
    joined_properties,
    upper_quantile,
)
from nas_ray.estimate.operator_table import Array
from nas_ray.estimate.samples import Samples
from nas_ray.estimate.trees import Trees

_FEWEST_NETWORKS = 40
#: No estimate counts as better than this; one lucky hit must not say that its like is easy.
_LEAST_ERROR = 1e-3
#: The same for networks, in which the errors of subgraphs cancel each other in part.
_LEAST_NETWORK_ERROR = 3e-4


def calibrate(found: Samples, predicted_ms: Array, additivity: float, folds: int) -> Calibration:
    """From held-out operators `predicted_ms` `(O,)` of all rows; rows fall into `folds` folds."""
    latency_ms = found.table.total(predicted_ms)
    measured_ms = _part_ms(found)
    described = difficulty_features(found.table, latency_ms)
    known = (measured_ms > 0) & (latency_ms > 0)
    errors = np.log(np.abs(measured_ms[known] / latency_ms[known] - 1) + _LEAST_ERROR)
    fold = (found.fold % folds)[found.row]
    scale = _held_out_scale(described, errors, known, fold, folds)
    relative = measured_ms[known] / latency_ms[known] - 1
    factor = max(0.0, upper_quantile(relative / scale[known]))
    networks = np.bincount(found.row, minlength=len(found.latency_ms)) > 1
    joining = _joining(found, networks, latency_ms, latency_ms * scale * factor, folds)
    in_networks = (key for key, row in zip(found.keys, found.row, strict=True) if networks[row])
    return Calibration(
        difficulty=fit_small_trees(described[known], errors),
        factor=factor,
        joining=joining or AS_THEY_ARE,
        familiar=numbers(in_networks),
        additivity=0.0 if joining else additivity,
    )


def _part_ms(found: Samples) -> Array:
    """`(G,)`: what each part was measured to take; NaN where only its whole network was."""
    alone = np.bincount(found.row, minlength=len(found.latency_ms))[found.row] == 1
    summed = found.table.total(found.operators_ms)
    return np.where(np.isnan(summed) & alone, found.latency_ms[found.row], summed)


def _held_out_scale(
    described: Array,
    errors: Array,
    known: NDArray[np.bool_],
    fold: NDArray[np.intp],
    folds: int,
) -> Array:
    """`(G,)`: the error each part tends to have, as regressed on the other folds."""
    scale = np.zeros(len(described))
    for k in range(folds):
        others = fold[known] != k
        trees: Trees = fit_small_trees(described[known][others], errors[others])
        scale[fold == k] = np.exp(trees.predict(described[fold == k]))
    return scale


def _joining(
    found: Samples, networks: NDArray[np.bool_], latency_ms: Array, margin_ms: Array, folds: int
) -> Joining | None:
    """From the rows that are `networks` `(N,)`; None where they are too few to tell.

    `latency_ms` and `margin_ms` `(G,)` are those of parts.
    """
    rows = len(found.latency_ms)

    def summed(values: Array) -> Array:
        return np.bincount(found.row, values, rows).astype(np.float64)

    margins, total = margin_ms * _times(found), summed(latency_ms)
    spread = np.sqrt(summed(np.square(margins)))
    used = networks & (spread > 0)
    if used.sum() < _FEWEST_NETWORKS:
        return None
    familiar_ms = summed(latency_ms * _is_familiar(found, networks))
    properties = joined_properties(total, spread, summed(margins), familiar_ms)[used]
    relative = (found.latency_ms / np.maximum(total, 1e-12) - 1)[used]
    errors = np.log(np.abs(relative) + _LEAST_NETWORK_ERROR)
    fold = (found.fold % folds)[used]
    expected = np.zeros(len(errors))
    for k in np.unique(fold):
        others = LinearRegression().fit(properties[fold != k], errors[fold != k])
        expected[fold == k] = np.exp(others.predict(properties[fold == k]))
    fitted = LinearRegression().fit(properties, errors)
    quantile = max(0.0, upper_quantile(relative / expected))
    return Joining(
        constant=quantile * float(np.exp(fitted.intercept_)),
        # The first property is spread / latency, of which the margin is a multiple already.
        weights=np.asarray(fitted.coef_, dtype=np.float64) - np.array([1.0, 0.0, 0.0]),
        low=properties.min(axis=0),
        high=properties.max(axis=0),
    )


def _times(found: Samples) -> NDArray[np.intp]:
    """`(G,)`: how often a part occurs in its row, at its first place; 0 where it comes again."""
    pairs = [*zip(found.row.tolist(), found.keys, strict=True)]
    left = Counter(pairs)
    return np.array([left.pop(pair, 0) for pair in pairs], dtype=np.intp)


def _is_familiar(found: Samples, networks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """`(G,)`: which parts another row that is one of `networks` `(N,)` holds too."""
    pairs = [*zip(found.row.tolist(), found.keys, strict=True)]
    holders = Counter(key for row, key in set(pairs) if networks[row])
    return np.array([holders[key] > bool(networks[row]) for row, key in pairs], dtype=np.bool_)
