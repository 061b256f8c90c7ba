"""Weights on their way: which are copied beside the activations, and when.

An accelerator that reads weights from a far memory may copy those of an operator into the near one
while the operator before it still runs. The copies stand beside the activations, and on small
images they rule the peak. A compiler decides by comparing times, and so does this file. In cycles,
for an operator whose weights take `B` bytes as stored and are read `passes` times:

    copy   = far latency + B / copy rate                 into the near memory
    near   = near latency + B / near rate * passes       from there into the arithmetic
    far    = (far latency + B / stream rate) * passes    from the far memory into the arithmetic
    alone  = time of the operator with its constants in the far memory
    hidden = time of the operator before it, under which a copy costs nothing

Weights are copied if what is seen of it is less than the far reads, `near + (copy - hidden) < far`,
and, where they are read once, if `copy + near <= max(alone, far)`. A copy that is hidden whole
fills one buffer ahead of its operator; of one that is not, a part is copied ahead and the rest
into a second buffer.
"""

from dataclasses import dataclass
from itertools import pairwise
from math import ceil, prod

from nas_ray.graph import Graph, Operator

#: An operator that runs in the pass of the one before it: no weights arrive in between.
_CHAINED = frozenset({"add"})


@dataclass(frozen=True, kw_only=True)
class Staging:
    """Section [staging] of a device.toml; rates are bytes, outputs or MACs a cycle.

    Constants are read once for each block of `block_outputs` outputs; scale and bias of a channel
    cost `far_channel_cycles` or `near_channel_cycles` then. Channels come in groups of
    `channel_group`, kernels of `kernel_group`, input channels of `input_group`, or, where there
    are at most `narrow_channels`, of half a channel group. Stored bytes: `weight_ratio` (or
    `depthwise_ratio`) a weight, `padding_ratio` (or `narrow_ratio`) a padding zero,
    `channel_bytes` for scale and bias, `operator_bytes` more.
    """

    far_latency_cycles: float
    near_latency_cycles: float
    copy_rate: float
    stream_rate: float
    near_rate: float
    far_channel_cycles: float
    near_channel_cycles: float
    activation_rate: float
    output_rate: float
    mac_rate: float
    depthwise_rate: float
    operator_cycles: float
    block_outputs: int
    channel_group: int
    kernel_group: int
    input_group: int
    narrow_channels: int
    weight_ratio: float
    depthwise_ratio: float
    padding_ratio: float
    narrow_ratio: float
    channel_bytes: float
    operator_bytes: float


@dataclass(frozen=True, kw_only=True)
class Buffers:
    """Bytes of one operator's weights: at most, while the operator before runs, and at its end."""

    most: int = 0
    early: int = 0
    late: int = 0


@dataclass(frozen=True, kw_only=True)
class _Work:
    """One operator: bytes of weights as stored, and cycles with them in the far or near memory."""

    stored: float
    passes: int
    channels: int
    alone: float
    staged: float


def buffers(graph: Graph, staging: Staging) -> tuple[Buffers, ...]:
    """The weight buffers of each operator of `graph`; the first has none, nothing runs before."""
    found: list[Buffers] = []
    hidden = 0.0
    for operator in graph.operators:
        if found and operator.kind in _CHAINED:
            found.append(Buffers())
            continue
        work = _work(graph, operator, staging)
        share = _early_share(work, staging, hidden) if found else 0.0
        found.append(_buffers(round(work.stored), share))
        far = _far_cycles(work, staging) if work.stored else 0.0
        # Under an operator whose weights come in parts, only its last part hides a copy.
        hidden = work.staged * (1 - share if share < 1 else 1) if share else max(work.alone, far)
    return tuple(found)


def peak_with_weights(graph: Graph, live_bytes: list[int], staging: Staging) -> int:
    """The most bytes at one operator: `live_bytes` of activations and the buffers beside them."""
    held = buffers(graph, staging)
    runs = [n for n, one in enumerate(graph.operators) if not n or one.kind not in _CHAINED]
    peak = max(live_bytes, default=0)
    for n in runs:
        peak = max(peak, live_bytes[n] + held[n].most)
    for n, after in pairwise(runs):
        peak = max(peak, live_bytes[n] + held[n].late + held[after].early)
    return peak


def _buffers(stored_bytes: int, share: float) -> Buffers:
    if not share:
        return Buffers()
    early = round(stored_bytes * share)
    late = stored_bytes - early if share < 1 else stored_bytes
    return Buffers(most=stored_bytes, early=early, late=late)


def _far_cycles(work: _Work, staging: Staging) -> float:
    return (staging.far_latency_cycles + work.stored / staging.stream_rate) * work.passes


def _early_share(work: _Work, staging: Staging, hidden: float) -> float:
    """The share of the weights that is copied under the operator before; 0: none are copied."""
    if not work.stored:
        return 0.0
    copy = staging.far_latency_cycles + work.stored / staging.copy_rate
    near = staging.near_latency_cycles + work.stored / staging.near_rate * work.passes
    far = _far_cycles(work, staging)
    if near + max(0.0, copy - hidden) >= far:
        return 0.0
    if work.passes == 1 and copy + near > max(work.alone, far):
        return 0.0
    if hidden >= copy:
        return 1.0
    # Half ahead is enough for an operator that takes longer than a far read of its weights.
    share = min(hidden / copy, 0.5 if work.alone > far else 1.0)
    groups = max(1, int(work.channels * share) // staging.channel_group)
    return min(1.0, groups * staging.channel_group / work.channels)


def _work(graph: Graph, operator: Operator, staging: Staging) -> _Work:
    output, image = graph.shape(operator.outputs[0]), graph.shape(operator.inputs[0])
    channels, pixels, depthwise = output[1], prod(output[2:]), operator.kind == "depthwise_conv"
    if not depthwise and (operator.kind != "conv" or operator.groups > 1):
        cycles = staging.operator_cycles
        return _Work(stored=0.0, passes=1, channels=channels, alone=cycles, staged=cycles)
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
    return _Work(
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
