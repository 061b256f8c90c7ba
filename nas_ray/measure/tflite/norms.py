"""Norms that take their statistics from the input, as converters write them: means and products."""

from nas_ray.graph import Operator
from nas_ray.measure.tflite.lowering import VALID, Fields, Lowering, cannot

Shape = tuple[int, ...]


def norm(lowering: Lowering, operator: Operator) -> None:
    """Write a layer, root-mean-square, group or instance norm."""
    if operator.mode in {"", "rms"}:
        _of_last_axis(lowering, operator)
    else:
        _of_image(lowering, operator)


def _of_last_axis(lowering: Lowering, operator: Operator) -> None:
    """Write a norm over the last axis of tokens `(1, T, C)`; other shapes become tokens first."""
    shape = lowering.shape(operator.inputs[0])
    if len(operator.axes) > 1 or lowering.graph.tensors[operator.inputs[0]].channel_axes:
        raise cannot(operator, "is taken over several axes, which is not supported")
    tokens = (1, _product(shape[:-1]), shape[-1])
    source = lowering.reshaped(lowering.index[operator.inputs[0]], shape, tokens)
    if not operator.mode:
        source = _minus(lowering, source, _mean(lowering, source, tokens), tokens)
    squared = lowering.emit("MUL", [source, source], tokens, "MulOptions")
    scale = _inverse_root(lowering, _mean(lowering, squared, tokens), (*tokens[:-1], 1))
    scaled = lowering.emit("MUL", [source, scale], tokens, "MulOptions")
    made = _affine(lowering, operator, scaled, tokens)
    lowering.index[operator.outputs[0]] = lowering.reshaped(made, tokens, shape)


def _of_image(lowering: Lowering, operator: Operator) -> None:
    """Write a norm of channels in groups over the image `(1, H, W, C)`."""
    shape = lowering.shape(operator.inputs[0])
    if len(shape) != 4:
        raise cannot(operator, "is a group norm of something else than an image or a signal")
    groups = shape[-1] if operator.mode == "instance" else operator.groups
    source = lowering.index[operator.inputs[0]]
    mean = _group_mean(lowering, source, shape, groups)
    source = _minus(lowering, source, mean, shape)
    squared = lowering.emit("MUL", [source, source], shape, "MulOptions")
    variance = _group_mean(lowering, squared, shape, groups)
    scale = _inverse_root(lowering, variance, (1, 1, 1, shape[-1]))
    scaled = lowering.emit("MUL", [source, scale], shape, "MulOptions")
    lowering.index[operator.outputs[0]] = _affine(lowering, operator, scaled, shape)


def _mean(lowering: Lowering, tensor: int, shape: Shape) -> int:
    inputs = [tensor, lowering.integers([len(shape) - 1])]
    left = (*shape[:-1], 1)
    return lowering.emit("MEAN", inputs, left, "ReducerOptions", {"KeepDims": True})


def _group_mean(lowering: Lowering, tensor: int, shape: Shape, groups: int) -> int:
    """Return the mean over the image and each group, `(1, 1, 1, C)`."""
    one = (1, 1, 1, shape[-1])
    fields: Fields = {
        "Padding": VALID,
        "StrideH": 1,
        "StrideW": 1,
        "FilterHeight": shape[1],
        "FilterWidth": shape[2],
    }
    pooled = lowering.emit("AVERAGE_POOL_2D", [tensor], one, "Pool2DOptions", fields)
    if groups == shape[-1]:
        return pooled
    grouped = (1, groups, shape[-1] // groups)
    mean = _mean(lowering, lowering.reshaped(pooled, one, grouped), grouped)
    spread = lowering.emit("MUL", [mean, lowering.constant(grouped)], grouped, "MulOptions")
    return lowering.reshaped(spread, grouped, one)


def _minus(lowering: Lowering, tensor: int, mean: int, shape: Shape) -> int:
    return lowering.emit("SUB", [tensor, mean], shape, "SubOptions")


def _inverse_root(lowering: Lowering, variance: int, shape: Shape) -> int:
    inputs = [variance, lowering.constant((1,))]
    return lowering.emit("RSQRT", [lowering.emit("ADD", inputs, shape, "AddOptions")], shape)


def _affine(lowering: Lowering, operator: Operator, tensor: int, shape: Shape) -> int:
    """Return `tensor` times the scale and plus the shift that the norm reads, if it does."""
    if operator.weight_elements:
        inputs = [tensor, lowering.constant(shape[-1:])]
        tensor = lowering.emit("MUL", inputs, shape, "MulOptions")
    if operator.weight_elements > shape[-1]:
        inputs = [tensor, lowering.constant(shape[-1:])]
        tensor = lowering.emit("ADD", inputs, shape, "AddOptions")
    return lowering.activate(operator, tensor) if operator.activation else tensor


def _product(sizes: Shape) -> int:
    result = 1
    for size in sizes:
        result *= size
    return result
