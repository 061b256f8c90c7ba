"""A traced graph as an int8 `.tflite` model: what the Ethos-U compiler reads.

One function an operator kind. The model is for asking what it would cost: its weights are not the
network's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np

from nas_ray.graph import Graph, Operator
from nas_ray.measure.lowering import SAME, VALID, Lowering, cannot


@dataclass(frozen=True, kw_only=True)
class TfliteModel:
    """A file, and for each of its operators in order the operator of the graph it comes from."""

    content: bytes
    origins: tuple[int, ...]


def to_tflite(graph: Graph, seed: int = 0) -> TfliteModel:
    """An int8 TFLite model of `graph` (a network or a subgraph).

    Resizing is written as bilinear and a slice as the first part: a graph does not say which,
    and the cost is the same. Raises MeasureError naming the first operator that cannot be written.
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


def _convolution(lowering: Lowering, operator: Operator) -> None:
    if len(operator.inputs) != 1:
        raise cannot(operator, "takes its weights from another operator, which is not supported")
    channels_in = lowering.shape(operator.inputs[0])[-1]
    channels_out = lowering.shape(operator.outputs[0])[-1]
    (rows, columns), (down, across) = operator.kernel, operator.dilation
    window = ((rows - 1) * down + 1, (columns - 1) * across + 1)
    source, fields = lowering.windowed(operator, window)
    fields |= {"DilationHFactor": down, "DilationWFactor": across}
    bias = lowering.bias(operator.bias_elements)
    if operator.groups == channels_in > 1:
        weights = lowering.weights((1, rows, columns, channels_out))
        fields["DepthMultiplier"] = channels_out // channels_in
        code, options = "DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions"
    else:
        weights = lowering.weights((channels_out, rows, columns, channels_in // operator.groups))
        code, options = "CONV_2D", "Conv2DOptions"
    lowering.hosted(operator, code, [source, weights, bias], options, fields)


def _linear(lowering: Lowering, operator: Operator) -> None:
    features_in = lowering.shape(operator.inputs[0])[-1]
    features_out = lowering.shape(operator.outputs[0])[-1]
    inputs = [
        lowering.index[operator.inputs[0]],
        lowering.weights((features_out, features_in)),
        lowering.bias(operator.bias_elements),
    ]
    lowering.hosted(operator, "FULLY_CONNECTED", inputs, "FullyConnectedOptions", {})


def _elementwise(code: str, options: str) -> "Lower":
    def lower(lowering: Lowering, operator: Operator) -> None:
        inputs = [lowering.index[tensor] for tensor in operator.inputs]
        if len(inputs) == 1:
            inputs.append(lowering.constant(_constant_shape(lowering, operator)))
        if code in {"MAXIMUM", "MINIMUM"}:
            shape = lowering.shape(operator.outputs[0])
            lowering.index[operator.outputs[0]] = lowering.emit(code, inputs, shape, options)
        else:
            lowering.hosted(operator, code, inputs, options, {})

    return lower


def _constant_shape(lowering: Lowering, operator: Operator) -> tuple[int, ...]:
    shape = lowering.shape(operator.inputs[0])
    for candidate in ((1,), shape[-1:], shape):
        if max(operator.weight_elements, 1) == prod(candidate):
            return candidate
    raise cannot(operator, f"reads a constant of {operator.weight_elements} elements")


def _batch_norm(lowering: Lowering, operator: Operator) -> None:
    shape = lowering.shape(operator.inputs[0])
    inputs = [lowering.index[operator.inputs[0]], lowering.constant(shape[-1:])]
    scaled = lowering.emit("MUL", inputs, shape, "MulOptions")
    inputs = [scaled, lowering.constant(shape[-1:])]
    lowering.hosted(operator, "ADD", inputs, "AddOptions", {})


def _pool(code: str) -> "Lower":
    def lower(lowering: Lowering, operator: Operator) -> None:
        source, fields = lowering.windowed(operator, operator.kernel)
        fields |= {"FilterHeight": operator.kernel[0], "FilterWidth": operator.kernel[1]}
        lowering.hosted(operator, code, [source], "Pool2DOptions", fields)

    return lower


def _activation(lowering: Lowering, operator: Operator) -> None:
    source = lowering.index[operator.inputs[0]]
    lowering.index[operator.outputs[0]] = lowering.activate(operator, source)


def _mean(lowering: Lowering, operator: Operator) -> None:
    shape, result = lowering.shape(operator.inputs[0]), lowering.shape(operator.outputs[0])
    if len(shape) != 4 or prod(result) != shape[-1]:
        raise cannot(operator, "averages over other axes than height and width")
    # A pooling over the whole image: compilers have a faster form for it than for MEAN.
    fields: dict[str, int | float | bool] = {
        "Padding": VALID,
        "StrideH": 1,
        "StrideW": 1,
        "FilterHeight": shape[1],
        "FilterWidth": shape[2],
    }
    pooled = (1, 1, 1, shape[-1])
    source = lowering.index[operator.inputs[0]]
    averaged = lowering.emit("AVERAGE_POOL_2D", [source], pooled, "Pool2DOptions", fields)
    if result != pooled:
        inputs = [averaged, lowering.integers(result)]
        averaged = lowering.emit("RESHAPE", inputs, result, "ReshapeOptions")
    if operator.activation:
        averaged = lowering.activate(operator, averaged)
    lowering.index[operator.outputs[0]] = averaged


def _concat(lowering: Lowering, operator: Operator) -> None:
    shapes = [lowering.shape(tensor) for tensor in operator.inputs]
    result = lowering.shape(operator.outputs[0])
    if len(shapes[0]) != len(result):
        raise cannot(operator, "stacks along a new axis")
    axis = next((n for n, size in enumerate(result) if size != shapes[0][n]), len(result) - 1)
    inputs = [lowering.index[tensor] for tensor in operator.inputs]
    lowering.hosted(operator, "CONCATENATION", inputs, "ConcatenationOptions", {"Axis": axis})


def _reshape(lowering: Lowering, operator: Operator) -> None:
    shape = lowering.shape(operator.outputs[0])
    if prod(shape) != prod(lowering.shape(operator.inputs[0])):
        raise cannot(operator, "repeats a tensor, which is not supported")
    inputs = [lowering.index[operator.inputs[0]], lowering.integers(shape)]
    lowering.index[operator.outputs[0]] = lowering.emit("RESHAPE", inputs, shape, "ReshapeOptions")


def _transpose(lowering: Lowering, operator: Operator) -> None:
    before, after = (
        lowering.graph.shape(operator.inputs[0]),
        lowering.graph.shape(operator.outputs[0]),
    )
    swapped = (before[0], before[2], before[1], *before[3:]) if len(before) == 5 else ()
    if after != swapped:
        raise cannot(
            operator, "is not the shuffle of channel groups (1, G, C, H, W), whose form is known"
        )
    shape = lowering.shape(operator.outputs[0])
    inputs = [lowering.index[operator.inputs[0]], lowering.integers((0, 1, 3, 2))]
    lowering.index[operator.outputs[0]] = lowering.emit(
        "TRANSPOSE", inputs, shape, "TransposeOptions"
    )


def _transposed_convolution(lowering: Lowering, operator: Operator) -> None:
    shape, result = lowering.shape(operator.inputs[0]), lowering.shape(operator.outputs[0])
    stretched = tuple(size * step for size, step in zip(shape[1:3], operator.stride, strict=True))
    if operator.groups != 1 or operator.dilation != (1, 1):
        raise cannot(operator, "has groups or a dilation, which TFLite's form does not")
    if stretched != result[1:3]:
        raise cannot(
            operator, f"makes {result[1:3]} of {shape[1:3]}, not {stretched} as TFLite's form does"
        )
    inputs = [
        lowering.integers(result),
        lowering.weights((result[-1], *operator.kernel, shape[-1])),
        lowering.index[operator.inputs[0]],
        lowering.bias(operator.bias_elements),
    ]
    fields: dict[str, int | float | bool] = {
        "Padding": SAME,
        "StrideH": operator.stride[0],
        "StrideW": operator.stride[1],
    }
    lowering.hosted(operator, "TRANSPOSE_CONV", inputs, "TransposeConvOptions", fields)


def _slice(lowering: Lowering, operator: Operator) -> None:
    shape = lowering.shape(operator.inputs[0])
    begin = np.zeros(len(shape), dtype=np.int32)
    for output in operator.outputs:
        size = lowering.shape(output)
        if len(size) != len(shape):
            raise cannot(operator, "drops an axis, which is not supported")
        inputs = [
            lowering.index[operator.inputs[0]],
            lowering.integers(begin),
            lowering.integers(size),
        ]
        lowering.index[output] = lowering.emit("SLICE", inputs, size, "SliceOptions")
        begin += np.where(np.array(size) < shape, size, 0).astype(np.int32)


def _pad(lowering: Lowering, operator: Operator) -> None:
    shape, result = lowering.shape(operator.inputs[0]), lowering.shape(operator.outputs[0])
    added = [after - before for before, after in zip(shape, result, strict=True)]
    if min(added) < 0:
        raise cannot(operator, "crops, which is not supported")
    pads = lowering.integers([(total // 2, total - total // 2) for total in added])
    inputs = [lowering.index[operator.inputs[0]], pads]
    lowering.index[operator.outputs[0]] = lowering.emit("PAD", inputs, result, "PadOptions")


def _resize(lowering: Lowering, operator: Operator) -> None:
    shape, result = lowering.shape(operator.inputs[0]), lowering.shape(operator.outputs[0])
    source = lowering.index[operator.inputs[0]]
    if shape[-1] != result[-1]:
        block = {"BlockSize": result[1] // shape[1]}
        made = lowering.emit("DEPTH_TO_SPACE", [source], result, "DepthToSpaceOptions", block)
    else:
        inputs = [source, lowering.integers(result[1:3])]
        fields = {"HalfPixelCenters": True}
        made = lowering.emit("RESIZE_BILINEAR", inputs, result, "ResizeBilinearOptions", fields)
    lowering.index[operator.outputs[0]] = made


def _softmax(lowering: Lowering, operator: Operator) -> None:
    shape = lowering.shape(operator.outputs[0])
    inputs = [lowering.index[operator.inputs[0]]]
    made = lowering.emit("SOFTMAX", inputs, shape, "SoftmaxOptions", {"Beta": 1.0})
    lowering.index[operator.outputs[0]] = made


Lower = Callable[[Lowering, Operator], None]
_LOWER: dict[str, Lower] = {
    "conv": _convolution,
    "depthwise_conv": _convolution,
    "linear": _linear,
    "add": _elementwise("ADD", "AddOptions"),
    "sub": _elementwise("SUB", "SubOptions"),
    "mul": _elementwise("MUL", "MulOptions"),
    "maximum": _elementwise("MAXIMUM", "MaximumMinimumOptions"),
    "minimum": _elementwise("MINIMUM", "MaximumMinimumOptions"),
    "batch_norm": _batch_norm,
    "max_pool": _pool("MAX_POOL_2D"),
    "avg_pool": _pool("AVERAGE_POOL_2D"),
    "activation": _activation,
    "mean": _mean,
    "concat": _concat,
    "reshape": _reshape,
    "transpose": _transpose,
    "transposed_conv": _transposed_convolution,
    "slice": _slice,
    "pad": _pad,
    "resize": _resize,
    "softmax": _softmax,
}
