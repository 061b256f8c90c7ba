"""A subgraph with other channel counts and another image, its structure kept.

What `trace` would give for the same block with other numbers, made from the graph alone, so that
there are neighbours of a subgraph of any network, of which only its signature is known.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod

from nas_ray.graph import Graph, Operator
from nas_ray.measure.window import explicit_padding, is_same, is_valid

#: Image channels: a network does not choose them.
FEWEST_CHANNELS = 5
Shape = tuple[int, ...]


class _CannotRescaleError(Exception):
    """The structure does not allow these numbers, or is not known here."""


def channel_counts(graph: Graph) -> list[int]:
    """The different channel counts that may change, those of the input first."""
    shapes = [graph.shape(i) for i in graph.inputs]
    shapes += [graph.shape(o.outputs[0]) for o in graph.operators if o.kind in {"conv", "linear"}]
    counts = dict.fromkeys(shape[1] for shape in shapes)
    return [count for count in counts if count >= FEWEST_CHANNELS]


def rescaled(graph: Graph, channels: Mapping[int, int], image: float = 1.0) -> Graph | None:
    """`graph` with each channel count replaced as `channels` says, its images `image` as large.

    Equal counts stay equal, so what is added, gated or convolved by depth still fits. None where
    the result would not be a network, or for an operator without a rule here.
    """
    shapes = {i: _input_shape(graph.shape(i), channels, image) for i in graph.inputs}
    operators: list[Operator] = []
    try:
        for operator in graph.operators:
            before = [shapes[i] for i in operator.inputs]
            after = _RULES.get(operator.kind, _unknown)(graph, operator, before, channels)
            if min(after) < 1:
                return None
            shapes[operator.outputs[0]] = after
            operators.append(_counted(operator, before[0], after))
    except _CannotRescaleError:
        return None
    tensors = tuple(replace(tensor, shape=shapes[n]) for n, tensor in enumerate(graph.tensors))
    return replace(graph, tensors=tensors, operators=tuple(operators))


def _input_shape(shape: Shape, channels: Mapping[int, int], image: float) -> Shape:
    sides = (max(1, round(side * image)) for side in shape[2:])
    return (shape[0], channels.get(shape[1], shape[1]), *sides)


Rule = Callable[[Graph, Operator, list[Shape], Mapping[int, int]], Shape]


def _unknown(_: Graph, operator: Operator, *__: object) -> Shape:
    raise _CannotRescaleError(operator.kind)


def _convolution(
    graph: Graph, operator: Operator, before: list[Shape], channels: Mapping[int, int]
) -> Shape:
    count = graph.shape(operator.outputs[0])[1]
    after = channels.get(count, count)
    if before[0][1] % operator.groups or after % operator.groups or len(before) > 1:
        raise _CannotRescaleError(operator.kind)
    return (before[0][0], after, *_windowed(graph, operator, before[0]))


def _channelwise(
    graph: Graph, operator: Operator, before: list[Shape], _: Mapping[int, int]
) -> Shape:
    """A window over each channel alone: depthwise convolution, pooling."""
    return (*before[0][:2], *_windowed(graph, operator, before[0]))


def _windowed(graph: Graph, operator: Operator, before: Shape) -> Shape:
    """Sides of the output, padded as `operator` of `graph` is."""
    axes = len(before) - 2
    old_before, old_after = (graph.shape(i)[2:] for i in (operator.inputs[0], operator.outputs[0]))
    stride = operator.stride[-axes:]
    window = tuple(
        (k - 1) * d + 1 for k, d in zip(operator.kernel, operator.dilation, strict=True)
    )[-axes:]
    if is_same(old_before, old_after, stride):
        return tuple(-(-side // s) for side, s in zip(before[2:], stride, strict=True))
    padding = (0,) * axes
    if not is_valid(old_before, old_after, window, stride):
        if axes != 2:
            raise _CannotRescaleError(operator.kind)
        padding = tuple(map(sum, explicit_padding(old_before, old_after, window, stride)))
    sizes = zip(before[2:], padding, window, stride, strict=True)
    return tuple((side + p - w) // s + 1 for side, p, w, s in sizes)


def _linear(
    graph: Graph, operator: Operator, before: list[Shape], channels: Mapping[int, int]
) -> Shape:
    count = graph.shape(operator.outputs[0])[-1]
    if len(before) > 1:
        raise _CannotRescaleError(operator.kind)
    return (*before[0][:-1], channels.get(count, count))


def _elementwise(_: Graph, operator: Operator, before: list[Shape], __: Mapping[int, int]) -> Shape:
    if len({len(shape) for shape in before}) > 1 or operator.weight_elements > 1:
        raise _CannotRescaleError(operator.kind)
    after = tuple(max(sizes) for sizes in zip(*before, strict=True))
    fits = (set(sizes) <= {1, whole} for *sizes, whole in zip(*before, after, strict=True))
    if not all(fits):
        raise _CannotRescaleError(operator.kind)
    return after


def _same(_: Graph, __: Operator, before: list[Shape], ___: Mapping[int, int]) -> Shape:
    return before[0]


def _mean(graph: Graph, operator: Operator, before: list[Shape], _: Mapping[int, int]) -> Shape:
    after = graph.shape(operator.outputs[0])
    if prod(after[2:]) != 1 or after[1] != graph.shape(operator.inputs[0])[1]:
        raise _CannotRescaleError(operator.kind)
    return (*before[0][:2], *after[2:])


def _reshape(graph: Graph, operator: Operator, before: list[Shape], _: Mapping[int, int]) -> Shape:
    """Flattening only."""
    if len(graph.shape(operator.outputs[0])) != 2:
        raise _CannotRescaleError(operator.kind)
    return (before[0][0], prod(before[0][1:]))


def _concat(graph: Graph, operator: Operator, before: list[Shape], _: Mapping[int, int]) -> Shape:
    counts = sum(graph.shape(i)[1] for i in operator.inputs)
    rest = {(shape[0], *shape[2:]) for shape in before}
    if graph.shape(operator.outputs[0])[1] != counts or len(rest) > 1:
        raise _CannotRescaleError(operator.kind)
    return (before[0][0], sum(shape[1] for shape in before), *before[0][2:])


def _resize(graph: Graph, operator: Operator, before: list[Shape], _: Mapping[int, int]) -> Shape:
    old, new = (graph.shape(i)[2:] for i in (operator.inputs[0], operator.outputs[0]))
    if any(n % o for o, n in zip(old, new, strict=True)):
        raise _CannotRescaleError(operator.kind)
    scales = [n // o for o, n in zip(old, new, strict=True)]
    return (*before[0][:2], *(b * s for b, s in zip(before[0][2:], scales, strict=True)))


_RULES: Mapping[str, Rule] = {
    "conv": _convolution,
    "depthwise_conv": _channelwise,
    "max_pool": _channelwise,
    "avg_pool": _channelwise,
    "linear": _linear,
    **dict.fromkeys(("add", "sub", "mul", "maximum", "minimum"), _elementwise),
    **dict.fromkeys(("activation", "batch_norm"), _same),
    "mean": _mean,
    "reshape": _reshape,
    "concat": _concat,
    "resize": _resize,
}


def _counted(operator: Operator, before: Shape, after: Shape) -> Operator:
    """`operator` with the arithmetic and constants that its new shapes mean."""
    groups = before[1] if operator.kind == "depthwise_conv" else operator.groups
    weights = macs = 0
    if operator.kind in {"conv", "depthwise_conv"}:
        weights = after[1] * before[1] // groups * prod(operator.kernel)
        macs = weights * prod(after[2:])
    elif operator.kind == "linear":
        weights, macs = before[-1] * after[-1], prod(after) * before[-1]
    else:
        weights, macs = operator.weight_elements, operator.macs
    channels = after[-1] if operator.kind == "linear" else after[1]
    return replace(
        operator,
        groups=groups,
        weight_elements=weights,
        macs=macs,
        bias_elements=channels if operator.bias_elements else 0,
    )
