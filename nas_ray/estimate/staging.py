"""Weights on their way: which are copied beside the activations, when, and in how many parts.

An accelerator that reads weights from a far memory may copy those of a pass into the near one
while the pass before still runs. The copies stand beside the activations, and on small images
they rule the peak. A compiler decides by comparing times, and so does this file; the rule is that
of ethos-u-vela 5.2.0 (Apache-2.0; scheduler.cpp, ProposeSlicedWeightBuffering), written anew. In
cycles, for a pass whose weights take `B` bytes as stored and are read `passes` times:

    copy   = far latency + B / copy rate                 into the near memory
    near   = (near latency + B / near rate) * passes     from there into the arithmetic
    far    = (far latency + B / stream rate) * passes    from the far memory into the arithmetic
    alone  = time of the pass with its constants in the far memory
    hidden = time of the pass before it, under which a copy costs nothing

A copy that is hidden whole fills one buffer ahead of its pass. Of one that is not, the first
channels are copied ahead, and the others in slices, each under the slice before it, into two
buffers by turns. Both are judged by the time of the slices and what is seen of the copies.
"""

from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Number = TypeVar("Number", float, Floats)

#: Channels of the first slice are a multiple, and the least there are.
SPLIT = 16
_LEAST_CYCLES = 1000
_STEP_BYTES = 16
_CONSTANT_BYTES = 10
_BURST_BITS = 256
#: Slices between the first and the last fill so much of a block.
_FULL = 0.3


@dataclass(frozen=True, kw_only=True)
class Staging:
    """Section [staging] of a device.toml; rates are bytes a cycle.

    `activation_rate` is that of the near memory for activations, in bursts of `burst_bytes`. An
    output leaves in `output_cycles`, or `lookup_cycles` through a table; one of a sum or a product
    alone takes `sum_cycles` or `product_cycles`. Weights are cut at multiples of `slice_channels`
    channels (0: of the micro-block). What is stored for weights, kernel first, depth first or
    depthwise: bytes a weight, a zero that fills up, a channel, and an operator.
    """

    far_latency_cycles: float
    near_latency_cycles: float
    copy_rate: float
    stream_rate: float
    near_rate: float
    activation_rate: float
    burst_bytes: int
    output_cycles: float
    lookup_cycles: float
    sum_cycles: float
    product_cycles: float
    slice_channels: int
    kernel_first_bytes: tuple[float, ...]
    depth_first_bytes: tuple[float, ...]
    depthwise_bytes: tuple[float, ...]


class Work(NamedTuple, Generic[Number]):
    """A pass, or `(N,)`: bytes of weights as stored, how often they are read, and its cycles.

    It takes `alone` cycles with its constants in the far memory. Its outputs are made in `blocks`
    of `block` channels, in steps of `micro`: `arithmetic` cycles a step, `output` and `written` a
    channel of a block, `read` before the first and `first_write` before the first is away.
    """

    stored: Number
    passes: Number
    channels: Number
    alone: Number
    blocks: Number
    block: Number
    micro: Number
    arithmetic: Number
    output: Number
    written: Number
    read: Number
    first_write: Number


class Copy(NamedTuple):
    """Bytes of weights of passes, `(N,)`: at most, while the pass before runs, and at its end.

    `hides` are the cycles of the pass under which a copy for the next one costs nothing.
    """

    most: Floats
    early: Floats
    late: Floats
    hides: Floats


def cycles(
    work: Work[Floats],
    channels: Floats,
    latency: Floats | float,
    *,
    begins: bool | NDArray[np.bool_] = True,
    ends: bool | NDArray[np.bool_] = True,
) -> Floats:
    """Time of `channels` of a pass whose constants lie in a memory of `latency`.

    What begins waits for its input, what ends for its output.
    """
    block = np.minimum(channels, work.block)
    steps = np.ceil(block / work.micro)
    count = work.blocks * np.ceil(channels / work.micro) / steps
    constants = _CONSTANT_BYTES * block * latency / _BURST_BITS
    outputs = np.maximum(np.ceil(work.output * block), constants)
    arithmetic = np.floor(work.arithmetic * steps)
    written = work.first_write + np.floor(work.written * block)
    waits = np.where(count > 1, np.abs(written - work.read), 0.0)
    issued = (waits + arithmetic + outputs) / 4
    arithmetic, outputs = np.maximum(arithmetic, issued), np.maximum(outputs, issued)
    found = np.where(
        arithmetic > outputs,
        np.floor(arithmetic * count) + np.where(ends, outputs, 0.0),
        outputs * count + arithmetic,
    )
    return np.asarray(
        np.floor(found) + np.where(ends, written, 0.0) + np.where(begins, work.read, 0.0)
    )


class _Slices(NamedTuple):
    """How channels are sliced, `(N,)`: how many slices, the first, those between and the last.

    `first_cycles` are the time of the first slice.
    """

    count: Floats
    first: Floats
    middle: Floats
    last: Floats
    first_cycles: Floats


def copied(work: Work[Floats], hidden: Floats, staging: Staging) -> Copy:
    """What is copied of the weights of passes, each with its `hidden` cycles.

    Minus infinity is the first pass of a network: nothing is copied before it.
    """
    if not work.stored.any():
        nothing = np.zeros_like(work.stored)
        return Copy(most=nothing, early=nothing, late=nothing, hides=work.alone)
    near_latency, is_first = staging.near_latency_cycles, np.isneginf(hidden)
    slack = np.where(is_first, 0.0, hidden)
    copy = np.floor(work.stored / staging.copy_rate) + staging.far_latency_cycles
    far = (work.stored / staging.stream_rate + staging.far_latency_cycles) * work.passes
    near = (work.stored / staging.near_rate + near_latency) * work.passes
    shortest, is_again = copy * np.minimum(SPLIT / work.channels, 1.0), work.passes > 1
    is_begun = is_first & is_again & ((shortest < far / 10) | (shortest <= _LEAST_CYCLES))
    is_tried = is_begun | (near + np.maximum(copy - slack, 0.0) < far)
    is_tried |= np.floor(work.channels / work.block) > 2
    is_tried |= ~is_first & (shortest < slack) & is_again
    is_long = work.alone > far
    slices, is_full = _sliced(work, slack / copy, copy, is_long, staging)
    seen, run, last = _times(work, slices, np.where(is_begun, _LEAST_CYCLES, slack), staging)
    read = (work.stored / slices.count / staging.near_rate + near_latency) * work.passes
    taken = np.maximum(run + seen, read * slices.count)
    # Where arithmetic takes longest, what is seen of short copies is noise of the estimate.
    taken -= np.where(is_long & (seen / slices.count < _LEAST_CYCLES), seen, 0.0)
    is_only_run = is_long & is_begun & (slices.count > 1) & (run + seen == taken)
    taken -= np.where(is_only_run, slices.count * _LEAST_CYCLES / 2, 0.0)
    before = np.maximum(work.alone, far)
    is_copied = (work.stored > 0) & is_tried & is_full & (before >= taken)
    is_copied &= is_again | (copy + read * slices.count <= before)
    even, odd = (np.where(is_copied, one, 0.0) for one in _parts(work, slices))
    return Copy(
        most=even + odd,
        early=np.where(is_first, 0.0, even),
        late=np.where(slices.count % 2 > 0, even, odd),
        hides=np.where(is_copied, last, work.alone),
    )


def _sliced(
    work: Work[Floats], share: Floats, copy: Floats, is_long: NDArray[np.bool_], staging: Staging
) -> tuple[_Slices, NDArray[np.bool_]]:
    """Slices of channels where a `share` of the copy is hidden, and whether they fill blocks."""
    channels = work.channels
    least = np.minimum(SPLIT / channels, 1.0)
    share = np.minimum(share, 1.0)
    share = np.where(1 - np.floor(share / least) * least < least / 2, 1.0, share)
    half = np.clip(np.ceil(np.floor(channels / 2) / SPLIT) * SPLIT / channels, 0.5, 1.0)
    # Half ahead is enough for a pass that takes longer than a far read of its weights.
    share = np.where(is_long & (share > 0.5) & (share < 1), half, share)
    share = np.maximum(share, least)
    step = float(staging.slice_channels) or work.micro
    first = np.maximum(np.floor(np.floor(channels * share) / step) * step, SPLIT)
    first = np.where(share < 1, np.minimum(first, channels), channels)
    rest = channels - first
    taken = cycles(work, first, staging.near_latency_cycles, ends=rest == 0)
    middle = np.maximum(np.floor(channels * taken / copy), SPLIT)
    middle = np.ceil(middle / work.block) * work.block
    between = np.maximum(np.ceil(rest / middle) - 1, 0.0)
    fills = middle / (np.ceil(middle / work.block) * work.block)
    slices = _Slices(
        count=np.where(rest > 0, 2 + between, 1.0),
        first=first,
        middle=np.where(between > 0, middle, 0.0),
        last=rest - between * middle,
        first_cycles=taken,
    )
    return slices, ~((between > 0) & is_long & (fills < _FULL))


def _times(
    work: Work[Floats], slices: _Slices, slack: Floats, staging: Staging
) -> tuple[Floats, Floats, Floats]:
    """Cycles of copies that are seen, of all slices, and of the last slice."""
    parts = np.stack([slices.first, slices.middle, slices.last])
    moved = np.floor(work.stored / work.channels * parts / staging.copy_rate)
    moved += staging.far_latency_cycles
    ends = np.array([[False], [True]])
    later = np.maximum(parts[1:], 1.0)
    first = slices.first_cycles
    middle, last = cycles(work, later, staging.near_latency_cycles, begins=False, ends=ends)
    between, is_more = np.maximum(slices.count - 2, 0.0), slices.count > 1
    seen = np.maximum(moved[0] - slack, 0.0)
    seen += np.where(between > 0, np.maximum(moved[1] - first, 0.0), 0.0)
    seen += np.maximum(between - 1, 0.0) * np.maximum(moved[1] - middle, 0.0)
    before = np.where(between > 0, middle, first)
    seen += np.where(is_more, np.maximum(moved[2] - before, 0.0), 0.0)
    run = first + between * middle + np.where(is_more, last, 0.0)
    return seen, run, np.where(is_more, last, first)


def _parts(work: Work[Floats], slices: _Slices) -> tuple[Floats, Floats]:
    """Bytes of the two buffers: of the first and every second slice, and of the others."""
    even = np.maximum(slices.first, np.where(slices.count > 3, slices.middle, 0.0))
    even = np.maximum(even, np.where(slices.count == 3, slices.last, 0.0))
    odd = np.where(slices.count > 2, slices.middle, slices.last)
    stored = work.stored / work.channels / _STEP_BYTES
    return np.ceil(even * stored) * _STEP_BYTES, np.ceil(odd * stored) * _STEP_BYTES
