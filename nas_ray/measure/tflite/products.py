"""Products of matrices as TFLite operators."""

from nas_ray.graph import Operator
from nas_ray.measure.tflite.lowering import Lowering, cannot


def linear(lowering: Lowering, operator: Operator) -> None:
    """Write a linear layer; of tokens `(1, T, C)` all but the last axis stay as they are."""
    shape = lowering.shape(operator.inputs[0])
    features_out = lowering.shape(operator.outputs[0])[-1]
    inputs = [
        lowering.index[operator.inputs[0]],
        lowering.weights((features_out, shape[-1])),
        lowering.bias(operator.bias_elements),
    ]
    keeps = {"KeepNumDims": True} if len(shape) > 2 else {}
    lowering.hosted(operator, "FULLY_CONNECTED", inputs, "FullyConnectedOptions", {**keeps})


def matmul(lowering: Lowering, operator: Operator) -> None:
    """Write a product of two activations `(B, M, K)` and `(B, K, N)`."""
    if len(operator.inputs) != 2:
        raise cannot(operator, "multiplies by a constant in batches, which has no TFLite form here")
    shapes = [lowering.graph.shape(index) for index in operator.inputs]
    if len({len(shape) for shape in shapes}) != 1:
        raise cannot(operator, "multiplies tensors of different rank, which is not supported")
    inputs = [lowering.index[index] for index in operator.inputs]
    result = lowering.shape(operator.outputs[0])
    if len(result) == 2:
        inputs = [
            lowering.reshaped(tensor, shape, (1, *shape))
            for tensor, shape in zip(inputs, shapes, strict=True)
        ]
    made = (1, *result) if len(result) == 2 else result
    product = lowering.emit("BATCH_MATMUL", inputs, made, "BatchMatMulOptions")
    product = lowering.reshaped(product, made, result)
    if operator.activation:
        product = lowering.activate(operator, product)
    lowering.index[operator.outputs[0]] = product
