"""Make the margins of estimates from rows that a regression had not seen.

Axes: `N` rows of the table, `G` parts of them, `O` operators of the parts.
"""

import numpy as np
from numpy.typing import NDArray

from nas_ray.estimate.boosting import fit_small_trees
from nas_ray.estimate.difficulty import difficulty_features
from nas_ray.estimate.interval import Calibration, upper_quantile
from nas_ray.estimate.operator_table import Array
from nas_ray.estimate.samples import Samples
from nas_ray.estimate.trees import Trees

_FEWEST_NETWORKS = 40
#: No estimate counts as better than this; one lucky hit must not say that its like is easy.
_LEAST_ERROR = 1e-3


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
    factor = upper_quantile(relative / scale[known])
    margin_ms = latency_ms * scale * factor
    network_factor, extra = _network_factor(found, latency_ms, margin_ms, additivity)
    return Calibration(
        difficulty=fit_small_trees(described[known], errors),
        factor=factor,
        network_factor=network_factor,
        additivity=extra,
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


def _network_factor(
    found: Samples, latency_ms: Array, margin_ms: Array, additivity: float
) -> tuple[float, float]:
    """By what joined margins are multiplied, and what is added in logarithms."""
    rows = len(found.latency_ms)
    networks = np.bincount(found.row, minlength=rows) > 1
    if networks.sum() < _FEWEST_NETWORKS:
        return 1.0, additivity
    over = found.latency_ms - np.bincount(found.row, latency_ms, rows)
    spread = np.sqrt(np.bincount(found.row, np.square(margin_ms), rows))
    return upper_quantile(over[networks] / np.maximum(spread[networks], 1e-12)), 0.0
