"""Operators of many graphs as columns of numbers, one row each, graph after graph.

Axes: `G` graphs, `O` operators of all of them. What only renames memory is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from nas_ray.graph import Graph, Operator
from nas_ray.graph.operators import VIEW_KINDS

Array = NDArray[np.float64]

#: What an operator is to an accelerator; its place is its number in the column `kind`.
KINDS = (
    *("conv", "pointwise", "depthwise", "linear", "add", "multiply", "pool", "activation"),
    *("concat", "resize", "transposed_conv", "matmul", "softmax", "norm", "transpose", "pad"),
    "other",
)
_NUMBER = {kind: float(n) for n, kind in enumerate(KINDS)}
_KIND_OF = {
    "depthwise_conv": "depthwise",
    "sub": "add",
    **dict.fromkeys(("mul", "maximum", "minimum"), "multiply"),
    **dict.fromkeys(("mean", "avg_pool", "max_pool"), "pool"),
    **dict.fromkeys(("layer_norm", "batch_norm"), "norm"),
}
#: An activation that accelerators apply on the way out, without a pass of its own.
_CHEAP_ACTIVATIONS = ("", "relu", "relu6")
_COLUMNS = (
    *("graph", "kind", "height_in", "width_in", "channels_in", "height", "width", "channels"),
    *("window", "kernel", "stride", "groups", "looked_up", "macs", "weights", "biases"),
    *("read", "written", "operands"),
)


@dataclass(frozen=True, kw_only=True)
class OperatorTable:
    """Operators of `graphs` graphs as columns over `O`; elements, not bytes.

    `has_before` and `has_after` `(G,)` say whether a graph is a part of a network with more on
    that side.
    """

    graphs: int
    columns: dict[str, Array]
    has_before: NDArray[np.bool_]
    has_after: NDArray[np.bool_]

    def __getitem__(self, name: str) -> Array:
        return self.columns[name]

    def __len__(self) -> int:
        return len(self.columns["graph"])

    @property
    def graph(self) -> NDArray[np.intp]:
        """`(O,)`: to which graph each operator belongs."""
        return self.columns["graph"].astype(np.intp)

    @property
    def kind(self) -> NDArray[np.intp]:
        """`(O,)`: places in KINDS."""
        return self.columns["kind"].astype(np.intp)

    @property
    def previous_kind(self) -> NDArray[np.intp]:
        """`(O,)`: place of the kind before, plus one; 0 at the beginning of a graph."""
        return np.nan_to_num(self.of_previous(self["kind"] + 1)).astype(np.intp)

    def total(self, values: Array) -> Array:
        """`(O,)` summed within each graph to `(G,)`."""
        return np.bincount(self.graph, weights=values, minlength=self.graphs).astype(np.float64)

    def is_first(self) -> NDArray[np.bool_]:
        """Whether an operator is the first of its graph."""
        return np.asarray(np.diff(self["graph"], prepend=-1) != 0)

    def is_last(self) -> NDArray[np.bool_]:
        """Whether an operator is the last of its graph."""
        return np.asarray(np.diff(self["graph"], append=-1) != 0)

    def of_previous(self, values: Array) -> Array:
        """`values` of the operator before: 0 where the network begins, NaN where it is unknown."""
        shifted = np.concatenate([[0.0], values[:-1]]) if len(values) else values
        return self._at_edge(shifted, self.is_first(), self.has_before)

    def of_next(self, values: Array) -> Array:
        """`values` of the operator after: 0 where the network ends, NaN where it is unknown."""
        shifted = np.concatenate([values[1:], [0.0]]) if len(values) else values
        return self._at_edge(shifted, self.is_last(), self.has_after)

    def _at_edge(
        self, values: Array, is_edge: NDArray[np.bool_], has_more: NDArray[np.bool_]
    ) -> Array:
        return np.where(is_edge, np.where(has_more[self.graph], np.nan, 0.0), values)


def operator_table(graphs: Sequence[Graph]) -> OperatorTable:
    """The operators of `graphs` in execution order, without views."""
    rows = [
        (n, *_numbers(graph, operator))
        for n, graph in enumerate(graphs)
        for operator in graph.operators
        if operator.kind not in VIEW_KINDS
    ]
    values = np.array(rows, dtype=np.float64).reshape(-1, len(_COLUMNS))
    return OperatorTable(
        graphs=len(graphs),
        columns=dict(zip(_COLUMNS, values.T.copy(), strict=True)),
        has_before=np.array([graph.has_before for graph in graphs], dtype=np.bool_),
        has_after=np.array([graph.has_after for graph in graphs], dtype=np.bool_),
    )


def kind_name(operator: Operator) -> str:
    """One of KINDS."""
    if operator.kind == "conv":
        return "pointwise" if operator.kernel == (1, 1) else "conv"
    name = _KIND_OF.get(operator.kind, operator.kind)
    return name if name in _NUMBER else "other"


def _numbers(graph: Graph, operator: Operator) -> tuple[float, ...]:
    tensors, kind = graph.tensors, kind_name(operator)
    shape_in = tensors[operator.inputs[0]].shape
    shape_out = tensors[operator.outputs[0]].shape
    window = prod(operator.kernel)
    image_in, image_out = _image(shape_in, kind), _image(shape_out, kind)
    if kind == "pool" and operator.kind == "mean":
        window = image_in[0] * image_in[1]
    return (
        _NUMBER[kind],
        *image_in,
        *image_out,
        window,
        window**0.5,
        prod(operator.stride) ** 0.5,
        operator.groups,
        operator.activation not in _CHEAP_ACTIVATIONS,
        operator.macs,
        operator.weight_elements,
        operator.bias_elements,
        sum(tensors[i].elements for i in operator.inputs),
        sum(tensors[i].elements for i in operator.outputs),
        len(operator.inputs),
    )


def _image(shape: tuple[int, ...], kind: str) -> tuple[int, int, int]:
    """Height, width and channels of a tensor of any rank.

    `(1, C, H, W)` and `(1, C, T)` have the channels second; what linear layers, products and
    norms of tokens read and write has them last.
    """
    if kind in {"linear", "matmul", "softmax"} or len(shape) < 3:
        return prod(shape[:-1]), 1, shape[-1]
    if len(shape) == 3:
        return 1, shape[2], shape[1]
    return shape[-2], prod(shape[2:-2]) * shape[-1], shape[1]
