"""Latency of subgraphs, regressed on a measurement table.

What is learned is the latency of an operator beside its neighbours; a subgraph takes the sum.
First a roofline (`roofline.py`), then boosted trees on what is left, log(measured / roofline).
`regression.py` fits both.

Axes: `G` graphs, `O` operators.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas_ray.estimate.coverage import Coverage
from nas_ray.estimate.effort import Effort, effort
from nas_ray.estimate.features import features
from nas_ray.estimate.hardware import Hardware
from nas_ray.estimate.operator_table import Array, OperatorTable
from nas_ray.estimate.roofline import Roofline
from nas_ray.estimate.trees import Trees

#: A chance this near to none or to one is taken as it.
_SURE = 0.1
#: A typical error of what is like it, from which on an operator counts as unlike the table: of such
#: ones about one in eight is off by a quarter.
_DOUBTFUL = 0.07


@dataclass(frozen=True, kw_only=True)
class LatencyModel:
    """A fitted regression.

    `trees` predict log(latency / first guess), `paying` how likely it is that an operator takes
    any time of its own: what is joined in place, or only renamed, does not. `doubt` predicts the
    logarithm of how far off operators like it were when held out; None where no operator's own
    latency is known.
    """

    hardware: Hardware
    roofline: Roofline
    trees: Trees
    paying: Trees
    coverage: Coverage
    doubt: Trees | None = None

    def graphs_ms(self, table: OperatorTable) -> tuple[Array, NDArray[np.bool_]]:
        """Return the latency of each graph, and whether the table has too little like it, `(G,)`.

        That is so where an operator is outside of what the table covers, and where most of the
        latency is of operators whose like was estimated badly.
        """
        if not len(table):
            return np.zeros(table.graphs), np.zeros(table.graphs, dtype=np.bool_)
        rows, guess_ms = self._inputs(table)
        operators_ms = self._latency_ms(rows, guess_ms)
        latency_ms = table.total(operators_ms)
        outside = table.total(np.where(self.coverage.is_outside(table), 1.0, 0.0)) > 0
        if self.doubt is not None:
            expected_ms = table.total(operators_ms * np.exp(self.doubt.predict(rows)))
            outside |= expected_ms > _DOUBTFUL * latency_ms
        return latency_ms, outside

    def operators_ms(self, table: OperatorTable) -> Array:
        """Return the latency of each operator `(O,)`."""
        return self._latency_ms(*self._inputs(table))

    def _inputs(self, table: OperatorTable) -> tuple[Array, Array]:
        return inputs(table, work_of(table, self.hardware), self.roofline, self.hardware)

    def _latency_ms(self, rows: Array, guess_ms: Array) -> Array:
        latency_ms = guess_ms * np.exp(self.trees.predict(rows))
        return np.asarray(latency_ms * likely(self.paying.predict(rows)))


def work_of(table: OperatorTable, hardware: Hardware) -> Effort:
    """The work of each operator on `hardware`."""
    return effort(table, hardware.array, hardware.parallelism_factor, hardware.macs_per_cycle)


def inputs(
    table: OperatorTable, work: Effort, roofline: Roofline, hardware: Hardware
) -> tuple[Array, Array]:
    """What trees are fitted to, `(O, F)`, and the first guess in ms `(O,)`."""
    kind = table.kind
    bounds_ms = roofline.bounds_ms(work, kind)
    guess_ms = roofline.latency_ms(work, kind, bounds_ms)
    return features(table, work, bounds_ms, guess_ms, hardware), guess_ms


def likely(chance: Array) -> Array:
    """Return the chances `(O,)` that operators take time, nearly sure ones as sure."""
    return np.where(chance < _SURE, 0.0, np.where(chance > 1 - _SURE, 1.0, chance))
