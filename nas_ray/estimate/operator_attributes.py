"""One operator as named attributes: what the rules of a device speak of (see `host_rules.py`).

Sizes are those of a tensor as it is stored, channels last: `(batch, height, width, channels)`. A
signal has height 1, tokens `(1, T, C)` are an image of one row, and of more than four axes all
before the last three are the batch.
"""

from collections.abc import Callable, Mapping
from math import prod

from nas_ray.graph import Graph, Operator, Tensor
from nas_ray.graph.layout import is_renamed, moved, permutation_of

Attributes = Mapping[str, float | str]
Shape = tuple[int, int, int, int]


def attributes_of(graph: Graph, operator: Operator) -> Attributes:
    """Return the attributes of `operator`: all of ATTRIBUTES, neutral where it has no such.

    - `mode` is as in `Operator`; sizes are those of the first input, `positions` its height times
      its width, `channels_out` the channels of the output, `group_channels` those of one group.
    - `step` is the largest stride along an axis with several outputs. `is_padded` is 1 where a
      window reaches beyond the image, `is_same_padded` where besides there is an output for each
      stride that begins, as in TFLite's padding SAME.
    - `factor_height` and `factor_width` are output by input, between the outermost pixels where
      corners are aligned.
    - `reduced` is how many numbers become one, `longest_reduced` the longest axis of them,
      `reduces_channels` 1 where the stored last axis is one, `is_global` 1 for a plain mean over
      an image or a signal.
    - `rows` is the product of the two axes before that of a softmax, brought to the last place.
      `channel_step` is the step of a slice along the channels.
    - `moved`, of a tensor that is stored in another order, is the largest product of all axes but
      two, of three axes the longest; 0 where nothing moves.
    """
    found: dict[str, float | str] = {}
    for describe in _DESCRIBED_BY:
        found |= describe(graph, operator)
    return found


def _sizes(graph: Graph, operator: Operator) -> Attributes:
    batch, height, width, channels = _stored(graph.tensors[operator.inputs[0]])
    return {
        "mode": operator.mode,
        "batch": batch,
        "height": height,
        "width": width,
        "positions": height * width,
        "channels": channels,
        "channels_out": _stored(graph.tensors[operator.outputs[0]])[3],
        "group_channels": channels // operator.groups,
    }


def _window(graph: Graph, operator: Operator) -> Attributes:
    before = _stored(graph.tensors[operator.inputs[0]])[1:3]
    after = _stored(graph.tensors[operator.outputs[0]])[1:3]
    sides = zip(before, after, operator.kernel, operator.stride, operator.dilation, strict=True)
    beyond = [(out - 1) * s + (k - 1) * d + 1 > size for size, out, k, s, d in sides]
    is_same = all(
        out == -(-size // s) for size, out, s in zip(before, after, operator.stride, strict=True)
    )
    steps = [s for s, out in zip(operator.stride, after, strict=True) if out > 1]
    return {
        "kernel_height": operator.kernel[0],
        "kernel_width": operator.kernel[1],
        "kernel_area": prod(operator.kernel),
        "stride_height": operator.stride[0],
        "stride_width": operator.stride[1],
        "step": max(steps, default=1),
        "dilation": max(operator.dilation),
        "is_padded": int(any(beyond)),
        "is_same_padded": int(any(beyond) and is_same),
    }


def _scaling(graph: Graph, operator: Operator) -> Attributes:
    before = _stored(graph.tensors[operator.inputs[0]])[1:3]
    after = _stored(graph.tensors[operator.outputs[0]])[1:3]
    corners = operator.mode.endswith("_corners")
    factors = [
        (b - 1) / (a - 1) if corners and a > 1 else b / a
        for a, b in zip(before, after, strict=True)
    ]
    return {"factor_height": factors[0], "factor_width": factors[1]}


def _reduction(graph: Graph, operator: Operator) -> Attributes:
    tensor, result = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
    sizes: tuple[int, ...] = (1,)
    last = False
    is_plain = operator.kind == "mean" and not operator.mode and not operator.axes
    if operator.kind == "mean":
        rank = len(tensor.shape)
        axes = operator.axes or tuple(range(2, rank))
        sizes = (1, *(tensor.shape[axis] for axis in axes))
        last = any(tensor.order.index(axis) == rank - 1 for axis in axes)
    return {
        "reduced": prod(sizes),
        "longest_reduced": max(sizes),
        "reduces_channels": int(last),
        "is_global": int(
            is_plain and tensor.channel_axes == 1 and result.elements == tensor.shape[1]
        ),
    }


def _moving(graph: Graph, operator: Operator) -> Attributes:
    """How a softmax, a slice, a reshape or a transposition lies across the stored order."""
    tensor = graph.tensors[operator.inputs[0]]
    rows, turned = 1, list(tensor.stored_shape)
    channel_step = 1
    axis = (operator.axes or (1,))[0]
    place = tensor.order.index(axis) if axis < len(tensor.shape) else -1
    if operator.kind == "softmax":
        turned[place], turned[-1] = turned[-1], turned[place]
        rows = prod(turned[-3:-1])
    if operator.kind == "slice" and place == len(tensor.shape) - 1:
        channel_step = max(operator.stride)
    return {"rows": rows, "channel_step": channel_step, "moved": _moved(graph, operator)}


def _moved(graph: Graph, operator: Operator) -> int:
    before, after = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
    if operator.kind == "softmax":
        is_last = before.order.index((operator.axes or (1,))[0]) == len(before.shape) - 1
        return 0 if is_last else _largest_product(before.stored_shape)
    if operator.kind == "transpose" and not operator.mode:
        order = moved(before, after, permutation_of(operator, len(before.shape)))
        long = [n for n in order if before.stored_shape[n] > 1]
        return 0 if long == sorted(long) else _largest_product(before.stored_shape)
    if operator.kind == "reshape" and not is_renamed(before, after) and len(after.shape) > 2:
        ends = [tensor for tensor in (before, after) if tensor.stored_shape != tensor.shape]
        return max((_largest_product(tensor.shape) for tensor in ends), default=0)
    return 0


def _largest_product(shape: tuple[int, ...]) -> int:
    if prod(shape[:-3]) == 1:
        return max(shape)
    shortest = sorted(shape)[:2]
    return prod(shape) // prod(shortest)


def _stored(tensor: Tensor) -> Shape:
    stored = tensor.stored_shape
    if len(stored) == 5 and tensor.channel_axes == 2:
        return stored[0], stored[1] * stored[2], stored[3], stored[4]
    padded = (1,) * (4 - len(stored)) + stored
    return prod(padded[:-3]), padded[-3], padded[-2], padded[-1]


_DESCRIBED_BY: tuple[Callable[[Graph, Operator], Attributes], ...] = (
    *(_sizes, _window, _scaling, _reduction, _moving),
)
#: Names of the attributes that a rule may speak of.
ATTRIBUTES = (
    *("mode", "batch", "height", "width", "positions", "channels", "channels_out"),
    *("group_channels", "kernel_height", "kernel_width", "kernel_area", "stride_height"),
    *("stride_width", "step", "dilation", "is_padded", "is_same_padded", "factor_height"),
    *("factor_width", "reduced", "longest_reduced", "reduces_channels", "is_global", "rows"),
    *("channel_step", "moved"),
)
