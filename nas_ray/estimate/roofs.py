"""Fit the roofline: the fastest use of each resource, and how the bounds combine.

Axes: `O` operators, `K` kinds, `R` resources and one more for an operator's fixed time.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from nas_ray.estimate.effort import Effort
from nas_ray.estimate.operator_table import KINDS, Array
from nas_ray.estimate.roofline import Roofline, columns, units

#: The fastest share of operators counts as disturbed by noise.
_QUANTILE = 0.005
_FEWEST = 30
_FEWEST_FOR_A_FIT = 60


def fit_roofline(effort: Effort, kind: NDArray[np.intp], latency_ms: Array) -> Roofline:
    """The roofs under `latency_ms` `(O,)` > 0; kinds with few operators get those of all."""
    needed = units(effort)
    everything = _roofs(needed, latency_ms)
    roofs = np.tile(everything, (len(KINDS), 1))
    for k in np.unique(kind):
        if (kind == k).sum() >= _FEWEST:
            roofs[k] = _roofs(needed[kind == k], latency_ms[kind == k])
    model = Roofline(roofs=roofs, weights=np.zeros((len(KINDS), 0)))
    joined = columns(model.bounds_ms(effort, kind), effort.blocks)
    weights = np.tile(_joined(joined, latency_ms), (len(KINDS), 1))
    for k in np.unique(kind):
        if (kind == k).sum() >= _FEWEST_FOR_A_FIT:
            weights[k] = _joined(joined[kind == k], latency_ms[kind == k])
    return Roofline(roofs=roofs, weights=weights)


def _roofs(needed: Array, latency_ms: Array) -> Array:
    found = np.zeros(needed.shape[1])
    for r, column in enumerate(needed.T):
        used = column > 0
        if used.sum() >= _FEWEST:
            found[r] = np.quantile(latency_ms[used] / column[used], _QUANTILE)
    return found


def _joined(terms: Array, latency_ms: Array) -> Array:
    weights, _ = nnls(terms / latency_ms[:, None], np.ones(len(terms)))
    return np.asarray(weights)
