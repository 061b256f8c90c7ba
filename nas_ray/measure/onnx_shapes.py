"""The ONNX form of operators that join, cut, reorder, repeat or resize tensors."""

from math import prod

import numpy as np

from nas_ray.graph import Operator
from nas_ray.graph.layout import permutation_of
from nas_ray.measure.onnx_writer import OnnxWriter, Shape, cannot

_RESIZING: dict[str, dict[str, object]] = {
    "": {"mode": "linear"},
    "nearest": {"mode": "nearest"},
    "antialiased": {"mode": "linear", "antialias": 1},
    "bicubic": {"mode": "cubic"},
}
_PADDING = {"": "constant", "reflect": "reflect", "replicate": "edge"}


def concat(writer: OnnxWriter, operator: Operator) -> list[str]:
    """Tensors along an axis, a new one too, with a constant for what they leave open."""
    axis, result = operator.axes[0] if operator.axes else 1, writer.after(operator)
    sources = writer.sources(operator)
    if operator.mode == "roll":
        return [_rolled(writer, operator)]
    joined = len(sources)
    if operator.mode == "stack":
        one = (*result[:axis], 1, *result[axis + 1 :])
        sources = [writer.reshaped(name, one) for name in sources]
    else:
        joined = sum(writer.graph.shape(tensor)[axis] for tensor in operator.inputs)
    missing = result[axis] - joined
    if missing < 0:
        raise cannot(operator, "writes into a part of a tensor, which is not supported")
    if missing:
        sources.append(writer.numbers((*result[:axis], missing, *result[axis + 1 :])))
    return [writer.node("Concat", sources, {"axis": axis})]


def _rolled(writer: OnnxWriter, operator: Operator) -> str:
    """Both halves along each axis in the other order."""
    (name,), shape = writer.sources(operator), writer.before(operator)
    for axis in operator.axes:
        half = shape[axis] // 2
        parts = [
            _cut(writer, name, begin, end, axis) for begin, end in ((half, shape[axis]), (0, half))
        ]
        name = writer.node("Concat", parts, {"axis": axis})
    return name


def reshape(writer: OnnxWriter, operator: Operator) -> list[str]:
    """The same numbers in another shape."""
    shape, result = writer.before(operator), writer.after(operator)
    if prod(shape) != prod(result):
        raise cannot(operator, f"turns {shape} into {result}, which is another size")
    return [writer.reshaped(writer.sources(operator)[0], result)]


def repeat(writer: OnnxWriter, operator: Operator) -> list[str]:
    """The same numbers several times along axes; new axes come in front."""
    shape, result = writer.before(operator), writer.after(operator)
    padded = (*(1 for _ in range(len(result) - len(shape))), *shape)
    if any(a % b for a, b in zip(result, padded, strict=True)):
        raise cannot(operator, f"turns {shape} into {result}, which repeats no whole tensor")
    (name,) = writer.sources(operator)
    if all(b in {1, a} for a, b in zip(result, padded, strict=True)):
        return [writer.node("Expand", [name, writer.integers(result)])]
    name = name if padded == shape else writer.reshaped(name, padded)
    times = [a // b for a, b in zip(result, padded, strict=True)]
    return [writer.node("Tile", [name, writer.integers(times)])]


def transpose(writer: OnnxWriter, operator: Operator) -> list[str]:
    """A permutation of axes, or a shuffle of the channels in groups."""
    shape, (name,) = writer.before(operator), writer.sources(operator)
    if operator.mode == "shuffle":
        each = shape[1] // operator.groups
        name = writer.reshaped(name, (shape[0], operator.groups, each, *shape[2:]))
        order = (0, 2, 1, *range(3, len(shape) + 1))
        name = writer.node("Transpose", [name], {"perm": order})
        return [writer.reshaped(name, shape)]
    return [writer.node("Transpose", [name], {"perm": permutation_of(operator, len(shape))})]


def flip(writer: OnnxWriter, operator: Operator) -> list[str]:
    """The axes backwards."""
    count = len(operator.axes)
    first, end = [-1] * count, [np.iinfo(np.int64).min] * count
    ranges = [writer.integers(values) for values in (first, end, operator.axes, [-1] * count)]
    return [writer.node("Slice", [*writer.sources(operator), *ranges])]


def slices(writer: OnnxWriter, operator: Operator) -> list[str]:
    """One part after the other along the axis; a selected axis is dropped."""
    shape, (source,) = writer.before(operator), writer.sources(operator)
    axis, step = operator.axes[0] if operator.axes else 1, max(operator.stride)
    begin, names = 0, []
    for output in operator.outputs:
        result = writer.graph.shape(output)
        count = result[axis] if len(result) == len(shape) else 1
        size = (*shape[:axis], count, *shape[axis + 1 :])
        if prod(size) != prod(result):
            raise cannot(operator, f"cuts {result} from {shape}, which is not supported")
        name = _cut(writer, source, begin, begin + (count - 1) * step + 1, axis, step)
        names.append(name if size == result else writer.reshaped(name, result))
        begin = min(begin + count, shape[axis] - count)
    return names


def _cut(writer: OnnxWriter, name: str, begin: int, end: int, axis: int, step: int = 1) -> str:
    ranges = [writer.integers([n]) for n in (begin, end, axis, step)]
    return writer.node("Slice", [name, *ranges])


def pad(writer: OnnxWriter, operator: Operator) -> list[str]:
    """Numbers around a tensor, half of them in front; fewer than none crop it."""
    shape, result = writer.before(operator), writer.after(operator)
    if operator.mode not in _PADDING:
        raise cannot(operator, f"pads by {operator.mode!r}, which has no ONNX form here")
    added = [after - before for before, after in zip(shape, result, strict=True)]
    pads = [*(total // 2 for total in added), *(total - total // 2 for total in added)]
    inputs = [*writer.sources(operator), writer.integers(pads)]
    return [writer.node("Pad", inputs, {"mode": _PADDING[operator.mode]})]


def resize(writer: OnnxWriter, operator: Operator) -> list[str]:
    """Nearest, bilinear or bicubic."""
    name = operator.mode.removesuffix("_corners")
    name = "" if name == "bilinear" else name
    if name not in _RESIZING:
        raise cannot(operator, f"resizes by {operator.mode!r}, which has no ONNX form here")
    by_corners = operator.mode.endswith("_corners")
    coordinates = "align_corners" if by_corners else "half_pixel"
    attributes = {**_RESIZING[name], "coordinate_transformation_mode": coordinates}
    inputs = [*writer.sources(operator), "", "", writer.integers(writer.after(operator))]
    return [writer.node("Resize", inputs, attributes)]


def depth_to_space(writer: OnnxWriter, operator: Operator) -> list[str]:
    """Channels dealt out as pixels."""
    block = _block(writer.after(operator), writer.before(operator))
    return [
        writer.node("DepthToSpace", writer.sources(operator), {"blocksize": block, "mode": "CRD"})
    ]


def space_to_depth(writer: OnnxWriter, operator: Operator) -> list[str]:
    """Pixels laid away as channels; ONNX has them in another order than torch."""
    block = _block(writer.before(operator), writer.after(operator))
    return [writer.node("SpaceToDepth", writer.sources(operator), {"blocksize": block})]


def _block(larger: Shape, smaller: Shape) -> int:
    return larger[2] // smaller[2]
