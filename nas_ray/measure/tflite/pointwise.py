"""Elementwise operators as TFLite operators."""

from collections.abc import Callable
from math import prod

from nas_ray.graph import Operator, Tensor
from nas_ray.graph.layout import is_renamed
from nas_ray.measure.tflite.lowering import Lowering, cannot, file_shape

_WITHOUT_FUSED_ACTIVATION = frozenset({"MAXIMUM", "MINIMUM", "DIV"})


def elementwise(code: str, options: str) -> Callable[[Lowering, Operator], None]:
    """Make the function that writes an elementwise operator as builtin `code`."""

    def lower(lowering: Lowering, operator: Operator) -> None:
        if operator.mode == "glu":
            _gated_halves(lowering, operator)
            return
        inputs = [_operand(lowering, operator, tensor) for tensor in operator.inputs]
        if len(inputs) == 1:
            inputs.append(lowering.constant(_constant_shape(lowering, operator)))
        if code in _WITHOUT_FUSED_ACTIVATION:
            shape = lowering.shape(operator.outputs[0])
            lowering.index[operator.outputs[0]] = lowering.emit(code, inputs, shape, options)
        else:
            lowering.hosted(operator, code, inputs, options, {})

    return lower


def batch_norm(lowering: Lowering, operator: Operator) -> None:
    """Write a batch norm that no convolution takes in: a product and a sum."""
    shape = lowering.shape(operator.inputs[0])
    inputs = [lowering.index[operator.inputs[0]], lowering.constant(shape[-1:])]
    scaled = lowering.emit("MUL", inputs, shape, "MulOptions")
    inputs = [scaled, lowering.constant(shape[-1:])]
    lowering.hosted(operator, "ADD", inputs, "AddOptions", {})


def activation(lowering: Lowering, operator: Operator) -> None:
    """Write an activation that stands alone."""
    source = lowering.index[operator.inputs[0]]
    lowering.index[operator.outputs[0]] = lowering.activate(operator, source)


def _operand(lowering: Lowering, operator: Operator, index: int) -> int:
    """Return an input, with axes of one in front where it has fewer than the result."""
    tensor, result = lowering.graph.tensors[index], lowering.graph.tensors[operator.outputs[0]]
    missing = len(result.shape) - len(tensor.shape)
    if not missing:
        return lowering.index[index]
    shape = (*(1,) * missing, *tensor.shape)
    grown = Tensor(shape=shape, storage=0, channel_axes=result.channel_axes)
    if not is_renamed(tensor, grown):
        raise cannot(operator, "reads tensors whose channels lie on different axes")
    return lowering.reshaped(lowering.index[index], file_shape(tensor), file_shape(grown))


def _constant_shape(lowering: Lowering, operator: Operator) -> tuple[int, ...]:
    shape = lowering.shape(operator.inputs[0])
    along = [tuple(s if m == n else 1 for m, s in enumerate(shape)) for n in range(len(shape))]
    for candidate in ((1,), shape[-1:], shape, (*shape[:-1], 1), shape[-2:], *along):
        if max(operator.weight_elements, 1) == prod(candidate):
            return candidate
    raise cannot(operator, f"reads a constant of {operator.weight_elements} elements")


def _gated_halves(lowering: Lowering, operator: Operator) -> None:
    """Write a gated linear unit: one half times the sigmoid of the other."""
    shape, half = lowering.shape(operator.inputs[0]), lowering.shape(operator.outputs[0])
    source = lowering.index[operator.inputs[0]]
    halves = []
    for place in range(2):
        begin = [place * (whole - part) for whole, part in zip(shape, half, strict=True)]
        inputs = [source, lowering.integers(begin), lowering.integers(half)]
        halves.append(lowering.emit("SLICE", inputs, half, "SliceOptions"))
    gate = lowering.emit("LOGISTIC", halves[1:], half)
    lowering.hosted(operator, "MUL", [halves[0], gate], "MulOptions", {})
