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
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray


Floats = NDArray[np.float64]
Number = TypeVar("Number", float, Floats)


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


class Work(NamedTuple, Generic[Number]):
    """An operator, or `(N,)`: bytes of weights as stored, how often they are read, and cycles.

    `alone` and `staged` are with the constants in the far and in the near memory.
    """

    stored: Number
    passes: Number
    channels: Number
    alone: Number
    staged: Number


class Copy(NamedTuple):
    """Bytes of operators' weights, `(N,)`: at most, while the operator before runs, and at its end.

    `hides` are the cycles of the operator under which a copy for the next one costs nothing.
    """

    most: Floats
    early: Floats
    late: Floats
    hides: Floats


def copied(work: Work[Floats], hidden: Floats, staging: Staging) -> Copy:
    """What is copied of the weights of operators, each with its `hidden` cycles.

    Nothing is for the first operator of a network: its `hidden` is minus infinity.
    """
    copy = staging.far_latency_cycles + work.stored / staging.copy_rate
    near = staging.near_latency_cycles + work.stored / staging.near_rate * work.passes
    far = (staging.far_latency_cycles + work.stored / staging.stream_rate) * work.passes
    slowest = np.maximum(work.alone, far)
    is_copied = (work.stored > 0) & (near + np.maximum(0.0, copy - hidden) < far)
    is_copied &= (work.passes > 1) | (copy + near <= slowest)
    share = np.where(hidden < copy, _early_share(work, hidden / copy, far, staging), 1.0)
    most = np.where(is_copied, np.rint(work.stored), 0.0)
    early = np.rint(most * share)
    # Under an operator whose weights come in parts, only its last part hides a copy.
    last = np.where(share < 1, 1 - share, 1.0)
    hides = np.where(work.stored > 0, slowest, work.alone)
    return Copy(
        most=most,
        early=early,
        late=np.where(share < 1, most - early, most),
        hides=np.where(is_copied, work.staged * last, hides),
    )


def _early_share(work: Work[Floats], hidden: Floats, far: Floats, staging: Staging) -> Floats:
    """The share of weights that is copied under the operator before, in whole channel groups.

    `hidden` is the share of the copy that would cost nothing.
    """
    # Half ahead is enough for an operator that takes longer than a far read of its weights.
    share = np.minimum(np.maximum(hidden, 0.0), np.where(work.alone > far, 0.5, 1.0))
    groups = np.maximum(1.0, np.floor(work.channels * share) // staging.channel_group)
    found: Floats = np.minimum(1.0, groups * staging.channel_group / work.channels)
    return found
