"""What axes mean for the cost of an operator: how far it works along them, and beside whom."""

from collections.abc import Iterator
from math import gcd, prod

from nas_ray.graph import Graph, Operator, Tensor


def extent(operator: Operator, before: Tensor, after: Tensor) -> int:
    """Return how many numbers each result is made of: by a mean, a softmax, a norm; else 1."""
    shape = before.shape
    if operator.kind == "mean":
        return max(1, before.elements // after.elements)
    if operator.kind == "softmax":
        return prod(shape[axis] for axis in operator.axes or (1,))
    if operator.kind != "layer_norm":
        return 1
    if operator.mode == "instance":
        return prod(shape[2:])
    if operator.mode == "group":
        return before.elements // operator.groups
    return prod(shape[axis] for axis in operator.axes) if operator.axes else shape[-1]


def averaged_window(operator: Operator, before: Tensor) -> tuple[int, int]:
    """Return height and width of what a mean along lines of an image pools; else 1 and 1."""
    image = range(1 + before.channel_axes, len(before.shape))
    axes = operator.axes or tuple(image)
    is_mean = operator.kind == "mean" and not operator.mode and before.channel_axes == 1
    if not is_mean or not {*axes} <= {*image}:
        return 1, 1
    sides = [before.shape[axis] if axis in axes else 1 for axis in image]
    return prod(sides[:-1]), sides[-1]


def joint_steps(graph: Graph) -> Iterator[tuple[int, int]]:
    """For each operator what the channels divide by that its result is joined and its input cut.

    0 where its result goes into no concatenation of channels, and where its input is no slice.
    """
    joined: dict[int, int] = {}
    cut: dict[int, int] = {}
    for operator in graph.operators:
        if operator.kind in {"concat", "slice"} and operator.axes in {(), (1,)}:
            parts = operator.inputs if operator.kind == "concat" else operator.outputs
            shapes = [graph.shape(i) for i in parts]
            step = gcd(*(shape[1] for shape in shapes if len(shape) > 1))
            (joined if operator.kind == "concat" else cut).update(dict.fromkeys(parts, step))
    for operator in graph.operators:
        yield (
            max((joined.get(i, 0) for i in operator.outputs), default=0),
            max((cut.get(i, 0) for i in operator.inputs), default=0),
        )
