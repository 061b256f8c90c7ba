"""Latency of subgraphs, regressed on a measurement table.

What is learned is the latency of an operator beside its neighbours; a subgraph takes the sum.
First a roofline (`roofline.py`), then boosted trees on what is left, log(measured / roofline).
`regression.py` fits both.

Axes: `G` graphs, `O` operators, `K` kinds.
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


@dataclass(frozen=True, kw_only=True)
class LatencyModel:
    """A fitted regression.

    `free` `(2, K, K + 1)` says which kinds take no time of their own after another, and before
    another (the first column is the beginning, or the end, of a graph).
    """

    hardware: Hardware
    roofline: Roofline
    trees: Trees
    free: NDArray[np.bool_]
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
        return np.where(is_free(table, self.free), 0.0, latency_ms)


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


def is_free(table: OperatorTable, free: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell which operators `(O,)` take no time of their own, `free` as in LatencyModel."""
    return np.asarray(
        free[0, table.kind, table.previous_kind] | free[1, table.kind, table.next_kind]
    )
