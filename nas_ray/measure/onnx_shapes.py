"""The ONNX form of operators that reduce, join, cut or reorder tensors.

Axes are those of the graph; what is left out there is the usual one of a kind (`Operator`).
"""

from math import prod

from nas_ray.graph import Operator
from nas_ray.graph.layout import permutation_of
from nas_ray.measure.onnx_writer import OnnxWriter, Shape, cannot

_REDUCTIONS = {"": "ReduceMean", "sum": "ReduceSum", "max": "ReduceMax"}
_RESIZING = {
    "": ("linear", "half_pixel"),
    "bilinear_corners": ("linear", "align_corners"),
    "nearest": ("nearest", "asymmetric"),
    "bicubic": ("cubic", "half_pixel"),
}
_PADDING = {"": "constant", "reflect": "reflect", "replicate": "edge"}


def mean(writer: OnnxWriter, operator: Operator) -> list[str]:
    """A reduction over its axes; the mean of a whole image as exporters write it."""
    shape, result = writer.before(operator), writer.after(operator)
    sources = writer.sources(operator)
    if not operator.mode and not operator.axes and prod(result) == prod(shape[:2]):
        pooled = writer.node("GlobalAveragePool", sources)
        kept = (*shape[:2], *(1 for _ in shape[2:]))
        return [pooled if kept == result else writer.reshaped(pooled, result)]
    if operator.mode not in _REDUCTIONS:
        raise cannot(operator, f"reduces by {operator.mode!r}, which has no ONNX form here")
    axes = writer.integers(operator.axes or tuple(range(2, len(shape))))
    keep = {"keepdims": int(len(shape) == len(result))}
    return [writer.node(_REDUCTIONS[operator.mode], [*sources, axes], keep)]


def concat(writer: OnnxWriter, operator: Operator) -> list[str]:
    """Tensors along an axis, with a constant for what they leave open."""
    if operator.mode == "roll":
        return [_rolled(writer, operator)]
    result, sources = writer.after(operator), writer.sources(operator)
    axis = operator.axes[0] if operator.axes else 1
    if operator.mode == "stack":
        one = (*result[:axis], 1, *result[axis + 1 :])
        sources = [writer.reshaped(name, one) for name in sources]
        joined = len(sources)
    else:
        joined = sum(writer.graph.shape(tensor)[axis] for tensor in operator.inputs)
    if joined < result[axis]:
        rest = (*result[:axis], result[axis] - joined, *result[axis + 1 :])
        sources.append(writer.numbers(rest))
    return [writer.node("Concat", sources, {"axis": axis})]


def _rolled(writer: OnnxWriter, operator: Operator) -> str:
    """Two halves in the other order, axis after axis."""
    shape, name = writer.before(operator), writer.sources(operator)[0]
    for axis in operator.axes:
        halves = []
        for begin, end in ((shape[axis] // 2, shape[axis]), (0, shape[axis] // 2)):
            ends = [writer.integers([bound]) for bound in (begin, end, axis)]
            halves.append(writer.node("Slice", [name, *ends]))
        name = writer.node("Concat", halves, {"axis": axis})
    return name


def repeat(writer: OnnxWriter, operator: Operator) -> list[str]:
    """The same numbers several times along axes."""
    shape, result = writer.before(operator), writer.after(operator)
    padded = (*(1 for _ in range(len(result) - len(shape))), *shape)
    source = writer.sources(operator)[0]
    source = source if padded == shape else writer.reshaped(source, padded)
    times = [after // before for before, after in zip(padded, result, strict=True)]
    return [writer.node("Tile", [source, writer.integers(times)])]


def _without(longer: Shape, shorter: Shape) -> int | None:
    """The axis of `longer` that `shorter` lacks."""
    candidates = range(len(longer))
    return next((n for n in candidates if longer[:n] + longer[n + 1 :] == shorter), None)


def reshape(writer: OnnxWriter, operator: Operator) -> list[str]:
    """The same numbers in another shape, or repeated along axes of size 1."""
    shape, result = writer.before(operator), writer.after(operator)
    if prod(shape) == prod(result):
        return [writer.reshaped(writer.sources(operator)[0], result)]
    padded = (*(1 for _ in range(len(result) - len(shape))), *shape)
    if any(a not in {1, b} for a, b in zip(padded, result, strict=True)):
        raise cannot(operator, f"turns {shape} into {result}, which is not supported")
    return [writer.node("Expand", [*writer.sources(operator), writer.integers(result)])]


def transpose(writer: OnnxWriter, operator: Operator) -> list[str]:
    """A permutation of axes, or a shuffle of channels in groups."""
    shape, sources = writer.before(operator), writer.sources(operator)
    if operator.mode == "shuffle":
        each = shape[1] // operator.groups
        parts = writer.reshaped(sources[0], (shape[0], operator.groups, each, *shape[2:]))
        order = (0, 2, 1, *range(3, len(shape) + 1))
        return [writer.reshaped(writer.node("Transpose", [parts], {"perm": order}), shape)]
    order = permutation_of(operator, len(shape))
    return [writer.node("Transpose", sources, {"perm": order})]


def slices(writer: OnnxWriter, operator: Operator) -> list[str]:
    """One part after the other along each axis where a part is smaller than the whole."""
    shape = writer.before(operator)
    begin = [0] * len(shape)
    if max(operator.stride) > 1:
        return [_strided(writer, operator)]
    names = []
    for output in operator.outputs:
        result = writer.graph.shape(output)
        size = result
        if len(size) != len(shape):
            axis = _without(shape, size)
            if axis is None:
                raise cannot(operator, f"cuts {size} from {shape}, which is not supported")
            size = (*shape[:axis], 1, *shape[axis + 1 :])
        end = [b + s for b, s in zip(begin, size, strict=True)]
        ranges = [writer.integers(begin), writer.integers(end)]
        name = writer.node("Slice", [*writer.sources(operator), *ranges])
        names.append(name if size == result else writer.reshaped(name, result))
        begin = [e if s < whole else 0 for e, s, whole in zip(end, size, shape, strict=True)]
    return names


def _strided(writer: OnnxWriter, operator: Operator) -> str:
    axis, step = operator.axes[0] if operator.axes else 1, max(operator.stride)
    count = writer.after(operator)[axis]
    bounds = ([0], [(count - 1) * step + 1], [axis], [step])
    inputs = [*writer.sources(operator), *(writer.integers(one) for one in bounds)]
    return writer.node("Slice", inputs)


def pad(writer: OnnxWriter, operator: Operator) -> list[str]:
    """Numbers around a tensor, half of them in front; fewer than none crop it."""
    shape, result = writer.before(operator), writer.after(operator)
    added = [after - before for before, after in zip(shape, result, strict=True)]
    pads = [*(total // 2 for total in added), *(total - total // 2 for total in added)]
    inputs = [*writer.sources(operator), writer.integers(pads)]
    return [writer.node("Pad", inputs, {"mode": _PADDING[operator.mode]})]


def resize(writer: OnnxWriter, operator: Operator) -> list[str]:
    """Another height and width, by the interpolation that the graph names."""
    if operator.mode not in _RESIZING:
        raise cannot(operator, f"resizes by {operator.mode!r}, which has no ONNX form here")
    mode, coordinates = _RESIZING[operator.mode]
    attributes = {"mode": mode, "coordinate_transformation_mode": coordinates}
    inputs = [*writer.sources(operator), "", "", writer.integers(writer.after(operator))]
    return [writer.node("Resize", inputs, attributes)]


def depth_to_space(writer: OnnxWriter, operator: Operator) -> list[str]:
    """Channels dealt out as pixels."""
    block = writer.after(operator)[2] // writer.before(operator)[2]
    attributes = {"blocksize": block, "mode": "CRD"}
    return [writer.node("DepthToSpace", writer.sources(operator), attributes)]


def space_to_depth(writer: OnnxWriter, operator: Operator) -> list[str]:
    """Pixels gathered as channels."""
    block = writer.before(operator)[2] // writer.after(operator)[2]
    return [writer.node("SpaceToDepth", writer.sources(operator), {"blocksize": block})]


def flip(writer: OnnxWriter, operator: Operator) -> list[str]:
    """The other way round along axes: a slice with a step of -1."""
    axes = operator.axes
    bounds = ([-1] * len(axes), [-(2**31)] * len(axes), list(axes), [-1] * len(axes))
    inputs = [*writer.sources(operator), *(writer.integers(one) for one in bounds)]
    return [writer.node("Slice", inputs)]
