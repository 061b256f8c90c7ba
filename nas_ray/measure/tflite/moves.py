"""Operators that move numbers and compute little: joins, slices, transpositions, resizing."""

from collections.abc import Callable
from math import prod

import numpy as np

from nas_ray.graph import Operator
from nas_ray.graph.layout import is_renamed, moved, permutation_of
from nas_ray.measure.tflite.lowering import Fields, Lowering, cannot, file_axis, file_shape

_MIRROR = {"reflect": 0}


def concat(lowering: Lowering, operator: Operator) -> None:
    """Write a concatenation, along a new axis too; a constant part is a constant."""
    if operator.mode == "roll":
        _roll(lowering, operator)
        return
    result = lowering.graph.tensors[operator.outputs[0]]
    shape, torch_axis = file_shape(result), operator.axes[0] if operator.axes else 1
    axis = file_axis(result, torch_axis)
    inputs, joined = [], 0
    for index in operator.inputs:
        part = lowering.shape(index)
        if operator.mode == "stack":
            wanted = tuple(1 if n == axis else size for n, size in enumerate(shape))
            if not lowering.graph.tensors[index].elements == prod(wanted):
                raise cannot(operator, "stacks tensors whose channels lie on different axes")
            inputs.append(lowering.reshaped(lowering.index[index], part, wanted))
            joined += 1
        else:
            inputs.append(lowering.index[index])
            joined += part[axis]
    if joined < shape[axis]:
        rest = tuple(size - joined if n == axis else size for n, size in enumerate(shape))
        inputs.insert(0, lowering.constant(rest))
    lowering.hosted(operator, "CONCATENATION", inputs, "ConcatenationOptions", {"Axis": axis})


def reshape(lowering: Lowering, operator: Operator) -> None:
    """Write a reshape; where numbers lie otherwise afterwards, as transpositions around it."""
    before, after = (
        lowering.graph.tensors[operator.inputs[0]],
        lowering.graph.tensors[operator.outputs[0]],
    )
    source = lowering.index[operator.inputs[0]]
    # What is flattened for a classifier stays as it is stored: its weights can be in that order.
    if is_renamed(before, after) or (len(after.shape) == 2 and before.channel_axes):
        made = lowering.reshaped(source, file_shape(before), file_shape(after))
    else:
        source = lowering.reshaped(source, file_shape(before), before.stored_shape)
        back = [before.order.index(axis) for axis in range(len(before.shape))]
        plain = lowering.transposed(source, before.shape, back)
        plain = lowering.reshaped(plain, before.shape, after.shape)
        made = lowering.transposed(plain, after.stored_shape, after.order)
        made = lowering.reshaped(made, after.stored_shape, file_shape(after))
    lowering.index[operator.outputs[0]] = made


def transpose(lowering: Lowering, operator: Operator) -> None:
    """Write a transposition of stored axes; one that moves nothing is a reshape."""
    before, after = (
        lowering.graph.tensors[operator.inputs[0]],
        lowering.graph.tensors[operator.outputs[0]],
    )
    source = lowering.index[operator.inputs[0]]
    if operator.mode == "shuffle":
        lowering.index[operator.outputs[0]] = _shuffled(lowering, operator)
        return
    is_grouped = len(before.shape) == 5 and before.channel_axes == after.channel_axes == 2
    if is_grouped and not operator.axes:
        shape = file_shape(after)
        lowering.index[operator.outputs[0]] = lowering.transposed(source, shape, (0, 1, 3, 2))
        return
    order = moved(before, after, permutation_of(operator, len(before.shape)))
    source = lowering.reshaped(source, file_shape(before), before.stored_shape)
    made = lowering.transposed(source, after.stored_shape, order)
    lowering.index[operator.outputs[0]] = lowering.reshaped(
        made, after.stored_shape, file_shape(after)
    )


def flip(lowering: Lowering, operator: Operator) -> None:
    """Write a reversal along axes."""
    tensor, shape = (
        lowering.graph.tensors[operator.inputs[0]],
        lowering.shape(operator.inputs[0]),
    )
    made = lowering.index[operator.inputs[0]]
    for axis in operator.axes:
        inputs = [made, lowering.integers([file_axis(tensor, axis)])]
        made = lowering.emit("REVERSE_V2", inputs, shape)
    lowering.index[operator.outputs[0]] = made


def repeat(lowering: Lowering, operator: Operator) -> None:
    """Write a repetition along axes."""
    shape, result = lowering.shape(operator.inputs[0]), lowering.shape(operator.outputs[0])
    if len(shape) != len(result):
        raise cannot(operator, "repeats a tensor along a new axis, which is not supported")
    times = [after // before for before, after in zip(shape, result, strict=True)]
    inputs = [lowering.index[operator.inputs[0]], lowering.integers(times)]
    lowering.index[operator.outputs[0]] = lowering.emit("TILE", inputs, result)


def slices(lowering: Lowering, operator: Operator) -> None:
    """Write one slice for each output, one after the other; a selected axis is dropped."""
    tensor, shape = (
        lowering.graph.tensors[operator.inputs[0]],
        lowering.shape(operator.inputs[0]),
    )
    torch_axis = operator.axes[0] if operator.axes else 1
    axis = file_axis(tensor, torch_axis)
    begin = np.zeros(len(shape), dtype=np.int32)
    for output in operator.outputs:
        result = lowering.shape(output)
        is_selected = len(lowering.graph.shape(output)) < len(tensor.shape)
        count = 1 if is_selected else lowering.graph.shape(output)[torch_axis]
        size = tuple(count if n == axis else whole for n, whole in enumerate(shape))
        if prod(size) != prod(result):
            raise cannot(operator, "cuts several axes at once, which is not supported")
        lowering.index[output] = lowering.reshaped(
            _slice(lowering, operator, begin, size, axis), size, result
        )
        begin[axis] = min(begin[axis] + count, shape[axis] - count)


def pad(lowering: Lowering, operator: Operator) -> None:
    """Write a padding by zeros, or by mirroring."""
    shape, result = lowering.shape(operator.inputs[0]), lowering.shape(operator.outputs[0])
    added = [after - before for before, after in zip(shape, result, strict=True)]
    if min(added) < 0:
        raise cannot(operator, "crops, which is not supported")
    if operator.mode and operator.mode not in _MIRROR:
        raise cannot(operator, f"pads by {operator.mode!r}, which has no TFLite form here")
    pads = lowering.integers([(total // 2, total - total // 2) for total in added])
    inputs = [lowering.index[operator.inputs[0]], pads]
    if operator.mode:
        fields: Fields = {"Mode": _MIRROR[operator.mode]}
        made = lowering.emit("MIRROR_PAD", inputs, result, "MirrorPadOptions", fields)
    else:
        made = lowering.emit("PAD", inputs, result, "PadOptions")
    lowering.index[operator.outputs[0]] = made


def resize(lowering: Lowering, operator: Operator) -> None:
    """Write nearest or bilinear resizing."""
    result = lowering.shape(operator.outputs[0])
    inputs = [lowering.index[operator.inputs[0]], lowering.integers(result[1:3])]
    if operator.mode == "nearest":
        code, options = "RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions"
        fields: Fields = {"HalfPixelCenters": True}
    elif operator.mode in {"", "bilinear_corners"}:
        code, options = "RESIZE_BILINEAR", "ResizeBilinearOptions"
        fields = {"AlignCorners": True} if operator.mode else {"HalfPixelCenters": True}
    else:
        raise cannot(operator, f"resizes by {operator.mode!r}, which has no TFLite form here")
    lowering.index[operator.outputs[0]] = lowering.emit(code, inputs, result, options, fields)


def depth_to_space(code: str, options: str) -> Callable[[Lowering, Operator], None]:
    """Make the function that writes a pixel shuffle, or its inverse, as builtin `code`."""

    def lower(lowering: Lowering, operator: Operator) -> None:
        shape, result = lowering.shape(operator.inputs[0]), lowering.shape(operator.outputs[0])
        block: Fields = {"BlockSize": max(result[1] // shape[1], shape[1] // result[1])}
        inputs = [lowering.index[operator.inputs[0]]]
        made = lowering.emit(code, inputs, result, options, block)
        lowering.index[operator.outputs[0]] = made

    return lower


def _slice(
    lowering: Lowering, operator: Operator, begin: object, size: tuple[int, ...], axis: int
) -> int:
    source = lowering.index[operator.inputs[0]]
    step = max(operator.stride)
    if step == 1:
        inputs = [source, lowering.integers(begin), lowering.integers(size)]
        return lowering.emit("SLICE", inputs, size, "SliceOptions")
    steps = [step if n == axis else 1 for n in range(len(size))]
    ends = [(count - 1) * s + 1 for count, s in zip(size, steps, strict=True)]
    inputs = [source, *(lowering.integers(one) for one in ([0] * len(size), ends, steps))]
    return lowering.emit("STRIDED_SLICE", inputs, size, "StridedSliceOptions")


def _shuffled(lowering: Lowering, operator: Operator) -> int:
    """Interleave the channels of the groups."""
    shape, groups = lowering.shape(operator.inputs[0]), operator.groups
    pixels, each = prod(shape[:-1]), shape[-1] // groups
    grouped, turned = (1, pixels, groups, each), (1, pixels, each, groups)
    made = lowering.reshaped(lowering.index[operator.inputs[0]], shape, grouped)
    made = lowering.transposed(made, turned, (0, 1, 3, 2))
    return lowering.reshaped(made, turned, shape)


def _roll(lowering: Lowering, operator: Operator) -> None:
    """Write a roll along axes, each as two slices in the other order."""
    tensor, shape = (
        lowering.graph.tensors[operator.inputs[0]],
        lowering.shape(operator.inputs[0]),
    )
    made = lowering.index[operator.inputs[0]]
    for axis in (file_axis(tensor, one) for one in operator.axes):
        half = shape[axis] // 2
        parts = []
        for begin, count in ((half, shape[axis] - half), (0, half)):
            start = [begin if n == axis else 0 for n in range(len(shape))]
            size = tuple(count if n == axis else whole for n, whole in enumerate(shape))
            inputs = [made, lowering.integers(start), lowering.integers(size)]
            parts.append(lowering.emit("SLICE", inputs, size, "SliceOptions"))
        options = "ConcatenationOptions"
        made = lowering.emit("CONCATENATION", parts, shape, options, {"Axis": axis})
    lowering.index[operator.outputs[0]] = made
