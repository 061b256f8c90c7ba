"""Subgraphs as numbers: what latency is regressed on.

Axes: `G` graphs, `O` operators of all graphs one after the other, `T` terms of the prior,
`F` features. Everything after `operator_table` is arithmetic on arrays over `O`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from nas_ray.graph import Graph, Operator

Array = NDArray[np.float64]

_HEAVY = ("conv", "depthwise_conv", "linear", "matmul", "transposed_conv")
_FREE = ("reshape", "slice")
#: An activation that accelerators apply on the way out, without a pass of its own.
_CHEAP_ACTIVATIONS = ("", "relu", "relu6")
#: How many convolutions of a subgraph are described one by one.
SLOTS = 3
_COLUMNS = (
    *("graph", "kind", "height_in", "width_in", "channels_in", "height_out", "width_out"),
    *("channels_out", "window", "stride", "groups", "looked_up", "macs", "weights", "biases"),
    *("read", "written"),
)
_CONV, _POINTWISE, _DEPTHWISE, _LINEAR, _ELEMENTWISE, _FREE_KIND, _OTHER = range(7)


@dataclass(frozen=True, kw_only=True)
class OperatorTable:
    """Operators of `graphs` graphs as columns over `O`; elements, not bytes."""

    graphs: int
    columns: dict[str, Array]

    def __getitem__(self, name: str) -> Array:
        return self.columns[name]

    def total(self, values: Array) -> Array:
        """`(O,)` summed within each graph to `(G,)`."""
        index = self["graph"].astype(np.intp)
        return np.bincount(index, weights=values, minlength=self.graphs).astype(np.float64)

    def largest(self, values: Array) -> Array:
        """`(O,)`, not negative, to its maximum within each graph `(G,)`."""
        result = np.zeros(self.graphs)
        np.maximum.at(result, self["graph"].astype(np.intp), values)
        return result


def operator_table(graphs: Sequence[Graph]) -> OperatorTable:
    """The operators of `graphs` in execution order."""
    rows = [
        (n, *_numbers(graph, operator))
        for n, graph in enumerate(graphs)
        for operator in graph.operators
    ]
    values = np.array(rows, dtype=np.float64).reshape(-1, len(_COLUMNS))
    return OperatorTable(
        graphs=len(graphs), columns=dict(zip(_COLUMNS, values.T.copy(), strict=True))
    )


def _numbers(graph: Graph, operator: Operator) -> tuple[float, ...]:
    shape_in, shape_out = graph.shape(operator.inputs[0]), graph.shape(operator.outputs[0])
    return (
        _kind(operator),
        *_image(shape_in),
        *_image(shape_out),
        prod(operator.kernel),
        prod(operator.stride),
        operator.groups,
        operator.activation not in _CHEAP_ACTIVATIONS,
        operator.macs,
        operator.weight_elements,
        operator.bias_elements,
        sum(graph.tensors[i].elements for i in operator.inputs),
        sum(graph.tensors[i].elements for i in operator.outputs),
    )


def _kind(operator: Operator) -> int:
    if operator.kind == "conv":
        return _POINTWISE if operator.kernel == (1, 1) else _CONV
    if operator.kind == "depthwise_conv":
        return _DEPTHWISE
    if operator.kind in {"add", "sub", "mul", "maximum", "minimum"}:
        return _ELEMENTWISE
    if operator.kind in _FREE:
        return _FREE_KIND
    return _LINEAR if operator.kind == "linear" else _OTHER


def _image(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Height, width and channels of a tensor of any rank."""
    if len(shape) >= 4:
        return shape[-2], shape[-1], shape[1]
    return (1, shape[2], shape[1]) if len(shape) == 3 else (1, 1, shape[-1])


def _up(values: Array, multiple: int) -> Array:
    return np.ceil(values / multiple) * multiple


def _padded_macs(table: OperatorTable, factor: int) -> Array:
    """MACs that the hardware spends: channels filled up to the parallelism factor, 2x2 pixels."""
    pixels = _up(table["height_out"], 2) * _up(table["width_out"], 2)
    depthwise = table["kind"] == _DEPTHWISE
    inputs = np.where(
        depthwise, 1.0, _up(table["channels_in"] / np.where(depthwise, 1, table["groups"]), factor)
    )
    padded = pixels * _up(table["channels_out"], factor) * table["window"] * inputs
    return np.where(table["macs"] > 0, padded, 0.0)


def _tiles(table: OperatorTable, channels: Array, accumulators: int = 16384) -> Array:
    """Blocks of output pixels, `channels` deep, that the accumulators take one after the other.

    The least over dividing the width into one to six columns; blocks are multiples of 4 pixels.
    """
    height, width = table["height_out"], table["width_out"]
    best = np.full(len(height), np.inf)
    for columns in range(1, 7):
        across = _up(width / columns, 4)
        down = np.floor(accumulators / channels / across / 4) * 4
        rows = np.ceil(height / np.maximum(down, 1))
        best = np.minimum(best, np.where(down >= 4, columns * rows, np.inf))
    return np.where(np.isfinite(best), best, np.ceil(height / 4) * np.ceil(width / 4))


def _passes(table: OperatorTable, factor: int) -> tuple[Array, ...]:
    """How often constants may be read: once for each block of output pixels.

    How deep a block is, is the compiler's choice: fixed depths for convolutions, for 1x1 all
    channels or an even part of them. Where the channels of a 1x1 fill micro-blocks four times as
    deep, one more slice is read each time.
    """
    channels = _up(table["channels_out"], factor)
    wide = 4 * factor
    again = np.where((channels % wide == 0) & (table["kind"] == _POINTWISE), 1 + wide / channels, 1)
    depths = [np.minimum(channels, d) for d in (16.0, 32.0, 48.0)]
    depths += [_up(channels / n, factor) for n in (1, 2, 3, 4)]
    found = [_tiles(table, depth) for depth in depths]
    return tuple(np.where(tiles > 1, tiles * again, tiles) for tiles in found)


def _compute(table: OperatorTable, factor: int) -> Array:
    """Cycles of arithmetic; a micro-block of 4x4 pixels and 16 channels is never split."""
    depthwise = table["kind"] == _DEPTHWISE
    blocks = np.ceil(table["height_out"] / 4) * np.ceil(table["width_out"] / 4)
    steps = np.ceil(table["window"] / 4)
    inputs = np.ceil(table["channels_in"] / table["groups"] / 8)
    deep = np.ceil(table["channels_out"] / factor)
    cycles = np.maximum(16.0, 4 * blocks) * steps * deep * np.where(depthwise, 1.0, inputs)
    return np.where((table["macs"] > 0) | (table["kind"] == _OTHER), cycles, 0.0)


def _seconds(table: OperatorTable, factor: int) -> tuple[Array, Array, tuple[Array, ...]]:
    """Arithmetic, activation traffic and (for each count of passes) constant traffic in cycles."""
    compute = _compute(table, factor)
    moved = (table["read"] + table["written"]) / 32
    has_constants = table["weights"] > 0
    channels = np.where(has_constants, _up(table["channels_out"], factor), 0.0)
    fetch = np.maximum(table["weights"] / 12.5, channels * 24.4)
    return compute, moved, tuple(fetch * passes for passes in _passes(table, factor))


def prior_terms(table: OperatorTable, factor: int) -> Array:
    """`(G, T)`: arithmetic and traffic that a linear model turns into a first guess of latency."""
    kind = table["kind"]
    compute, moved, fetches = _seconds(table, factor)
    terms = [table.total(np.where(kind == k, compute, 0.0)) for k in range(4)]
    terms += [table.total(np.where(kind == k, moved, 0.0)) for k in range(7) if k != _FREE_KIND]
    terms += [table.total(f) for f in fetches]
    for k in (_CONV, _POINTWISE, _DEPTHWISE, _LINEAR):
        terms += [table.total(np.where(kind == k, np.maximum(compute, f), 0.0)) for f in fetches]
    channels = np.where(table["weights"] > 0, _up(table["channels_out"], factor), 0.0)
    terms += [table.total(np.where(kind == k, channels, 0.0)) for k in range(4)]
    terms += [
        table.total(table["written"] * table["looked_up"]),
        table.total(np.maximum(compute, moved)),
        table.total((kind != _FREE_KIND) * 1.0),
        np.ones(table.graphs),
    ]
    return np.stack(terms, axis=1)


def features(table: OperatorTable, factor: int) -> Array:
    """`(G, F)`: shapes, work, the same rounded up, and how the work is spread."""
    padded = _padded_macs(table, factor)
    columns = [table.total((table["kind"] == k) * 1.0) for k in range(7)]
    sums = {
        "macs": table["macs"],
        "padded": padded,
        "weights": table["weights"],
        "read": table["read"],
        "written": table["written"],
        "looked_up": table["written"] * table["looked_up"],
    }
    totals = {name: table.total(values) for name, values in sums.items()}
    columns += [np.log1p(values) for values in totals.values()]
    columns += [
        totals["macs"] / np.maximum(totals["padded"], 1),
        np.log1p(table.largest(padded)),
        np.log1p(table.largest(table["weights"])),
        np.log1p(table.largest(table["written"])),
        np.log1p(totals["weights"]) - np.log1p(totals["padded"]),
        np.log1p(totals["written"]) - np.log1p(totals["padded"]),
    ]
    return np.concatenate([np.stack(columns, axis=1), _slots(table, padded, factor)], axis=1)


def _slots(table: OperatorTable, padded: Array, factor: int) -> Array:
    """`(G, SLOTS * fields)`: the first convolutions of each graph one by one, zeros where none."""
    compute, moved, fetches = _seconds(table, factor)
    heavy = np.flatnonzero((table["macs"] > 0) | (table["kind"] == _OTHER))
    graph = table["graph"][heavy].astype(np.intp)
    # Operators come graph by graph: the position in its graph is the distance to its first.
    position = np.arange(len(heavy)) - np.searchsorted(graph, graph, side="left")
    fields = np.stack(
        [
            table["kind"] + 1,
            table["height_out"],
            table["width_out"],
            table["channels_in"],
            table["channels_out"],
            table["channels_in"] / _up(table["channels_in"], factor),
            table["channels_out"] / _up(table["channels_out"], factor),
            table["channels_out"] / _up(table["channels_out"], 4 * factor),
            table["window"],
            table["stride"],
            np.log1p(padded),
            np.log1p(table["weights"]),
            np.log1p(table["weights"]) - np.log1p(padded),
            np.log1p(table["written"]) - np.log1p(padded),
            np.log1p(table["height_out"] * table["width_out"]),
            *(np.log1p(passes) for passes in _passes(table, factor)),
            *(np.log1p(f) - np.log1p(compute) for f in fetches),
            np.log1p(moved) - np.log1p(compute),
        ],
        axis=1,
    )[heavy]
    result = np.zeros((table.graphs, SLOTS, fields.shape[1]))
    kept = position < SLOTS
    result[graph[kept], position[kept]] = fields[kept]
    return result.reshape(table.graphs, -1)
