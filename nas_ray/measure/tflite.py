"""A traced graph as an int8 `.tflite` model: what the Ethos-U compiler reads.

Tensors are `(1, H, W, C)`; a signal `(1, C, T)` becomes an image of height 1. Weights are Gaussian
with a standard deviation of 32 int8 steps and a fixed seed, because a compiler that compresses
weights makes latency depend on their distribution. The model is for asking what it would cost:
its weights are not the network's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from nas_ray.errors import MeasureError
from nas_ray.graph import Graph, Operator
from nas_ray.measure.flatbuffer import TfliteWriter
from nas_ray.measure.window import explicit_padding, is_same, is_valid

WEIGHT_SIGMA = 32.0
_WEIGHT_SCALE = 0.02
_ACTIVATION_SCALE = 0.05
_FUSED = {"": "NONE", "relu": "RELU", "relu6": "RELU6"}
#: Enumerations of the schema: ActivationFunctionType and Padding.
_ACTIVATION_CODE = {"NONE": 0, "RELU": 1, "RELU6": 3}
_SAME, _VALID = 0, 1
#: What a builtin promises about its output: 1/256 from -128 for values in [0, 1], and so on.
_OWN_OUTPUT = {"LOGISTIC": (1 / 256, -128), "SOFTMAX": (1 / 256, -128), "TANH": (1 / 128, 0)}
_LOOKUP = {
    "sigmoid": ("LOGISTIC", ""),
    "tanh": ("TANH", ""),
    "hardswish": ("HARD_SWISH", "HardSwishOptions"),
    "leaky_relu": ("LEAKY_RELU", "LeakyReluOptions"),
    "elu": ("ELU", ""),
    "gelu": ("GELU", "GeluOptions"),
    "relu": ("RELU", ""),
    "relu6": ("RELU6", ""),
}


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
    return _Lowering(graph, seed).run()


class _Lowering:
    """One pass over the operators; `index` maps graph tensors to tensors of the file."""

    def __init__(self, graph: Graph, seed: int) -> None:
        self.graph = graph
        self.writer = TfliteWriter()
        self.rng = np.random.default_rng(seed)
        self.index: dict[int, int] = {}

    def run(self) -> TfliteModel:
        for tensor in self.graph.inputs:
            self.index[tensor] = self.writer.activation(self.shape(tensor), _ACTIVATION_SCALE)
        origins: list[int] = []
        for position, operator in enumerate(self.graph.operators):
            lower = _LOWER.get(operator.kind)
            if lower is None:
                raise _cannot(operator, "has no int8 TFLite form here")
            lower(self, operator)
            origins += [position] * (self.writer.operators - len(origins))
        outputs = [self.index[tensor] for tensor in self.graph.outputs]
        content = self.writer.finish([self.index[tensor] for tensor in self.graph.inputs], outputs)
        return TfliteModel(content=content, origins=tuple(origins))

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Shape in the file: channels last, at least height and width for signals."""
        return channels_last(self.graph.shape(tensor))

    def new(self, shape: tuple[int, ...], code: str = "") -> int:
        scale, zero_point = _OWN_OUTPUT.get(code, (_ACTIVATION_SCALE, 0))
        return self.writer.activation(shape, scale, zero_point)

    def weights(self, shape: tuple[int, ...]) -> int:
        values = np.rint(self.rng.normal(0.0, WEIGHT_SIGMA, shape)).clip(-127, 127)
        return self.writer.constant(values.astype(np.int8), _WEIGHT_SCALE)

    def bias(self, elements: int) -> int:
        if not elements:
            return -1
        return self.writer.constant(
            self.rng.integers(-1000, 1000, elements, dtype=np.int32),
            _WEIGHT_SCALE * _ACTIVATION_SCALE,
        )

    def constant(self, shape: tuple[int, ...]) -> int:
        values = self.rng.integers(1, 100, shape).astype(np.int8)
        return self.writer.constant(values, _ACTIVATION_SCALE)

    def integers(self, values: object) -> int:
        return self.writer.constant(np.asarray(values, dtype=np.int32))

    def emit(
        self,
        code: str,
        inputs: list[int],
        shape: tuple[int, ...],
        options: str = "",
        fields: Mapping[str, int | float | bool] | None = None,
    ) -> int:
        """One operator with one new output tensor of `shape`; returns that tensor."""
        output = self.new(shape, code)
        self.writer.operator(code, inputs, [output], options, fields)
        return output

    def hosted(
        self,
        operator: Operator,
        code: str,
        inputs: list[int],
        options: str,
        fields: dict[str, int | float | bool],
    ) -> None:
        """`operator` with its activation: fused where TFLite can, else as its own operator."""
        shape = self.shape(operator.outputs[0])
        fused = _FUSED.get(operator.activation, "NONE")
        fields = fields | {"FusedActivationFunction": _ACTIVATION_CODE[fused]}
        result = self.emit(code, inputs, shape, options, fields)
        if operator.activation not in _FUSED:
            result = self.activate(operator, result)
        self.index[operator.outputs[0]] = result

    def activate(self, operator: Operator, tensor: int) -> int:
        """The tensor after `operator.activation`."""
        shape, name = self.shape(operator.outputs[0]), operator.activation
        if name == "silu":
            gate = self.emit("LOGISTIC", [tensor], shape)
            return self.emit("MUL", [tensor, gate], shape, "MulOptions")
        if name == "hardsigmoid":  # relu6(x + 3) / 6, as converters write it
            fields: dict[str, int | float | bool] = {
                "FusedActivationFunction": _ACTIVATION_CODE["RELU6"]
            }
            shifted = self.emit("ADD", [tensor, self.constant((1,))], shape, "AddOptions", fields)
            return self.emit("MUL", [shifted, self.constant((1,))], shape, "MulOptions")
        if name not in _LOOKUP:
            raise _cannot(operator, f"has activation {name!r}, which has no int8 TFLite form here")
        code, options = _LOOKUP[name]
        return self.emit(code, [tensor], shape, options)

    def windowed(
        self, operator: Operator, kernel: tuple[int, int]
    ) -> tuple[int, dict[str, int | float | bool]]:
        """The (padded) input of a convolution or pooling, and its padding and stride options."""
        source, shape = self.index[operator.inputs[0]], self.shape(operator.inputs[0])
        before, after = shape[1:3], self.shape(operator.outputs[0])[1:3]
        padding = _VALID
        if is_same(before, after, operator.stride):
            padding = _SAME
        elif not is_valid(before, after, kernel, operator.stride):
            rows, columns = explicit_padding(before, after, kernel, operator.stride)
            grown = (1, shape[1] + sum(rows), shape[2] + sum(columns), shape[3])
            pads = self.integers([(0, 0), rows, columns, (0, 0)])
            source = self.emit("PAD", [source, pads], grown, "PadOptions")
        height, width = operator.stride
        return source, {"Padding": padding, "StrideH": height, "StrideW": width}


def channels_last(shape: tuple[int, ...]) -> tuple[int, ...]:
    """`(1, C, H, W)` to `(1, H, W, C)`, `(1, C, T)` to `(1, 1, T, C)`, others as they are."""
    if len(shape) == 4:
        return (shape[0], *shape[2:], shape[1])
    return (shape[0], 1, shape[2], shape[1]) if len(shape) == 3 else shape


def _cannot(operator: Operator, reason: str) -> MeasureError:
    return MeasureError(
        f"operator {operator.name or operator.kind!r} of kind {operator.kind!r} {reason}. Replace "
        "it in the network, or leave it to the estimate, which counts the memory it touches."
    )


def _convolution(lowering: _Lowering, operator: Operator) -> None:
    if len(operator.inputs) != 1:
        raise _cannot(operator, "takes its weights from another operator, which is not supported")
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


def _linear(lowering: _Lowering, operator: Operator) -> None:
    features_in = lowering.shape(operator.inputs[0])[-1]
    features_out = lowering.shape(operator.outputs[0])[-1]
    inputs = [
        lowering.index[operator.inputs[0]],
        lowering.weights((features_out, features_in)),
        lowering.bias(operator.bias_elements),
    ]
    lowering.hosted(operator, "FULLY_CONNECTED", inputs, "FullyConnectedOptions", {})


def _elementwise(code: str, options: str) -> "Lower":
    def lower(lowering: _Lowering, operator: Operator) -> None:
        inputs = [lowering.index[tensor] for tensor in operator.inputs]
        if len(inputs) == 1:
            inputs.append(lowering.constant(_constant_shape(lowering, operator)))
        if code in {"MAXIMUM", "MINIMUM"}:
            shape = lowering.shape(operator.outputs[0])
            lowering.index[operator.outputs[0]] = lowering.emit(code, inputs, shape, options)
        else:
            lowering.hosted(operator, code, inputs, options, {})

    return lower


def _constant_shape(lowering: _Lowering, operator: Operator) -> tuple[int, ...]:
    shape = lowering.shape(operator.inputs[0])
    for candidate in ((1,), shape[-1:], shape):
        if max(operator.weight_elements, 1) == prod(candidate):
            return candidate
    raise _cannot(operator, f"reads a constant of {operator.weight_elements} elements")


def _batch_norm(lowering: _Lowering, operator: Operator) -> None:
    shape = lowering.shape(operator.inputs[0])
    inputs = [lowering.index[operator.inputs[0]], lowering.constant(shape[-1:])]
    scaled = lowering.emit("MUL", inputs, shape, "MulOptions")
    inputs = [scaled, lowering.constant(shape[-1:])]
    lowering.hosted(operator, "ADD", inputs, "AddOptions", {})


def _pool(code: str) -> "Lower":
    def lower(lowering: _Lowering, operator: Operator) -> None:
        source, fields = lowering.windowed(operator, operator.kernel)
        fields |= {"FilterHeight": operator.kernel[0], "FilterWidth": operator.kernel[1]}
        lowering.hosted(operator, code, [source], "Pool2DOptions", fields)

    return lower


def _activation(lowering: _Lowering, operator: Operator) -> None:
    source = lowering.index[operator.inputs[0]]
    lowering.index[operator.outputs[0]] = lowering.activate(operator, source)


def _mean(lowering: _Lowering, operator: Operator) -> None:
    shape, result = lowering.shape(operator.inputs[0]), lowering.shape(operator.outputs[0])
    if len(shape) != 4 or prod(result) != shape[-1]:
        raise _cannot(operator, "averages over other axes than height and width")
    # A pooling over the whole image: compilers have a faster form for it than for MEAN.
    fields: dict[str, int | float | bool] = {
        "Padding": _VALID,
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


def _concat(lowering: _Lowering, operator: Operator) -> None:
    shapes = [lowering.shape(tensor) for tensor in operator.inputs]
    result = lowering.shape(operator.outputs[0])
    if len(shapes[0]) != len(result):
        raise _cannot(operator, "stacks along a new axis")
    axis = next((n for n, size in enumerate(result) if size != shapes[0][n]), len(result) - 1)
    inputs = [lowering.index[tensor] for tensor in operator.inputs]
    lowering.hosted(operator, "CONCATENATION", inputs, "ConcatenationOptions", {"Axis": axis})


def _reshape(lowering: _Lowering, operator: Operator) -> None:
    shape = lowering.shape(operator.outputs[0])
    if prod(shape) != prod(lowering.shape(operator.inputs[0])):
        raise _cannot(operator, "repeats a tensor, which is not supported")
    inputs = [lowering.index[operator.inputs[0]], lowering.integers(shape)]
    lowering.index[operator.outputs[0]] = lowering.emit("RESHAPE", inputs, shape, "ReshapeOptions")


def _slice(lowering: _Lowering, operator: Operator) -> None:
    shape = lowering.shape(operator.inputs[0])
    begin = np.zeros(len(shape), dtype=np.int32)
    for output in operator.outputs:
        size = lowering.shape(output)
        if len(size) != len(shape):
            raise _cannot(operator, "drops an axis, which is not supported")
        inputs = [
            lowering.index[operator.inputs[0]],
            lowering.integers(begin),
            lowering.integers(size),
        ]
        lowering.index[output] = lowering.emit("SLICE", inputs, size, "SliceOptions")
        begin += np.where(np.array(size) < shape, size, 0).astype(np.int32)


def _pad(lowering: _Lowering, operator: Operator) -> None:
    shape, result = lowering.shape(operator.inputs[0]), lowering.shape(operator.outputs[0])
    added = [after - before for before, after in zip(shape, result, strict=True)]
    if min(added) < 0:
        raise _cannot(operator, "crops, which is not supported")
    pads = lowering.integers([(total // 2, total - total // 2) for total in added])
    inputs = [lowering.index[operator.inputs[0]], pads]
    lowering.index[operator.outputs[0]] = lowering.emit("PAD", inputs, result, "PadOptions")


def _resize(lowering: _Lowering, operator: Operator) -> None:
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


def _softmax(lowering: _Lowering, operator: Operator) -> None:
    shape = lowering.shape(operator.outputs[0])
    inputs = [lowering.index[operator.inputs[0]]]
    made = lowering.emit("SOFTMAX", inputs, shape, "SoftmaxOptions", {"Beta": 1.0})
    lowering.index[operator.outputs[0]] = made


Lower = Callable[[_Lowering, Operator], None]
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
    "slice": _slice,
    "pad": _pad,
    "resize": _resize,
    "softmax": _softmax,
}
