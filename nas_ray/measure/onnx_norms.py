"""The ONNX form of norms that take their statistics from the input."""

from math import prod

import numpy as np

from nas_ray.graph import Operator
from nas_ray.measure.onnx_layers import per_channel
from nas_ray.measure.onnx_writer import OnnxWriter, Shape


def norm(writer: OnnxWriter, operator: Operator) -> list[str]:
    """A layer, root-mean-square, group or instance norm."""
    if operator.mode == "rms":
        return [_root_mean_square(writer, operator)]
    if operator.mode in {"group", "instance"}:
        return [_of_groups(writer, operator)]
    shape = writer.before(operator)
    axis = operator.axes[0] if operator.axes else len(shape) - 1
    count = operator.weight_elements // prod(shape[axis:])
    constants = [writer.numbers(shape[axis:]) for _ in range(count)]
    if not constants:  # ONNX asks for a scale
        constants = [writer.constant(np.ones(shape[axis:], np.float32))]
    return [writer.node("LayerNormalization", writer.sources(operator) + constants, {"axis": axis})]


def _root_mean_square(writer: OnnxWriter, operator: Operator) -> str:
    """The input by the root of its mean square along the last axis, then the scale."""
    (source,), shape = writer.sources(operator), writer.before(operator)
    squared = writer.node("Mul", [source, source])
    mean = writer.node("ReduceMean", [squared, writer.integers([len(shape) - 1])])
    scaled = writer.node("Div", [source, writer.node("Sqrt", [mean])])
    return _affine(writer, operator, scaled, shape[-1:])


def _of_groups(writer: OnnxWriter, operator: Operator) -> str:
    """An instance norm of as many channels as there are groups."""
    (source,), shape = writer.sources(operator), writer.before(operator)
    groups = shape[1] if operator.mode == "instance" else operator.groups
    grouped = writer.reshaped(source, (shape[0], groups, prod(shape[1:]) // groups))
    own = [writer.constant(np.full(groups, value, np.float32)) for value in (1, 0)]
    normed = writer.node("InstanceNormalization", [grouped, *own])
    return _affine(writer, operator, writer.reshaped(normed, shape), per_channel(shape))


def _affine(writer: OnnxWriter, operator: Operator, name: str, shape: Shape) -> str:
    """Tensor `name` times the scale and plus the shift that the norm reads, if it does."""
    if operator.weight_elements:
        name = writer.node("Mul", [name, writer.numbers(shape)])
    if operator.weight_elements > prod(shape):
        name = writer.node("Add", [name, writer.numbers(shape)])
    return name
