"""The ONNX form of operators that compute: convolutions, products, norms, poolings, activations.

An image is `(1, C, H, W)`, a signal `(1, C, T)`: what has two values for the one has one for the
other, the last.
"""

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from nas_ray.graph import Operator
from nas_ray.measure.onnx_writer import OnnxWriter, Shape, cannot
from nas_ray.measure.window import explicit_padding, is_valid

_ACTIVATIONS = {
    "relu": "Relu", "hardswish": "HardSwish", "sigmoid": "Sigmoid", "tanh": "Tanh", "gelu": "Gelu",
    "elu": "Elu", "leaky_relu": "LeakyRelu", "mish": "Mish", "softplus": "Softplus", "exp": "Exp",
    "log": "Log", "sqrt": "Sqrt", "abs": "Abs", "neg": "Neg", "erf": "Erf", "ceil": "Ceil",
    "cos": "Cos", "floor": "Floor", "reciprocal": "Reciprocal", "round": "Round", "sign": "Sign",
    "sin": "Sin",
}  # fmt: skip

_WITH_ATTRIBUTES = {
    "hardsigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    "hardshrink": ("Shrink", {"lambd": 0.5, "bias": 0.0}),
    "softshrink": ("Shrink", {"lambd": 0.5, "bias": 0.5}),
}
#: Activations that are several nodes, one after the other.
_CHAINS = {"log_sigmoid": ("Neg", "Softplus", "Neg"), "rsqrt": ("Sqrt", "Reciprocal")}


def activated(writer: OnnxWriter, operator: Operator, name: str) -> str:
    """Tensor `name` after the activation of `operator`."""
    activation = operator.activation
    if activation == "relu6":
        limits = [writer.constant(np.array(limit, dtype=np.float32)) for limit in (0, 6)]
        return writer.node("Clip", [name, *limits])
    if activation in _WITH_ATTRIBUTES:
        kind, attributes = _WITH_ATTRIBUTES[activation]
        return writer.node(kind, [name], attributes)
    if activation == "silu":
        return writer.node("Mul", [name, writer.node("Sigmoid", [name])])
    if activation in _CHAINS:
        for step in _CHAINS[activation]:
            name = writer.node(step, [name])
        return name
    if activation == "prelu":
        slopes = writer.numbers(per_channel(writer.after(operator)))
        return writer.node("PRelu", [name, slopes])
    if activation not in _ACTIVATIONS:
        raise cannot(operator, f"has activation {activation!r}, which has no ONNX form here")
    return writer.node(_ACTIVATIONS[activation], [name])


def convolution(writer: OnnxWriter, operator: Operator) -> list[str]:
    """Any convolution that is not transposed."""
    attributes = _window(writer, operator)
    inward = writer.before(operator)[1] // operator.groups
    attributes |= {
        "group": operator.groups,
        "dilations": _present(writer, operator, operator.dilation),
    }
    shape = (writer.after(operator)[1], inward, *attributes["kernel_shape"])
    return _convolved(writer, operator, "Conv", shape, attributes)


def transposed_convolution(writer: OnnxWriter, operator: Operator) -> list[str]:
    """What is cut off at the ends of the output is padding; what is missing there, the other."""
    before, after = writer.before(operator), writer.after(operator)
    kernel, stride, dilation, extent = (
        _present(writer, operator, pair)
        for pair in (operator.kernel, operator.stride, operator.dilation, _extent(operator))
    )
    excess = [
        (b - 1) * s + w - a
        for b, a, w, s in zip(before[2:], after[2:], extent, stride, strict=True)
    ]
    cut = [max(0, total) for total in excess]
    attributes = {
        "kernel_shape": kernel,
        "strides": stride,
        "dilations": dilation,
        "group": operator.groups,
        "pads": [*(total // 2 for total in cut), *(total - total // 2 for total in cut)],
        "output_padding": [max(0, -total) for total in excess],
    }
    shape = (before[1], after[1] // operator.groups, *kernel)
    return _convolved(writer, operator, "ConvTranspose", shape, attributes)


def _convolved(
    writer: OnnxWriter, operator: Operator, op_type: str, shape: Shape, attributes: dict[str, Any]
) -> list[str]:
    if len(operator.inputs) != 1:
        raise cannot(operator, "takes its weights from another operator, which is not supported")
    weights = writer.weights(shape, prod(shape[1:]))
    inputs = [*writer.sources(operator), weights, *writer.bias(operator.bias_elements)]
    return [writer.node(op_type, inputs, attributes)]


def pool(op_type: str) -> Callable[[OnnxWriter, Operator], list[str]]:
    """A pooling with a window."""

    def write(writer: OnnxWriter, operator: Operator) -> list[str]:
        return [writer.node(op_type, writer.sources(operator), _window(writer, operator))]

    return write


def _window(writer: OnnxWriter, operator: Operator) -> dict[str, Any]:
    """Kernel, strides and pads that give the output its size."""
    before, after = (
        (1, 1, *shape[2:])[-2:] for shape in (writer.before(operator), writer.after(operator))
    )
    window, stride = _extent(operator), operator.stride
    (top, bottom), (left, right) = explicit_padding(before, after, window, stride)
    grown = (before[0] + top + bottom, before[1] + left + right)
    if not is_valid(grown, after, window, stride):
        raise cannot(operator, f"has a window {window} that does not give its output {after}")
    begins, ends = (_present(writer, operator, pair) for pair in ((top, left), (bottom, right)))
    return {
        "kernel_shape": _present(writer, operator, operator.kernel),
        "strides": _present(writer, operator, stride),
        "pads": [*begins, *ends],
    }


def _present(writer: OnnxWriter, operator: Operator, pair: tuple[int, int]) -> tuple[int, ...]:
    """Those of (height, width) that the tensor has."""
    shape = writer.before(operator)
    if len(shape) not in {3, 4}:
        raise cannot(operator, f"reads a tensor of shape {shape}, neither image nor signal")
    return pair if len(shape) == 4 else pair[1:]


def _extent(operator: Operator) -> tuple[int, int]:
    """The kernel as it lies on the input."""
    (rows, columns), (down, across) = operator.kernel, operator.dilation
    return (rows - 1) * down + 1, (columns - 1) * across + 1


def linear(writer: OnnxWriter, operator: Operator) -> list[str]:
    """A product with weights, and a bias."""
    shape = writer.before(operator)
    features_in, features_out = shape[-1], writer.after(operator)[-1]
    if operator.weight_elements != features_in * features_out:
        raise cannot(operator, "multiplies from the left, which is not supported")
    sources = writer.sources(operator)
    if len(shape) == 2:
        sources.append(writer.weights((features_out, features_in), features_in))
        return [writer.node("Gemm", sources + writer.bias(operator.bias_elements), {"transB": 1})]
    sources.append(writer.weights((features_in, features_out), features_in))
    product = writer.node("MatMul", sources)
    bias = writer.bias(operator.bias_elements)
    return [writer.node("Add", [product, *bias]) if bias else product]


def matmul(writer: OnnxWriter, operator: Operator) -> list[str]:
    """A product of two tensors, or of one with a constant."""
    left, result = writer.before(operator), writer.after(operator)
    sources = writer.sources(operator)
    if len(sources) == 3:  # something is added to the product of the last two
        return [writer.node("Add", [writer.node("MatMul", sources[1:]), sources[0]])]
    if result[:-1] != left[:-1]:
        raise cannot(operator, "multiplies from the left, which is not supported")
    if len(sources) == 1:
        sources.append(writer.weights((left[-1], result[-1]), left[-1]))
    return [writer.node("MatMul", sources)]


def elementwise(op_type: str) -> Callable[[OnnxWriter, Operator], list[str]]:
    """An operation of two tensors number by number, or of one with a constant."""

    def write(writer: OnnxWriter, operator: Operator) -> list[str]:
        sources = writer.sources(operator)
        if operator.mode == "glu":
            return [_gated_halves(writer, operator)]
        if len(sources) == 1:
            sources.append(writer.numbers(_operand(writer, operator)))
        return [writer.node(op_type, sources)]

    return write


def _gated_halves(writer: OnnxWriter, operator: Operator) -> str:
    """One half times the sigmoid of the other, along the axis that is halved."""
    shape, half = writer.before(operator), writer.after(operator)
    axis = next(n for n, size in enumerate(shape) if size != half[n])
    (source,), middle = writer.sources(operator), half[axis]
    parts = [
        writer.node("Slice", [source, *(writer.integers([n]) for n in (begin, end, axis))])
        for begin, end in ((0, middle), (middle, 2 * middle))
    ]
    return writer.node("Mul", [parts[0], writer.node("Sigmoid", parts[1:])])


def _operand(writer: OnnxWriter, operator: Operator) -> Shape:
    """The shape of a constant operand: a number, one a channel or a column, or a whole tensor."""
    shape = writer.before(operator)
    for candidate in ((), per_channel(shape), shape[-1:], shape, writer.after(operator)):
        if max(operator.weight_elements, 1) == prod(candidate):
            return candidate
    raise cannot(operator, f"reads a constant of {operator.weight_elements} elements")


def per_channel(shape: Shape) -> Shape:
    """Return the shape of one number a channel that broadcasts to `shape`."""
    return (shape[1], *(1 for _ in shape[2:]))


def batch_norm(writer: OnnxWriter, operator: Operator) -> list[str]:
    """A batch norm that no convolution took in."""
    channels = writer.before(operator)[1]
    statistics = [writer.numbers((channels,)) for _ in range(4)]
    return [writer.node("BatchNormalization", writer.sources(operator) + statistics)]


def softmax(writer: OnnxWriter, operator: Operator) -> list[str]:
    """Along one axis, that of the channels unless the graph says another."""
    axis = operator.axes[0] if operator.axes else 1
    return [writer.node("Softmax", writer.sources(operator), {"axis": axis})]


def look_up(writer: OnnxWriter, operator: Operator) -> list[str]:
    """Rows of a table of weights, by positions that are an input of the graph."""
    features = writer.after(operator)[-1]
    is_table = writer.after(operator) == (*writer.before(operator), features)
    if (
        operator.inputs[0] not in writer.graph.inputs
        or not operator.weight_elements
        or not is_table
    ):
        raise cannot(operator, "gathers from something else than a table of weights")
    table = writer.numbers((operator.weight_elements // features, features))
    return [writer.node("Gather", [table, *writer.sources(operator)])]
