"""How far above its estimate a latency may lie, in 95 of 100 cases.

Split conformal prediction (Vovk et al., 2005) on held-out rows of the table. Subgraphs are sorted
into bins by predicted latency, because short ones are predicted worse; the 95 % quantile of
measured / predicted in a bin is the margin of a subgraph of that size. A network adds subgraphs
up: margins of different ones add like independent errors, in squares; a subgraph that occurs
several times is wrong by the same factor each time, so its margins add plainly. What that sum gets
wrong (errors that are not independent, a bias) is one factor, the 95 % quantile of error / sum of
margins over the whole networks in the table.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas_ray.estimate.operator_table import Array

LEVEL = 0.95
_BINS = 8
_FEWEST_IN_A_BIN = 100
_FEWEST_NETWORKS = 40
#: A subgraph outside the table's range gets its margin this many times.
_OUTSIDE = 3.0


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """`edges_ms` `(B - 1,)` between bins of predicted latency, `margins` `(B,)` in logarithms.

    `network_factor` is by what the joined margins of a network are multiplied, and `additivity`
    a factor in logarithms on top, where a table has no networks to learn the first from.
    """

    edges_ms: Array
    margins: Array
    network_factor: float
    additivity: float

    def margin_ms(self, latency_ms: Array, outside: NDArray[np.bool_]) -> Array:
        """How far above its estimate each subgraph `(G,)` may lie."""
        margins = self.margins[np.searchsorted(self.edges_ms, latency_ms)]
        return latency_ms * np.expm1(margins * np.where(outside, _OUTSIDE, 1.0))

    def upper_ms(self, latency_ms: Array, margins_ms: Array) -> Array:
        """Upper ends `(N,)` for networks of `latency_ms` `(N,)`.

        `margins_ms` `(N, P)` are those of their different subgraphs, each already times its
        occurrences; places left over hold 0. A network of one subgraph has the margin of that.
        """
        spread = np.sqrt(ordered_sum(np.square(margins_ms)))
        is_one = (margins_ms > 0).sum(axis=-1) <= 1
        joined = (latency_ms + spread * self.network_factor) * np.exp(self.additivity)
        return np.asarray(np.where(is_one, latency_ms + spread, joined))


def ordered_sum(values: Array) -> Array:
    """`(N,)` sums of the rows of `values` `(N, P)` >= 0, smallest first.

    To the last bit the same whatever the order in a row and however many zeros are in it.
    """
    total: Array = np.zeros(values.shape[:-1])
    for column in np.moveaxis(np.sort(values), -1, 0):
        total = total + column
    return total


def calibrate(
    measured_ms: Array, predicted_ms: Array, row: NDArray[np.intp], additivity: float
) -> Calibration:
    """From held-out parts `(G,)` with their latencies; parts of one `row` are one network."""
    residuals = np.log(measured_ms / predicted_ms)
    bins = max(1, min(_BINS, len(residuals) // _FEWEST_IN_A_BIN))
    edges = np.unique(np.quantile(predicted_ms, np.arange(1, bins) / bins))
    # Where many predictions are equal, a bin would be empty.
    edges = edges[edges < predicted_ms.max()]
    place = np.searchsorted(edges, predicted_ms)
    margins = np.array([_upper_quantile(residuals[place == b]) for b in range(len(edges) + 1)])
    margins = np.maximum(margins, 0.0)
    margin_ms = predicted_ms * np.expm1(margins[place])
    rows = int(row.max()) + 1
    over = np.bincount(row, measured_ms - predicted_ms, rows)
    spread = np.sqrt(np.bincount(row, np.square(margin_ms), rows))
    networks = np.bincount(row, minlength=rows) > 1
    if networks.sum() < _FEWEST_NETWORKS:
        factor, extra = 1.0, additivity
    else:
        factor = max(0.0, _upper_quantile(over[networks] / np.maximum(spread[networks], 1e-12)))
        extra = 0.0
    return Calibration(edges_ms=edges, margins=margins, network_factor=factor, additivity=extra)


def _upper_quantile(values: Array) -> float:
    """The conformal quantile: the ceil((n + 1) * level)-th smallest of n."""
    rank = int(np.ceil((len(values) + 1) * LEVEL))
    return float(np.sort(values)[min(rank, len(values)) - 1])
