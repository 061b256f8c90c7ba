"""A traced graph as a float32 ONNX model: what runtimes and most vendors' tools read.

Tensors keep torch's shapes. Weights are random with a fixed seed: the model is for asking what it
would cost, its weights are not the network's.
"""

from collections.abc import Callable

from nas_ray.graph import Graph, Operator
from nas_ray.measure import onnx_layers as layers
from nas_ray.measure import onnx_norms as norms
from nas_ray.measure import onnx_reductions as reductions
from nas_ray.measure import onnx_shapes as shapes
from nas_ray.measure.onnx_writer import OnnxWriter, cannot


def to_onnx(graph: Graph, seed: int = 0) -> bytes:
    """An ONNX model of `graph` (a network or a subgraph); inputs and outputs keep their order.

    What a graph does not say is written in one way, because the cost is (nearly) the same: padding
    is halved between both ends and a slice is the first part. Raises MeasureError naming the first
    operator that cannot be written, and without the package `onnx`.
    """
    writer = OnnxWriter(graph, seed)
    for operator in graph.operators:
        write = _WRITE.get(operator.kind)
        if write is None:
            raise cannot(operator, "has no ONNX form here")
        names = write(writer, operator)
        if operator.activation:
            names = [layers.activated(writer, operator, names[0])]
        writer.names |= zip(operator.outputs, names, strict=True)
    return writer.finish()


def _alone(writer: OnnxWriter, operator: Operator) -> list[str]:
    """An activation that follows no other operator: `to_onnx` adds it to what it reads."""
    return writer.sources(operator)


#: Operator kind to the function that writes it and names its outputs.
_WRITE: dict[str, Callable[[OnnxWriter, Operator], list[str]]] = {
    "activation": _alone,
    "conv": layers.convolution,
    "depthwise_conv": layers.convolution,
    "transposed_conv": layers.transposed_convolution,
    "linear": layers.linear,
    "matmul": layers.matmul,
    "add": layers.elementwise("Add"),
    "sub": layers.elementwise("Sub"),
    "mul": layers.elementwise("Mul"),
    "div": layers.elementwise("Div"),
    "maximum": layers.elementwise("Max"),
    "minimum": layers.elementwise("Min"),
    "batch_norm": layers.batch_norm,
    "layer_norm": norms.norm,
    "max_pool": layers.pool("MaxPool"),
    "avg_pool": layers.pool("AveragePool"),
    "softmax": layers.softmax,
    "gather": layers.look_up,
    "mean": reductions.reduction,
    "concat": shapes.concat,
    "reshape": shapes.reshape,
    "transpose": shapes.transpose,
    "flip": shapes.flip,
    "repeat": shapes.repeat,
    "slice": shapes.slices,
    "pad": shapes.pad,
    "resize": shapes.resize,
    "depth_to_space": shapes.depth_to_space,
    "space_to_depth": shapes.space_to_depth,
}
