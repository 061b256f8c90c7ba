"""A first guess of latency: no operator is faster than the fastest use of each resource.

The roof of a resource is the least time that any operator of a kind has taken for a unit of it
(Williams et al., 2009, with roofs that are measured). How the bounds combine, one alone or one
after the other, is a non-negative least-squares fit on the relative error, a kind at a time.

Axes: `O` operators, `K` kinds, `R` resources and one more for an operator's fixed time.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas_ray.estimate.effort import RESOURCES, Effort
from nas_ray.estimate.operator_table import Array

#: No bound counts as less than this share of the largest one of an operator.
_LEAST_SHARE = 1e-9


@dataclass(frozen=True, kw_only=True)
class Roofline:
    """`roofs` `(K, R + 1)` in ms a unit, `weights` `(K, C)` of the columns they are joined by."""

    roofs: Array
    weights: Array

    def bounds_ms(self, effort: Effort, kind: NDArray[np.intp]) -> Array:
        """`(O, R + 1)`: the time for which each resource alone would be busy."""
        bounds: Array = units(effort) * self.roofs[kind]
        least: Array = _LEAST_SHARE * bounds.max(axis=1, keepdims=True)
        return np.asarray(np.maximum(bounds, least))

    def latency_ms(self, effort: Effort, kind: NDArray[np.intp], bounds_ms: Array) -> Array:
        """`(O,)`: the first guess."""
        # Not a matrix product: BLAS rounds a row differently in batches of different size.
        joined = (columns(bounds_ms, effort.blocks) * self.weights[kind]).sum(axis=1)
        guess: Array = np.maximum(joined, bounds_ms.max(axis=1) * 1e-3)
        return guess


def units(effort: Effort) -> Array:
    """`(O, R + 1)`: how much of each resource an operator needs; of the last, its fixed time, 1."""
    work = np.column_stack([effort.bounds[name] for name in RESOURCES])
    return np.column_stack([work, np.ones(len(work))])


def columns(bounds_ms: Array, blocks: Array) -> Array:
    """`(O, C)`: the two largest bounds, each bound, and the same for one block."""
    ordered = np.sort(bounds_ms, axis=1)
    count = np.maximum(blocks, 1)[:, None]
    return np.column_stack(
        [ordered[:, -1], ordered[:, -2], bounds_ms, bounds_ms / count, ordered[:, -1:] / count]
    )
