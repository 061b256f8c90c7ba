"""What a pass stores of weights, and how long it takes."""

from math import ceil, prod

from nas_ray.estimate.passes import Pass
from nas_ray.estimate.staging import Staging, Work
from nas_ray.graph import Graph, Operator


def work(graph: Graph, one: Pass, staging: Staging) -> Work[float]:
    """What a pass of `graph` stores, and how long it takes."""
    if one.operator < 0:
        cycles = staging.operator_cycles
        return Work(stored=0.0, passes=1, channels=1, alone=cycles, staged=cycles)
    operator = graph.operators[one.operator]
    output, image = graph.shape(operator.outputs[0]), graph.shape(operator.inputs[0])
    channels, pixels, depthwise = output[1], prod(output[2:]), operator.kind == "depthwise_conv"
    if not depthwise and (operator.kind != "conv" or operator.groups > 1):
        cycles = staging.operator_cycles
        return Work(stored=0.0, passes=1, channels=channels, alone=cycles, staged=cycles)
    groups = 8 if operator.is_pointwise_conv else 4
    block_channels = min(_up(channels, staging.channel_group), groups * staging.channel_group)
    passes = max(1, ceil(pixels * block_channels / staging.block_outputs))
    rate = staging.depthwise_rate if depthwise else staging.mac_rate
    arithmetic = pixels * _padded_macs(operator, image[1], channels, staging) / rate
    read = prod(image[2:]) * min(image[1], staging.input_group)
    moved = (pixels * channels + read) / passes / staging.activation_rate
    written = pixels * _up(channels, staging.channel_group) / staging.output_rate
    fixed = staging.operator_cycles + moved
    far, near = (
        channels * passes * cycles
        for cycles in (staging.far_channel_cycles, staging.near_channel_cycles)
    )
    return Work(
        stored=_stored_bytes(operator, image[1], channels, staging),
        passes=passes,
        channels=channels,
        alone=arithmetic + max(far + staging.operator_cycles, written + fixed),
        staged=arithmetic + max(near, written) + fixed,
    )


def _padded_macs(operator: Operator, channels_in: int, channels: int, staging: Staging) -> int:
    """Multiply-accumulates for one pixel, kernel and channels rounded up to what runs at once."""
    taps, outputs = prod(operator.kernel), _up(channels, staging.channel_group)
    padded_taps = _up(taps, staging.kernel_group)
    if operator.kind == "depthwise_conv":
        return outputs * padded_taps
    if channels_in <= staging.narrow_channels or taps > 1:
        return outputs * padded_taps * _up(channels_in, staging.channel_group // 2)
    return outputs * _up(channels_in, staging.channel_group)


def _stored_bytes(operator: Operator, channels_in: int, channels: int, staging: Staging) -> float:
    weights = operator.weight_elements
    constants = staging.channel_bytes * channels + staging.operator_bytes
    if operator.kind == "depthwise_conv":
        return staging.depthwise_ratio * weights + constants
    if channels_in <= staging.narrow_channels:
        padded = _padded_macs(operator, channels_in, channels, staging)
        ratio = staging.narrow_ratio
    else:
        rows = _up(channels, staging.channel_group) * _up(channels_in, staging.input_group)
        padded, ratio = rows * prod(operator.kernel), staging.padding_ratio
    return staging.weight_ratio * weights + ratio * (padded - weights) + constants


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
