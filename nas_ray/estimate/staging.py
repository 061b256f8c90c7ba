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

    It takes `alone` cycles with its constants in the far memory, and `staged` with them near. Its
    outputs are made in `blocks` of `block` channels, in steps of `micro`: `arithmetic` cycles a
    step, `output` and `written` a channel of a block, `read` before the first and `first_write`
    before the first is away.
    """

    stored: Number
    passes: Number
    channels: Number
    alone: Number
    staged: Number
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

    `seen` are the cycles of copies that nothing hides, `run` those of all slices, and `end` those
    of the last. Slices between that do not fill their block make `is_full` false.
    """

    number: Floats
    first: Floats
    middle: Floats
    last: Floats
    seen: Floats
    run: Floats
    end: Floats
    is_full: NDArray[np.bool_]


def copied(work: Work[Floats], hidden: Floats, staging: Staging) -> Copy:
    """What is copied of the weights of passes, each with its `hidden` cycles.

    Minus infinity is the first pass of a network: nothing is copied before it.
    """
    near_latency, is_first = staging.near_latency_cycles, np.isneginf(hidden)
    slack = np.where(is_first, 0.0, hidden)
    copy = np.floor(work.stored / staging.copy_rate) + staging.far_latency_cycles
    far = (work.stored / staging.stream_rate + staging.far_latency_cycles) * work.passes
    near = (work.stored / staging.near_rate + near_latency) * work.passes
    shortest, is_again = copy * np.minimum(SPLIT / work.channels, 1.0), work.passes > 1
    is_begun = is_first & is_again & ((shortest < far / 10) | (shortest <= _LEAST_CYCLES))
    is_tried = is_begun | (near + np.maximum(copy - slack, 0.0) < far)
    is_tried |= (np.floor(work.channels / work.block) > 2) | (
        ~is_first & (shortest < slack) & is_again
    )
    is_tried &= work.stored > 0
    if not is_tried.any():
        nothing = np.zeros_like(work.stored)
        return Copy(most=nothing, early=nothing, late=nothing, hides=work.alone)
    is_long = work.alone > far
    share = _share_ahead(work.channels, slack / copy, is_long)
    covered = np.where(is_begun, _LEAST_CYCLES, slack)
    slices = _whole(work, copy - covered)
    cut = np.flatnonzero(is_tried & (share < 1))
    if len(cut):
        parts = Work(*(one[cut] for one in work))
        found = _sliced(parts, share[cut], copy[cut], covered[cut], is_long[cut], staging)
        for whole, part in zip(slices, found, strict=True):
            whole[cut] = part
    is_better = _is_better(work, slices, far, is_long & is_begun, staging)
    read = (work.stored / slices.number / staging.near_rate + near_latency) * work.passes
    is_soon = copy + read * slices.number <= np.maximum(work.alone, far)
    is_copied = is_tried & slices.is_full & is_better & (is_again | is_soon)
    even, odd = (np.where(is_copied, one, 0.0) for one in _parts(work, slices))
    return Copy(
        most=even + odd,
        early=np.where(is_first, 0.0, even),
        late=np.where(slices.number % 2 > 0, even, odd),
        hides=np.where(is_copied, slices.end, work.alone),
    )


def _is_better(
    work: Work[Floats],
    slices: _Slices,
    far: Floats,
    is_long_begun: NDArray[np.bool_],
    staging: Staging,
) -> NDArray[np.bool_]:
    """Whether slices with their copies take no longer than reading from afar."""
    latency = staging.near_latency_cycles
    read = (work.stored / slices.number / staging.near_rate + latency) * work.passes
    taken = np.maximum(slices.run + slices.seen, read * slices.number)
    is_only_run = is_long_begun & (slices.number > 1) & (slices.run + slices.seen == taken)
    # Where arithmetic takes longest, what is seen of short copies is noise of the estimate.
    is_noise = (work.alone > far) & (slices.seen / slices.number < _LEAST_CYCLES)
    is_only_run &= ~is_noise | (slices.seen == 0)
    taken = taken - np.where(is_noise, slices.seen, 0.0)
    taken -= np.where(is_only_run, slices.number * _LEAST_CYCLES / 2, 0.0)
    return np.asarray(np.maximum(work.alone, far) >= taken)


def _share_ahead(channels: Floats, share: Floats, is_long: NDArray[np.bool_]) -> Floats:
    """The share of channels that is copied ahead where a `share` of the copy is hidden."""
    least = np.minimum(SPLIT / channels, 1.0)
    share = np.minimum(share, 1.0)
    share = np.where(1 - np.floor(share / least) * least < least / 2, 1.0, share)
    half = np.clip(np.ceil(np.floor(channels / 2) / SPLIT) * SPLIT / channels, 0.5, 1.0)
    # Half ahead is enough for a pass that takes longer than a far read of its weights.
    share = np.where(is_long & (share > 0.5) & (share < 1), half, share)
    return np.maximum(share, least)


def _whole(work: Work[Floats], seen: Floats) -> _Slices:
    """All channels in one slice."""
    return _Slices(
        number=np.ones_like(work.channels),
        first=work.channels.copy(),
        middle=np.zeros_like(work.channels),
        last=np.zeros_like(work.channels),
        seen=np.maximum(seen, 0.0),
        run=work.staged.copy(),
        end=work.staged.copy(),
        is_full=np.ones(len(work.channels), dtype=np.bool_),
    )


def _sliced(
    work: Work[Floats],
    share: Floats,
    copy: Floats,
    slack: Floats,
    is_long: NDArray[np.bool_],
    staging: Staging,
) -> _Slices:
    """Slices of channels, of which a `share` goes ahead and `slack` cycles hide the first copy."""
    channels, latency = work.channels, staging.near_latency_cycles
    step = float(staging.slice_channels) or work.micro
    first = np.maximum(np.floor(np.floor(channels * share) / step) * step, SPLIT)
    first = np.minimum(first, channels)
    rest = channels - first
    before = cycles(work, first, latency, ends=rest == 0)
    middle = np.maximum(np.floor(channels * before / copy), SPLIT)
    middle = np.ceil(middle / work.block) * work.block
    between = np.maximum(np.ceil(rest / middle) - 1, 0.0)
    fills = middle / (np.ceil(middle / work.block) * work.block)
    is_full = ~((between > 0) & is_long & (fills < _FULL))
    middle = np.where(between > 0, middle, 0.0)
    parts = np.stack([first, middle, rest - between * middle])
    moved = np.floor(work.stored / channels * parts / staging.copy_rate)
    moved += staging.far_latency_cycles
    ends, later = np.array([[False], [True]]), np.maximum(parts[1:], 1.0)
    each, end = cycles(work, later, latency, begins=False, ends=ends)
    is_more = rest > 0
    seen = np.maximum(moved[0] - slack, 0.0)
    seen += np.where(between > 0, np.maximum(moved[1] - before, 0.0), 0.0)
    seen += np.maximum(between - 1, 0.0) * np.maximum(moved[1] - each, 0.0)
    hides = np.where(between > 0, each, before)
    seen += np.where(is_more, np.maximum(moved[2] - hides, 0.0), 0.0)
    return _Slices(
        number=np.where(is_more, 2 + between, 1.0),
        first=first,
        middle=middle,
        last=parts[2],
        seen=seen,
        run=before + between * each + np.where(is_more, end, 0.0),
        end=np.where(is_more, end, before),
        is_full=is_full,
    )


def _parts(work: Work[Floats], slices: _Slices) -> tuple[Floats, Floats]:
    """Bytes of the two buffers: of the first and every second slice, and of the others."""
    even = np.maximum(slices.first, np.where(slices.number > 3, slices.middle, 0.0))
    even = np.maximum(even, np.where(slices.number == 3, slices.last, 0.0))
    odd = np.where(slices.number > 2, slices.middle, slices.last)
    stored = work.stored / work.channels / _STEP_BYTES
    return np.ceil(even * stored) * _STEP_BYTES, np.ceil(odd * stored) * _STEP_BYTES
