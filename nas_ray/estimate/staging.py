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


@dataclass(frozen=True, kw_only=True)
class Staging:
    """Section [staging] of a device.toml; rates are bytes a cycle.

    `activation_rate` is that of the near memory for activations, in bursts of `burst_bytes`. An
    output leaves in `output_cycles`, or `lookup_cycles` through a table; one of a sum or a product
    alone takes `sum_cycles` or `product_cycles`. Weights are cut at multiples of `slice_channels` channels (0: the micro-block). What is stored for weights, kernel first
    (input channels filled up to a multiple of `kernel_first_group`), depth first, or depthwise:
    bytes a weight, a zero that fills up, a channel, and an operator.
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
    latency: float,
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
    """How channels are sliced, `(N,)`: how many slices, the first, those between and the last."""

    count: Floats
    first: Floats
    middle: Floats
    last: Floats


def copied(work: Work[Floats], hidden: Floats, staging: Staging) -> Copy:
    """What is copied of the weights of passes, each with its `hidden` cycles.

    Minus infinity is the first pass of a network: nothing is copied before it.
    """
    near_latency, is_first = staging.near_latency_cycles, np.isneginf(hidden)
    slack = np.where(is_first, 0.0, hidden)
    copy = np.floor(work.stored / staging.copy_rate) + staging.far_latency_cycles
    far = (work.stored / staging.stream_rate + staging.far_latency_cycles) * work.passes
    near = (work.stored / staging.near_rate + near_latency) * work.passes
    shortest = copy * np.minimum(SPLIT / work.channels, 1.0)
    is_begun = is_first & (work.passes > 1)
    is_begun &= (shortest < far / 10) | (shortest <= _LEAST_CYCLES)
    is_tried = is_begun | (near + np.maximum(copy - slack, 0.0) < far)
    is_tried |= np.floor(work.channels / work.block) > 2
    is_tried |= ~is_first & (shortest < slack) & (work.passes > 1)
    is_long = work.alone > far
    slices, is_full = _sliced(work, slack / copy, copy, is_long, staging)
    seen, run, last = _times(work, slices, np.where(is_begun, _LEAST_CYCLES, slack), staging)
    read = (work.stored / slices.count / staging.near_rate + near_latency) * work.passes
    taken = np.maximum(run + seen, read * slices.count)
    is_noise = is_long & (seen / slices.count < _LEAST_CYCLES)
    taken -= np.where(is_noise, seen, 0.0)
    is_only_run = is_long & is_begun & (slices.count > 1) & (run + seen == taken)
    taken -= np.where(is_only_run, slices.count * _LEAST_CYCLES / 2, 0.0)
    before = np.maximum(work.alone, far)
    is_copied = (work.stored > 0) & is_tried & is_full & (before >= taken)
    is_copied &= (work.passes > 1) | (copy + read * slices.count <= before)
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
    step = np.where(staging.slice_channels > 0, staging.slice_channels, work.micro)
    first = np.maximum(np.floor(np.floor(channels * share) / step) * step, SPLIT)
    first = np.where(share < 1, np.minimum(first, channels), channels)
    before = cycles(work, first, staging.near_latency_cycles, ends=False)
    middle = np.maximum(np.floor(channels * before / copy), SPLIT)
    middle = np.ceil(middle / work.block) * work.block
    rest = channels - first
    between = np.maximum(np.ceil(rest / middle) - 1, 0.0)
    fills = middle / (np.ceil(middle / work.block) * work.block)
    is_full = ~((between > 0) & is_long & (fills < 0.3))
    slices = _Slices(
        count=np.where(rest > 0, 2 + between, 1.0),
        first=first,
        middle=np.where(between > 0, middle, 0.0),
        last=rest - between * middle,
    )
    return slices, is_full


def _times(
    work: Work[Floats], slices: _Slices, slack: Floats, staging: Staging
) -> tuple[Floats, Floats, Floats]:
    """Cycles of copies that are seen, of all slices, and of the last slice."""

    def moved(channels: Floats) -> Floats:
        stored = work.stored * channels / work.channels
        return np.asarray(np.floor(stored / staging.copy_rate) + staging.far_latency_cycles)

    latency, is_one = staging.near_latency_cycles, slices.count == 1
    first = cycles(work, slices.first, latency, ends=is_one)
    some = np.maximum(slices.middle, 1.0)
    middle = np.where(slices.middle > 0, cycles(work, some, latency, begins=False, ends=False), 0)
    rest = np.maximum(slices.last, 1.0)
    last = np.where(is_one, 0.0, cycles(work, rest, latency, begins=False))
    between = np.maximum(slices.count - 2, 0.0)
    seen = np.maximum(moved(slices.first) - slack, 0.0)
    seen += np.where(between > 0, np.maximum(moved(slices.middle) - first, 0.0), 0.0)
    seen += np.maximum(between - 1, 0.0) * np.maximum(moved(slices.middle) - middle, 0.0)
    before = np.where(between > 0, middle, first)
    seen += np.where(is_one, 0.0, np.maximum(moved(slices.last) - before, 0.0))
    run = first + between * middle + last
    return seen, run, np.where(is_one, first, last)


def _parts(work: Work[Floats], slices: _Slices) -> tuple[Floats, Floats]:
    """Bytes of the two buffers: of the first and every second slice, and of the others."""
    even = np.maximum(slices.first, np.where(slices.count > 3, slices.middle, 0.0))
    even = np.maximum(even, np.where(slices.count == 3, slices.last, 0.0))
    odd = np.where(slices.count > 2, slices.middle, slices.last)
    stored = work.stored / work.channels
    up = (np.ceil(part * stored / _STEP_BYTES) * _STEP_BYTES for part in (even, odd))
    return next(up), next(up)
