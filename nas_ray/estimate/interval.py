"""How far above its estimate a network's latency may lie, in 95 of 100 cases.

Split conformal prediction on subgraphs: the table's own rows, each predicted by a model that had
not seen it, are sorted into bins by predicted latency (short subgraphs are predicted worse), and
the 95 % quantile of measured / predicted in a bin bounds a subgraph of that size. A network adds
up subgraphs: the margins of different ones add like independent errors, in squares; a subgraph
that occurs several times is wrong by the same factor each time, so its margins add plainly. What
the sum itself leaves out (a compiler that joins two subgraphs) is one factor a device.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas_ray.estimate.features import Array

LEVEL = 0.95
_BINS = 8
#: A subgraph outside the table's range gets its margin this many times.
_OUTSIDE = 3.0


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """`edges_ms` `(B - 1,)` between bins of predicted latency, `margins` `(B,)` in logarithms."""

    edges_ms: Array
    margins: Array
    additivity: float

    def margin_ms(self, latency_ms: Array, outside: NDArray[np.bool_]) -> Array:
        """How far above its estimate each subgraph `(G,)` may lie."""
        margins = self.margins[np.searchsorted(self.edges_ms, latency_ms)]
        return latency_ms * np.expm1(margins * np.where(outside, _OUTSIDE, 1.0))

    def upper_ms(self, latency_ms: Array, margins_ms: Array) -> Array:
        """Upper ends `(N,)` for networks of `latency_ms` `(N,)`.

        `margins_ms` `(N, P)` are those of their different subgraphs, each already times its
        occurrences; places left over hold 0.
        """
        spread = np.sqrt(ordered_sum(np.square(margins_ms)))
        return np.asarray((latency_ms + spread) * np.exp(self.additivity))


def ordered_sum(values: Array) -> Array:
    """`(N,)` sums of the rows of `values` `(N, P)` >= 0, smallest first.

    To the last bit the same whatever the order in a row and however many zeros are in it.
    """
    total: Array = np.zeros(values.shape[:-1])
    for column in np.moveaxis(np.sort(values), -1, 0):
        total = total + column
    return total


def calibrate(residuals: Array, predicted_ms: Array, additivity: float) -> Calibration:
    """Bins and margins from `residuals` `(N,)` = log(measured / predicted) of unseen rows."""
    bins = max(1, min(_BINS, len(residuals) // 100))
    edges = np.quantile(predicted_ms, np.arange(1, bins) / bins)
    place = np.searchsorted(edges, predicted_ms)
    margins = [_upper_quantile(residuals[place == b]) for b in range(bins)]
    return Calibration(edges_ms=edges, margins=np.array(margins), additivity=additivity)


def _upper_quantile(residuals: Array) -> float:
    """The conformal quantile: the ceil((n + 1) * level)-th smallest of n, at least 0."""
    rank = int(np.ceil((len(residuals) + 1) * LEVEL))
    return max(0.0, float(np.sort(residuals)[min(rank, len(residuals)) - 1]))
