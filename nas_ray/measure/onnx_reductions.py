"""The ONNX form of reductions along axes."""

from math import prod

from nas_ray.graph import Operator
from nas_ray.measure.onnx_writer import OnnxWriter, Shape, cannot

_TYPES = {"": "ReduceMean", "sum": "ReduceSum", "max": "ReduceMax"}


def reduction(writer: OnnxWriter, operator: Operator) -> list[str]:
    """A mean, sum, maximum, its place or a variance; of an image as exporters write it."""
    if len(operator.outputs) > 1:
        raise cannot(operator, "gives two results, which is not supported")
    shape, result = writer.before(operator), writer.after(operator)
    axes = operator.axes or tuple(range(2, len(shape)))
    kept = tuple(1 if n in axes else size for n, size in enumerate(shape))
    if prod(kept) != prod(result):
        raise cannot(operator, f"reduces {shape} along {axes} to {result}, which is another size")
    name = _reduced(writer, operator, axes)
    return [name if kept == result else writer.reshaped(name, result)]


def _reduced(writer: OnnxWriter, operator: Operator, axes: Shape) -> str:
    (source,), mode = writer.sources(operator), operator.mode
    if not mode and not operator.axes:
        return writer.node("GlobalAveragePool", [source])
    if mode in _TYPES:
        return writer.node(_TYPES[mode], [source, writer.integers(axes)])
    if mode == "argmax" and len(axes) == 1:
        place = writer.node("ArgMax", [source], {"axis": axes[0]})
        return writer.node("Cast", [place], {"to": 1})  # to float32, like every other tensor
    if mode == "var":
        inputs = [source, writer.node("ReduceMean", [source, writer.integers(axes)])]
        distance = writer.node("Sub", inputs)
        squared = writer.node("Mul", [distance, distance])
        return writer.node("ReduceMean", [squared, writer.integers(axes)])
    raise cannot(operator, f"reduces by {mode!r} along {axes}, which has no ONNX form here")
