"""Attributes of products of matrices, with a constant (linear layers) or of two activations."""

from math import prod

from nas_ray.graph.call import Call, Meaning


def addmm(call: Call) -> Meaning:
    """Describe a linear layer with a bias."""
    return matrix_product(call, bias=call.result[-1])


def matrix_product(call: Call, bias: int = 0) -> Meaning:
    """Describe `mm` and `bmm`: `linear` where one factor is a constant matrix."""
    weight = next((shape for shape in reversed(call.constants) if len(shape) == 2), None)
    inner = call.activations[0][-1]
    macs = prod(call.result) * inner
    if weight is None or len(call.activations) > 1:
        return Meaning(kind="matmul", attributes={"macs": macs})
    attributes = {"macs": macs, "weight_elements": prod(weight), "bias_elements": bias}
    return Meaning(kind="linear", attributes=attributes)


def added_product(call: Call) -> Meaning:
    """Describe `baddbmm` and its like: the first argument is added to the product of the others."""
    second = call.activations[-2] if len(call.activations) > 1 else call.activations[0]
    return Meaning(kind="matmul", attributes={"macs": prod(call.result) * second[-1]})
