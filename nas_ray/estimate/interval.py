"""How far above its estimate a latency may lie, in 95 of 100 cases.

Split conformal prediction (Vovk et al., 2005), locally weighted (Lei et al., 2018), on held-out
rows of the table. A regression says how far off a subgraph like this tends to be (`difficulty.py`);
the 95 % quantile of error / that is one factor, and with it a subgraph has its margin. A network
adds subgraphs up: margins of different ones add like independent errors, in squares; a subgraph
that occurs several times is wrong by the same factor each time, so its margins add plainly. What
that sum gets wrong (errors that are not independent) a second regression makes good in the same
manner: how far off whole networks of the table were, beside what their margins said and how many
of their subgraphs other networks of the table hold, and then the 95 % quantile of error / that.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas_ray.estimate.difficulty import difficulty_features
from nas_ray.estimate.familiar import Numbers
from nas_ray.estimate.operator_table import Array, OperatorTable
from nas_ray.estimate.trees import Trees

LEVEL = 0.95
#: A subgraph outside the table's range gets its margin this many times.
_OUTSIDE = 3.0
_TINY = 1e-12


@dataclass(frozen=True, kw_only=True)
class Joining:
    """By what the joined margins of a network are multiplied: a power law in properties of it.

    `weights` `(3,)` belong to `joined_properties`, which count only from `low` to `high` `(3,)`,
    the range of the networks that this was learned from.
    """

    constant: float
    weights: Array
    low: Array
    high: Array

    def factor(self, properties: Array) -> Array:
        """`(N,)` for `properties` `(N, 3)`."""
        inside = np.clip(properties, self.low, self.high)
        # Summed by hand: a product of matrices differs in the last bit with the number of rows.
        weighted = sum(inside[:, n] * weight for n, weight in enumerate(self.weights))
        return np.asarray(self.constant * np.exp(weighted))


#: Margins that are joined as they are: where a table has no networks to learn from.
AS_THEY_ARE = Joining(constant=1.0, weights=np.zeros(3), low=np.zeros(3), high=np.zeros(3))


def joined_properties(
    latency_ms: Array, spread_ms: Array, plain_ms: Array, familiar_ms: Array
) -> Array:
    """`(N, 3)`: how uncertain networks are, from how many subgraphs, and how familiar these are.

    `spread_ms` is the sum of their margins in squares, `plain_ms` the plain sum, `familiar_ms` what
    subgraphs take that networks of the table hold; all `(N,)`. The first two are logarithms.
    """
    latency, spread = np.maximum(latency_ms, _TINY), np.maximum(spread_ms, _TINY)
    several = np.log(np.maximum(plain_ms / spread, 1.0))
    return np.column_stack([np.log(spread / latency), several, familiar_ms / latency])


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """`difficulty` predicts log(relative error), `factor` makes a margin of it.

    `joining` is for the joined margins of a network, `familiar` are the numbers of subgraphs that
    networks of the table hold, and `additivity` is a factor in logarithms on top, where a table
    has no networks to learn from.
    """

    difficulty: Trees
    factor: float
    joining: Joining
    familiar: Numbers
    additivity: float

    def margin_ms(
        self, table: OperatorTable, latency_ms: Array, outside: NDArray[np.bool_]
    ) -> Array:
        """How far above its estimate each graph of `table` may lie, `(G,)`."""
        error = np.exp(self.difficulty.predict(difficulty_features(table, latency_ms)))
        return latency_ms * error * self.factor * np.where(outside, _OUTSIDE, 1.0)

    def upper_ms(self, latency_ms: Array, margins_ms: Array, familiar_ms: Array) -> Array:
        """Upper ends `(N,)` for networks of `latency_ms` `(N,)`, `familiar_ms` of it familiar.

        `margins_ms` `(N, P)` are those of their different subgraphs, each already times its
        occurrences; places left over hold 0. A network of one subgraph has the margin of that.
        """
        spread_ms = np.sqrt(ordered_sum(np.square(margins_ms)))
        properties = joined_properties(latency_ms, spread_ms, ordered_sum(margins_ms), familiar_ms)
        is_one = (margins_ms > 0).sum(axis=-1) <= 1
        above_ms = spread_ms * self.joining.factor(properties)
        joined = (latency_ms + above_ms) * np.exp(self.additivity)
        return np.asarray(np.where(is_one, latency_ms + spread_ms, joined))


def ordered_sum(values: Array) -> Array:
    """`(N,)` sums of the rows of `values` `(N, P)` >= 0, smallest first.

    To the last bit the same whatever the order in a row and however many zeros are in it.
    """
    total: Array = np.zeros(values.shape[:-1])
    for column in np.moveaxis(np.sort(values), -1, 0):
        total = total + column
    return total


def upper_quantile(values: Array) -> float:
    """The conformal quantile: the ceil((n + 1) * level)-th smallest of n."""
    rank = int(np.ceil((len(values) + 1) * LEVEL))
    return float(np.sort(values)[min(rank, len(values)) - 1])
