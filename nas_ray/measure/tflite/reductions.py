"""Reductions and softmax as TFLite operators."""

from math import prod

from nas_ray.graph import Operator
from nas_ray.measure.tflite.lowering import VALID, Fields, Lowering, cannot, file_axis

_CODES = {"": "MEAN", "sum": "SUM", "max": "REDUCE_MAX"}


def mean(lowering: Lowering, operator: Operator) -> None:
    """Write a mean, maximum, sum or variance over axes."""
    if not operator.mode and _is_global(lowering, operator):
        reduced = _pooled(lowering, operator)
    elif operator.mode in _CODES:
        reduced = _reduced(lowering, operator, _CODES[operator.mode])
    else:
        raise cannot(operator, f"reduces by {operator.mode!r}, which has no TFLite form here")
    if operator.activation:
        reduced = lowering.activate(operator, reduced)
    lowering.index[operator.outputs[0]] = reduced


def softmax(lowering: Lowering, operator: Operator) -> None:
    """Write a softmax; TFLite's is along the last axis, another one is brought there and back."""
    tensor, shape = (
        lowering.graph.tensors[operator.inputs[0]],
        lowering.shape(operator.inputs[0]),
    )
    axis = file_axis(tensor, operator.axes[0] if operator.axes else 1)
    last = len(shape) - 1
    order = [*range(len(shape))]
    order[axis], order[last] = last, axis
    source = lowering.index[operator.inputs[0]]
    turned = tuple(shape[n] for n in order)
    if axis != last:
        source = lowering.transposed(source, turned, order)
    made = lowering.emit("SOFTMAX", [source], turned, "SoftmaxOptions", {"Beta": 1.0})
    if axis != last:
        made = lowering.transposed(made, shape, order)
    lowering.index[operator.outputs[0]] = made


def _is_global(lowering: Lowering, operator: Operator) -> bool:
    """Tell whether one number a channel of an image or a signal is left."""
    shape, result = lowering.shape(operator.inputs[0]), lowering.shape(operator.outputs[0])
    is_image = lowering.graph.tensors[operator.inputs[0]].channel_axes == 1
    return is_image and len(shape) == 4 and not operator.axes and prod(result) == shape[-1]


def _pooled(lowering: Lowering, operator: Operator) -> int:
    # A pooling over the whole image: compilers have a faster form for it than for MEAN.
    shape, result = lowering.shape(operator.inputs[0]), lowering.shape(operator.outputs[0])
    fields: Fields = {
        "Padding": VALID,
        "StrideH": 1,
        "StrideW": 1,
        "FilterHeight": shape[1],
        "FilterWidth": shape[2],
    }
    pooled = (1, 1, 1, shape[-1])
    source = lowering.index[operator.inputs[0]]
    averaged = lowering.emit("AVERAGE_POOL_2D", [source], pooled, "Pool2DOptions", fields)
    return lowering.reshaped(averaged, pooled, result)


def _reduced(lowering: Lowering, operator: Operator, code: str) -> int:
    tensor, shape = (
        lowering.graph.tensors[operator.inputs[0]],
        lowering.shape(operator.inputs[0]),
    )
    axes = operator.axes or tuple(range(2, len(tensor.shape)))
    places = sorted(file_axis(tensor, axis) for axis in axes)
    left = tuple(1 if n in places else size for n, size in enumerate(shape))
    inputs = [lowering.index[operator.inputs[0]], lowering.integers(places)]
    made = lowering.emit(code, inputs, left, "ReducerOptions", {"KeepDims": True})
    return lowering.reshaped(made, left, lowering.shape(operator.outputs[0]))
