"""A first guess of latency: no operator is faster than the fastest use of each resource.

The roof of a resource is the least time that any operator of a kind has taken for a unit of it
(Williams et al., 2009, with roofs that are measured). How the bounds combine, one alone or one
after the other, is a non-negative least-squares fit on the relative error, a kind at a time.

Axes: `O` operators, `K` kinds, `R` resources and one more for an operator's fixed time.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from nas_ray.estimate.effort import RESOURCES, Effort
from nas_ray.estimate.operator_table import KINDS, Array

#: The fastest share of operators counts as disturbed by noise.
_QUANTILE = 0.005
_FEWEST = 30
_FEWEST_FOR_A_FIT = 60
_LEAST_MS = 1e-9


@dataclass(frozen=True, kw_only=True)
class Roofline:
    """`roofs` `(K, R + 1)` in ms a unit, `weights` `(K, C)` of the columns they are joined by."""

    roofs: Array
    weights: Array

    def bounds_ms(self, effort: Effort, kind: NDArray[np.intp]) -> Array:
        """`(O, R + 1)`: the time for which each resource alone would be busy."""
        work = np.column_stack([effort.bounds[name] for name in RESOURCES])
        units = np.column_stack([work, np.ones(len(work))])
        bounds: Array = np.maximum(units * self.roofs[kind], _LEAST_MS)
        return bounds

    def latency_ms(self, effort: Effort, kind: NDArray[np.intp], bounds_ms: Array) -> Array:
        """`(O,)`: the first guess."""
        # Not a matrix product: BLAS rounds a row differently in batches of different size.
        joined = (_columns(bounds_ms, effort.blocks) * self.weights[kind]).sum(axis=1)
        guess: Array = np.maximum(joined, bounds_ms.max(axis=1) * 1e-3)
        return guess


def fit_roofline(effort: Effort, kind: NDArray[np.intp], latency_ms: Array) -> Roofline:
    """The roofs under `latency_ms` `(O,)` > 0; kinds with few operators get those of all."""
    work = np.column_stack([effort.bounds[name] for name in RESOURCES])
    units = np.column_stack([work, np.ones(len(work))])
    everything = _roofs(units, latency_ms)
    roofs = np.tile(everything, (len(KINDS), 1))
    for k in np.unique(kind):
        if (kind == k).sum() >= _FEWEST:
            own = _roofs(units[kind == k], latency_ms[kind == k])
            roofs[k] = own
    model = Roofline(roofs=roofs, weights=np.zeros((len(KINDS), 0)))
    columns = _columns(model.bounds_ms(effort, kind), effort.blocks)
    weights = np.tile(_joined(columns, latency_ms), (len(KINDS), 1))
    for k in np.unique(kind):
        if (kind == k).sum() >= _FEWEST_FOR_A_FIT:
            weights[k] = _joined(columns[kind == k], latency_ms[kind == k])
    return Roofline(roofs=roofs, weights=weights)


def _roofs(units: Array, latency_ms: Array) -> Array:
    found = np.zeros(units.shape[1])
    for r, column in enumerate(units.T):
        used = column > 0
        if used.sum() >= _FEWEST:
            found[r] = np.quantile(latency_ms[used] / column[used], _QUANTILE)
    return found


def _columns(bounds_ms: Array, blocks: Array) -> Array:
    """`(O, C)`: the two largest bounds, each bound, and the same for one block."""
    ordered = np.sort(bounds_ms, axis=1)
    count = np.maximum(blocks, 1)[:, None]
    return np.column_stack(
        [ordered[:, -1], ordered[:, -2], bounds_ms, bounds_ms / count, ordered[:, -1:] / count]
    )


def _joined(columns: Array, latency_ms: Array) -> Array:
    weights, _ = nnls(columns / latency_ms[:, None], np.ones(len(columns)))
    return np.asarray(weights)
