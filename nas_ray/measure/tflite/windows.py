"""Convolutions and poolings as TFLite operators."""

from collections.abc import Callable

from nas_ray.graph import Operator
from nas_ray.measure.tflite.lowering import SAME, VALID, Fields, Lowering, cannot


def convolution(lowering: Lowering, operator: Operator) -> None:
    """Write a convolution of any groups, with its padding and activation."""
    if len(operator.inputs) != 1:
        raise cannot(operator, "takes its weights from another operator, which is not supported")
    channels_in = lowering.shape(operator.inputs[0])[-1]
    channels_out = lowering.shape(operator.outputs[0])[-1]
    (rows, columns), (down, across) = operator.kernel, operator.dilation
    window = ((rows - 1) * down + 1, (columns - 1) * across + 1)
    source, fields = lowering.windowed(operator, window)
    fields |= {"DilationHFactor": down, "DilationWFactor": across}
    bias = lowering.bias(operator.bias_elements)
    if operator.groups == channels_in > 1:
        weights = lowering.weights((1, rows, columns, channels_out))
        fields["DepthMultiplier"] = channels_out // channels_in
        code, options = "DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions"
    else:
        weights = lowering.weights((channels_out, rows, columns, channels_in // operator.groups))
        code, options = "CONV_2D", "Conv2DOptions"
    lowering.hosted(operator, code, [source, weights, bias], options, fields)


def pool(code: str) -> "Lower":
    """Make the function that writes a pooling as builtin `code`."""

    def lower(lowering: Lowering, operator: Operator) -> None:
        source, fields = lowering.windowed(operator, operator.kernel)
        fields |= {"FilterHeight": operator.kernel[0], "FilterWidth": operator.kernel[1]}
        lowering.hosted(operator, code, [source], "Pool2DOptions", fields)

    return lower


def transposed_convolution(lowering: Lowering, operator: Operator) -> None:
    """Write a transposed convolution; one that makes less than TFLite's form is cut to size."""
    shape, result = lowering.shape(operator.inputs[0]), lowering.shape(operator.outputs[0])
    if operator.groups != 1 or operator.dilation != (1, 1):
        raise cannot(operator, "has groups or a dilation, which TFLite's form does not")
    before, after = shape[1:3], result[1:3]
    sides = [*zip(before, operator.stride, operator.kernel, strict=True)]
    same = tuple(size * step for size, step, _ in sides)
    valid = tuple(size * step + max(0, side - step) for size, step, side in sides)
    if any(wanted > most for wanted, most in zip(after, valid, strict=True)):
        raise cannot(operator, f"makes {after} of {before}, more than the {valid} of TFLite's form")
    made = same if after == same else valid
    whole = (1, *made, result[-1])
    inputs = [
        lowering.integers(whole),
        lowering.weights((result[-1], *operator.kernel, shape[-1])),
        lowering.index[operator.inputs[0]],
        lowering.bias(operator.bias_elements),
    ]
    fields: Fields = {
        "Padding": SAME if made == same else VALID,
        "StrideH": operator.stride[0],
        "StrideW": operator.stride[1],
    }
    if made == after:
        lowering.hosted(operator, "TRANSPOSE_CONV", inputs, "TransposeConvOptions", fields)
        return
    grown = lowering.emit("TRANSPOSE_CONV", inputs, whole, "TransposeConvOptions", fields)
    begin = [0, *((m - a) // 2 for m, a in zip(made, after, strict=True)), 0]
    pieces = [grown, lowering.integers(begin), lowering.integers(result)]
    cut = lowering.emit("SLICE", pieces, result, "SliceOptions")
    lowering.index[operator.outputs[0]] = lowering.activate(operator, cut)


Lower = Callable[[Lowering, Operator], None]
