"""Put the files of operator kinds together: `to_tflite`."""

from collections.abc import Callable
from dataclasses import dataclass

from nas_ray.graph import Graph, Operator
from nas_ray.measure.tflite import moves, norms, pointwise, products, reductions, windows
from nas_ray.measure.tflite.lowering import Lowering, cannot


@dataclass(frozen=True, kw_only=True)
class TfliteModel:
    """A file, and for each of its operators in order the operator of the graph it comes from."""

    content: bytes
    origins: tuple[int, ...]


def to_tflite(graph: Graph, seed: int = 0) -> TfliteModel:
    """Write an int8 TFLite model of `graph` (a network or a subgraph) with weights of `seed`.

    A slice is written as the first part: a graph does not say which, and the cost is the same.
    Raises MeasureError naming the first operator that cannot be written.
    """
    lowering = Lowering(graph, seed)
    for tensor in graph.inputs:
        lowering.index[tensor] = lowering.new(lowering.shape(tensor))
    origins: list[int] = []
    for position, operator in enumerate(graph.operators):
        lower = _LOWER.get(operator.kind)
        if lower is None:
            raise cannot(operator, "has no int8 TFLite form here")
        lower(lowering, operator)
        origins += [position] * (lowering.writer.operators - len(origins))
    inputs, outputs = ([lowering.index[n] for n in ends] for ends in (graph.inputs, graph.outputs))
    return TfliteModel(content=lowering.writer.finish(inputs, outputs), origins=tuple(origins))


Lower = Callable[[Lowering, Operator], None]
_LOWER: dict[str, Lower] = {
    "conv": windows.convolution,
    "depthwise_conv": windows.convolution,
    "transposed_conv": windows.transposed_convolution,
    "max_pool": windows.pool("MAX_POOL_2D"),
    "avg_pool": windows.pool("AVERAGE_POOL_2D"),
    "linear": products.linear,
    "matmul": products.matmul,
    "add": pointwise.elementwise("ADD", "AddOptions"),
    "sub": pointwise.elementwise("SUB", "SubOptions"),
    "mul": pointwise.elementwise("MUL", "MulOptions"),
    "div": pointwise.elementwise("DIV", "DivOptions"),
    "maximum": pointwise.elementwise("MAXIMUM", "MaximumMinimumOptions"),
    "minimum": pointwise.elementwise("MINIMUM", "MaximumMinimumOptions"),
    "batch_norm": pointwise.batch_norm,
    "activation": pointwise.activation,
    "mean": reductions.mean,
    "softmax": reductions.softmax,
    "layer_norm": norms.norm,
    "concat": moves.concat,
    "reshape": moves.reshape,
    "transpose": moves.transpose,
    "flip": moves.flip,
    "repeat": moves.repeat,
    "slice": moves.slices,
    "pad": moves.pad,
    "resize": moves.resize,
    "depth_to_space": moves.depth_to_space("DEPTH_TO_SPACE", "DepthToSpaceOptions"),
    "space_to_depth": moves.depth_to_space("SPACE_TO_DEPTH", "SpaceToDepthOptions"),
}
