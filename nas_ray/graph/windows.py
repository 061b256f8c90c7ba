"""Attributes of calls that slide a window: convolutions and poolings."""

from collections.abc import Callable, Sequence
from math import prod

import torch

from nas_ray.graph.call import Call, Meaning


def convolution(call: Call) -> Meaning:
    """Describe `aten.convolution` of one to three axes; depth counts as height."""
    _, _, bias, stride, _, dilation, transposed, _, groups = call.arguments[:9]
    weight = call.constants[0] if call.constants else call.activations[1]
    channels_in = call.activations[0][1]
    positions = prod(call.activations[0][2:] if transposed else call.result[2:])
    kind = "depthwise_conv" if 1 < groups == channels_in == call.result[1] else "conv"
    return Meaning(
        kind="transposed_conv" if transposed else kind,
        attributes={
            "kernel": _window(weight[2:]),
            "stride": _window(stride),
            "dilation": _window(dilation),
            "groups": groups,
            "macs": prod(weight) * positions,
            "weight_elements": prod(weight),
            "bias_elements": call.result[1] if isinstance(bias, torch.Tensor) else 0,
        },
    )


def pool(kind: str) -> Callable[[Call], Meaning]:
    """Make the function that describes a pooling of two or three axes as `kind`."""

    def describe(call: Call) -> Meaning:
        volume = len(call.result) > 4
        kernel = _window(call.arguments[1]) if volume else _pair(call.arguments[1])
        given = call.arguments[2] if len(call.arguments) > 2 else []
        stride = (_window if volume else _pair)(given) if given else (0, 0)
        return Meaning(
            kind=kind, attributes={"kernel": kernel, "stride": stride if any(stride) else kernel}
        )

    return describe


def adaptive_pool(call: Call) -> Meaning:
    """Describe an adaptive average pooling: a mean where one number a channel is left."""
    height, width = call.activations[0][-2:]
    rows, columns = call.result[-2:]
    if rows == columns == 1:
        return Meaning(kind="mean")
    window = (max(1, height // rows), max(1, width // columns))
    return Meaning(kind="avg_pool", attributes={"kernel": window, "stride": window})


def adaptive_max_pool(call: Call) -> Meaning:
    """Describe an adaptive maximum pooling."""
    found = adaptive_pool(call)
    if found.kind == "mean":
        return Meaning(kind="mean", attributes={"mode": "max"})
    return Meaning(kind="max_pool", attributes=found.attributes)


def _pair(value: Sequence[int] | int, default: int = 1) -> tuple[int, int]:
    """`(height, width)` of an argument given for one or two axes; one axis is the width."""
    axes = [value] if isinstance(value, int) else list(value)
    if not axes:
        return default, default
    return (default, axes[0]) if len(axes) == 1 else (axes[0], axes[1])


def _window(axes: Sequence[int]) -> tuple[int, int]:
    """`(height, width)` of one to three axes; depth counts as height."""
    return prod(axes[:-1]), axes[-1]
