"""Latency of subgraphs, regressed on a measurement table.

What is learned is the latency of an operator beside its neighbours; a subgraph takes the sum.
First a roofline (`roofline.py`), then boosted trees on what is left, log(measured / roofline).
`regression.py` fits both.

Axes: `G` graphs, `O` operators, `K` kinds, `B` properties whose range the table covers.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas_ray.estimate.effort import Effort, effort
from nas_ray.estimate.features import features
from nas_ray.estimate.hardware import Hardware
from nas_ray.estimate.operator_table import KINDS, LABELS, RANGED, Array, OperatorTable
from nas_ray.estimate.roofline import Roofline
from nas_ray.estimate.trees import Trees

#: A property may lie this factor outside the table's range before an estimate is a guess.
_SLACK = 1.1
_DEPTHWISE = KINDS.index("depthwise")


@dataclass(frozen=True, kw_only=True)
class LatencyModel:
    """A fitted regression.

    `free` `(K, K + 1)` says which kinds take no time of their own after another (the first column
    is the beginning of a graph); `low` and `high` `(K, B)` is what the table covers, in
    logarithms: nothing for a kind it does not have. `labels` `(L,)` are the sorted numbers of what
    it has of variants and activations.
    """

    hardware: Hardware
    roofline: Roofline
    trees: Trees
    free: NDArray[np.bool_]
    low: Array
    high: Array
    labels: Array

    def graphs_ms(self, table: OperatorTable) -> tuple[Array, NDArray[np.bool_]]:
        """Latency of each graph, and whether it lies outside what was measured; both `(G,)`."""
        if not len(table):
            return np.zeros(table.graphs), np.zeros(table.graphs, dtype=np.bool_)
        outside = table.total(self._is_outside(table).astype(np.float64)) > 0
        return table.total(self.operators_ms(table)), outside

    def operators_ms(self, table: OperatorTable) -> Array:
        """Latency of each operator `(O,)`."""
        work = work_of(table, self.hardware)
        rows, guess_ms = inputs(table, work, self.roofline, self.hardware)
        latency_ms = guess_ms * np.exp(self.trees.predict(rows))
        return np.where(is_free(table, self.free), 0.0, latency_ms)

    def _is_outside(self, table: OperatorTable) -> NDArray[np.bool_]:
        kind = table.kind
        values = ranged(table)
        slack = np.log(_SLACK)
        within = (values >= self.low[kind] - slack) & (values <= self.high[kind] + slack)
        known = np.isin(label_numbers(table), self.labels)
        return np.asarray(~(within.all(axis=1) & known))


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
    """`(O,)`: which operators take no time of their own, `free` as in LatencyModel."""
    return np.asarray(free[table.kind, table.previous_kind])


def ranged(table: OperatorTable) -> Array:
    """Return the properties that have a range, in logarithms, `(O, B)`.

    Groups of a depthwise convolution are its channels, and no property of their own.
    """
    is_depthwise = table["kind"] == _DEPTHWISE
    columns = {name: table[name] for name in RANGED}
    columns["groups"] = np.where(is_depthwise, 1.0, table["groups"])
    return np.column_stack([np.log1p(columns[name]) for name in RANGED])


def label_numbers(table: OperatorTable) -> Array:
    """Return one number `(O,)` for the combination of what has names and no order."""
    number = np.zeros(len(table))
    for name in LABELS:
        number = number * 100 + table[name]
    return number
