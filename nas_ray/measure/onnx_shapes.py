"""The ONNX form of operators that reduce, join, cut or reorder tensors.

A graph knows the shapes on both sides and not the axes: they are recovered here.
"""

from itertools import combinations, permutations
from math import prod

from nas_ray.graph import Operator
from nas_ray.measure.onnx_writer import OnnxWriter, Shape, cannot


def mean(writer: OnnxWriter, operator: Operator) -> list[str]:
    """A mean over the axes that the output lacks; over a whole image as exporters write it."""
    shape, result = writer.before(operator), writer.after(operator)
    sources = writer.sources(operator)
    if len(shape) > 2 and prod(result) == prod(shape[:2]):
        pooled = writer.node("GlobalAveragePool", sources)
        kept = (*shape[:2], *(1 for _ in shape[2:]))
        return [pooled if kept == result else writer.reshaped(pooled, result)]
    axes = _reduced(shape, result)
    if axes is None:
        raise cannot(operator, f"reduces {shape} to {result}, which no axes of it do")
    keep = int(len(shape) == len(result))
    return [writer.node("ReduceMean", [*sources, writer.integers(axes)], {"keepdims": keep})]


def _reduced(shape: Shape, result: Shape) -> Shape | None:
    """The axes whose reduction turns `shape` into `result`, the last ones where several do."""
    if len(shape) == len(result):
        axes = tuple(n for n, size in enumerate(shape) if size != result[n])
        return axes if all(result[n] == 1 for n in axes) else None
    for axes in reversed([*combinations(range(len(shape)), len(shape) - len(result))]):
        if tuple(size for n, size in enumerate(shape) if n not in axes) == result:
            return axes
    return None


def concat(writer: OnnxWriter, operator: Operator) -> list[str]:
    """Tensors along the axis that grows, with a constant for what they leave open."""
    shapes = [writer.graph.shape(tensor) for tensor in operator.inputs]
    result, sources = writer.after(operator), writer.sources(operator)
    if len(shapes[0]) != len(result):
        axis = _without(result, shapes[0])
        if axis is None or result[axis] != len(shapes):
            raise cannot(operator, f"stacks {len(shapes)} tensors {shapes[0]} to {result}")
        one = (*result[:axis], 1, *result[axis + 1 :])
        sources = [writer.reshaped(name, one) for name in sources]
        return [writer.node("Concat", sources, {"axis": axis})]
    axis = next((n for n, size in enumerate(result) if size != shapes[0][n]), len(result) - 1)
    missing = result[axis] - sum(shape[axis] for shape in shapes)
    if missing:
        sources.append(writer.numbers((*result[:axis], missing, *result[axis + 1 :])))
    return [writer.node("Concat", sources, {"axis": axis})]


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
    """A permutation that gives the output its shape, one that moves something if there is one."""
    shape, result = writer.before(operator), writer.after(operator)
    _, *moving = permutations(range(len(shape)))
    for axes in (*moving, tuple(range(len(shape)))):
        if tuple(shape[n] for n in axes) == result:
            return [writer.node("Transpose", writer.sources(operator), {"perm": axes})]
    raise cannot(operator, f"turns {shape} into {result}, which no permutation does")


def slices(writer: OnnxWriter, operator: Operator) -> list[str]:
    """One part after the other along each axis where a part is smaller than the whole."""
    shape = writer.before(operator)
    begin = [0] * len(shape)
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


def pad(writer: OnnxWriter, operator: Operator) -> list[str]:
    """Zeros around a tensor, half of them in front; fewer than none crop it."""
    shape, result = writer.before(operator), writer.after(operator)
    added = [after - before for before, after in zip(shape, result, strict=True)]
    pads = [*(total // 2 for total in added), *(total - total // 2 for total in added)]
    return [writer.node("Pad", [*writer.sources(operator), writer.integers(pads)])]


def resize(writer: OnnxWriter, operator: Operator) -> list[str]:
    """Bilinear, or channels dealt out as pixels where their number changes."""
    shape, result = writer.before(operator), writer.after(operator)
    if shape[1] != result[1]:
        attributes: dict[str, object] = {"blocksize": result[2] // shape[2], "mode": "CRD"}
        return [writer.node("DepthToSpace", writer.sources(operator), attributes)]
    attributes = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    inputs = [*writer.sources(operator), "", "", writer.integers(result)]
    return [writer.node("Resize", inputs, attributes)]
