"""Operators of many graphs as columns of numbers, one row each, graph after graph.

Axes: `G` graphs, `O` operators of all of them. What only renames memory is left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, gcd, prod

import numpy as np
from numpy.typing import NDArray

from nas_ray.estimate.axes_worked import averaged_window, extent, joint_steps
from nas_ray.estimate.operator_labels import (
    WINDOWED,
    activation,
    along_channels,
    padding,
    variant,
)
from nas_ray.estimate.swapping import passes
from nas_ray.graph import Graph, Operator, Tensor
from nas_ray.graph.layout import is_renamed, moved, permutation_of

Array = NDArray[np.float64]

#: What an operator is to an accelerator; its place is its number in the column `kind`. `renaming`
#: is a transposition that moves nothing where channels are stored last.
KINDS = (
    *("conv", "pointwise", "depthwise", "linear", "add", "multiply", "pool", "activation"),
    *("concat", "resize", "transposed_conv", "matmul", "softmax", "norm", "transpose", "pad"),
    *("other", "slice", "reduce", "divide", "renaming", "repeat", "depth_to_space"),
)
_NUMBER = {kind: float(n) for n, kind in enumerate(KINDS)}
_KIND_OF = {
    "depthwise_conv": "depthwise",
    "sub": "add",
    "div": "divide",
    **dict.fromkeys(("mul", "maximum", "minimum"), "multiply"),
    **dict.fromkeys(("avg_pool", "max_pool"), "pool"),
    **dict.fromkeys(("layer_norm", "batch_norm"), "norm"),
    **dict.fromkeys(("depth_to_space", "space_to_depth"), "depth_to_space"),
}
_COLUMNS = (
    *("graph", "kind", "variant", "activation", "along_channels", "height_in", "width_in"),
    *("channels_in", "height", "width", "channels", "kernel_height", "kernel_width"),
    *("stride_height", "stride_width", "dilation_height", "dilation_width", "groups", "batches"),
    *("macs", "weights", "biases", "read", "written", "operands", "results", "padding"),
    *("channel_step", "kept_inputs", "extent", "swaps", "joined_step", "sliced_step"),
    *("reads_input", "writes_output"),
)
#: Which columns say what a field of `Operator` means for its cost. A field that is not here, or a
#: column that is in neither of the next two, would be priced in silence.
COLUMNS_OF: Mapping[str, tuple[str, ...]] = {
    "kind": ("kind",),
    "inputs": (
        "read",
        "operands",
        "height_in",
        "width_in",
        "channels_in",
        "channel_step",
        "kept_inputs",
    ),
    "outputs": ("written", "results", "height", "width", "channels", "batches"),
    "kernel": ("kernel_height", "kernel_width", "padding"),
    "stride": ("stride_height", "stride_width"),
    "dilation": ("dilation_height", "dilation_width"),
    "groups": ("groups",),
    "mode": ("variant",),
    "axes": ("along_channels", "variant", "extent", "swaps"),
    "activation": ("activation",),
    "macs": ("macs",),
    "weight_elements": ("weights",),
    "bias_elements": ("biases",),
}
#: Columns whose value an operator must have in common with one of its kind in the table.
LABELS = ("variant", "activation", "along_channels", "padding")
#: Columns whose values must lie in the range of the table's operators of the kind.
RANGED = (
    *("height_in", "width_in", "channels_in", "height", "width", "channels", "kernel_height"),
    *("kernel_width", "stride_height", "stride_width", "dilation_height", "dilation_width"),
    *("groups", "batches", "macs", "weights", "biases", "read", "written", "operands", "results"),
    *("channel_step", "kept_inputs", "extent", "swaps"),
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

    @property
    def next_kind(self) -> NDArray[np.intp]:
        """Places `(O,)` of the kind after, plus one; 0 at the end of a graph."""
        return np.nan_to_num(self.of_next(self["kind"] + 1)).astype(np.intp)

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
    """Return the operators of `graphs` in execution order, without those that only rename."""
    rows = [
        (n, *_numbers(graph, operator), *steps, *_meets_edge(graph, operator))
        for n, graph in enumerate(graphs)
        for operator, steps in zip(graph.operators, joint_steps(graph), strict=True)
        if is_counted(graph, operator)
    ]
    values = np.array(rows, dtype=np.float64).reshape(-1, len(_COLUMNS))
    return OperatorTable(
        graphs=len(graphs),
        columns=dict(zip(_COLUMNS, values.T.copy(), strict=True)),
        has_before=np.array([graph.has_before for graph in graphs], dtype=np.bool_),
        has_after=np.array([graph.has_after for graph in graphs], dtype=np.bool_),
    )


def is_counted(graph: Graph, operator: Operator) -> bool:
    """Tell whether an operator has a row: a reshape that moves nothing has none."""
    if operator.kind != "reshape":
        return True
    before, after = (graph.tensors[i] for i in (operator.inputs[0], operator.outputs[0]))
    return not (is_renamed(before, after) or len(after.shape) <= 2)


def kind_name(graph: Graph, operator: Operator) -> str:
    """Return one of KINDS."""
    if operator.kind == "conv":
        return "pointwise" if operator.kernel == (1, 1) else "conv"
    if operator.kind == "mean":
        return "pool" if _is_global(graph, operator) else "reduce"
    if operator.kind == "reshape":
        return "transpose"
    if operator.kind == "transpose" and operator.mode:
        return "transpose"
    if operator.kind == "transpose":
        before, after = (graph.tensors[i] for i in (operator.inputs[0], operator.outputs[0]))
        order = moved(before, after, permutation_of(operator, len(before.shape)))
        long = [n for n in order if before.stored_shape[n] > 1]
        return "renaming" if long == sorted(long) else "transpose"
    name = _KIND_OF.get(operator.kind, operator.kind)
    return name if name in _NUMBER else "other"


def _is_global(graph: Graph, operator: Operator) -> bool:
    """Tell whether a mean leaves one number a channel of an image or a signal."""
    tensor, result = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
    is_usual = not operator.mode and not operator.axes and tensor.channel_axes == 1
    return is_usual and result.elements == tensor.shape[1]


def _numbers(graph: Graph, operator: Operator) -> tuple[float, ...]:
    tensors, kind = graph.tensors, kind_name(graph, operator)
    before, after = tensors[operator.inputs[0]], tensors[operator.outputs[0]]
    image_in, image_out = _image(before), _image(after)
    kernel, stride = operator.kernel, operator.stride
    batches = 1
    if kind == "pool" and operator.kind == "mean":
        kernel = image_in[:2]
    if kind == "reduce":
        kernel = averaged_window(operator, before)
    if kind == "matmul":
        batches = prod(after.shape[:-2])
        image_in, image_out = _matrix(before), _matrix(after)
    return (
        _NUMBER[kind],
        variant(kind, operator),
        activation(operator),
        along_channels(graph, operator),
        *image_in,
        *image_out,
        *kernel,
        *(stride if kind in WINDOWED or kind == "slice" else (1, 1)),
        *operator.dilation,
        operator.groups,
        batches,
        operator.macs,
        operator.weight_elements,
        operator.bias_elements,
        sum(tensors[i].elements for i in operator.inputs),
        sum(tensors[i].elements for i in operator.outputs),
        len(operator.inputs),
        len(operator.outputs),
        padding(kind, operator, image_in, image_out),
        _channel_step(graph, operator, kind),
        sum(i in graph.inputs or graph.readers[i] > 1 for i in operator.inputs),
        extent(operator, before, after),
        _swaps(operator, before, after) if kind == "transpose" else 1,
    )


def _meets_edge(graph: Graph, operator: Operator) -> tuple[bool, bool]:
    """Tell whether an operator reads an input and writes an output of the whole network."""
    is_input = graph.reads_input or not graph.has_before
    is_output = graph.writes_output or not graph.has_after
    return (
        is_input and not {*operator.inputs}.isdisjoint(graph.inputs),
        is_output and not {*operator.outputs}.isdisjoint(graph.outputs),
    )


def _channel_step(graph: Graph, operator: Operator, kind: str) -> int:
    """Return what the channels of all tensors, or of the groups of a convolution, divide by."""
    parts = operator.groups if kind in {"conv", "pointwise", "transposed_conv"} else 1
    tensors = (graph.tensors[i] for i in (*operator.inputs, *operator.outputs))
    return gcd(*(_image(tensor)[2] // parts for tensor in tensors))


def _swaps(operator: Operator, before: Tensor, after: Tensor) -> int:
    """Return in how many passes a transposition is made; a reshape reorders before and after."""
    if operator.kind == "reshape":
        return 1 + (before.channel_axes > 0 and after.channel_axes > 0)
    if operator.mode:
        return 1
    order = moved(before, after, permutation_of(operator, len(before.shape)))
    return passes(before.stored_shape, order)


def _matrix(tensor: Tensor) -> tuple[int, int, int]:
    return 1, tensor.shape[-2], tensor.shape[-1]


def _image(tensor: Tensor) -> tuple[int, int, int]:
    """Return height, width and channels of a tensor of any rank.

    Tokens are given the most nearly square image, as compilers do for linear layers of them.
    """
    stored = tensor.stored_shape
    if len(stored) == 4 and tensor.channel_axes <= 1:
        return stored[0] * stored[1], stored[2], stored[3]
    if tensor.channel_axes:
        first = len(stored) - tensor.channel_axes
        rest = stored[:first]
        return prod(rest[:-1]), rest[-1], prod(stored[first:])
    height, width = squarest(prod(stored[:-1]))
    return height, width, stored[-1]


def squarest(count: int) -> tuple[int, int]:
    """Return the most nearly square height and width of `count` pixels, the width larger."""
    width = max(1, count // 16, ceil(count**0.5))
    while count % width:
        width += 1
    return count // width, width
