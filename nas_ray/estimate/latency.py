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


@dataclass(frozen=True, kw_only=True)
class LatencyModel:
    """A fitted regression.

    `trees` predict log(latency / first guess), `paying` how likely it is that an operator takes
    any time of its own: what is joined in place, or only renamed, does not.
    """

    hardware: Hardware
    roofline: Roofline
    trees: Trees
    paying: Trees
    coverage: Coverage

    def graphs_ms(self, table: OperatorTable) -> tuple[Array, NDArray[np.bool_]]:
        """Latency of each graph, and whether it lies outside what was measured; both `(G,)`."""
        if not len(table):
            return np.zeros(table.graphs), np.zeros(table.graphs, dtype=np.bool_)
        outside = table.total(self.coverage.is_outside(table).astype(np.float64)) > 0
        return table.total(self.operators_ms(table)), outside

    def operators_ms(self, table: OperatorTable) -> Array:
        """Latency of each operator `(O,)`."""
        work = work_of(table, self.hardware)
        rows, guess_ms = inputs(table, work, self.roofline, self.hardware)
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
