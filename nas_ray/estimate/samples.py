"""Measured graphs as operators with latencies: what the regression is fitted to.

A row of a measurement table is a subgraph alone or a whole network. Networks are cut, and their
parts keep in mind that there is more before and after them.

Axes: `N` rows, `G` parts of them, `O` operators of the parts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from nas_ray.estimate.operator_table import Array, OperatorTable, is_counted, operator_table
from nas_ray.graph import Graph, signature, subgraphs


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A graph, its latency, and that of each of its operators; empty where nobody knows."""

    graph: Graph
    latency_ms: float
    operators_ms: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Samples:
    """`row` `(G,)` is the row of a part, `keys` `(G,)` are the signatures of parts.

    `operators_ms` `(O,)` is NaN where a row does not say. `latency_ms` `(N,)`; `order` `(N,)` is
    the place of each row in what was given, and `fold` `(N,)` a number that depends on a row's
    graph alone.
    """

    table: OperatorTable
    row: NDArray[np.intp]
    keys: tuple[str, ...]
    operators_ms: Array
    latency_ms: Array
    order: NDArray[np.intp]
    fold: NDArray[np.intp]

    @property
    def operator_row(self) -> NDArray[np.intp]:
        """`(O,)`: the row of each operator."""
        return np.asarray(self.row[self.table.graph])

    def row_total(self, values: Array) -> Array:
        """`(O,)` summed within each row to `(N,)`."""
        return np.asarray(np.bincount(self.operator_row, values, len(self.latency_ms)), dtype=float)


def samples(measured: Sequence[Measured]) -> Samples:
    """`measured` in an order of their own: that of a table makes no difference to a fit."""
    named = sorted((signature(one.graph), n) for n, one in enumerate(measured))
    ordered = [measured[n] for _, n in named]
    parts = [subgraphs(one.graph) for one in ordered]
    return Samples(
        table=operator_table([part for found in parts for part in found]),
        row=np.repeat(np.arange(len(parts)), [len(found) for found in parts]),
        keys=tuple(signature(part) for found in parts for part in found),
        operators_ms=np.array([ms for one in ordered for ms in _own_ms(one)], dtype=np.float64),
        latency_ms=np.array([one.latency_ms for one in ordered]),
        order=np.array([n for _, n in named], dtype=np.intp),
        fold=np.array([crc32(name.encode()) for name, _ in named], dtype=np.intp),
    )


def _own_ms(one: Measured) -> list[float]:
    """The latency of each operator that is no view."""
    known = one.operators_ms or (float("nan"),) * len(one.graph.operators)
    return [
        ms
        for operator, ms in zip(one.graph.operators, known, strict=True)
        if is_counted(one.graph, operator)
    ]
