"""How long each pass takes and what it stores of weights, from the blocks that it works in.

The times are those by which ethos-u-vela 5.2.0 decides (Apache-2.0; ethos_u55_performance.cpp,
ethos_u85_performance.cpp), written anew.

Axes: `M` passes that make their output block by block.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import ceil, prod

import numpy as np
from numpy.typing import NDArray

from nas_ray.estimate.array import Array
from nas_ray.estimate.making import Making, image, making_of
from nas_ray.estimate.passes import ELEMENTWISE, Buffer, Pass
from nas_ray.estimate.staging import Floats, Staging, Work, cycles
from nas_ray.estimate.stored_weights import stored_bytes
from nas_ray.estimate.tiling import Layers, blocks, input_patches, is_kernel_first, micro_blocks
from nas_ray.graph import Graph

#: Cycles of a micro-block for one input, and the inputs of an output at least.
_POOL_CYCLES, _POOL_INPUTS = 4, 4
#: A pass without weights whose time is all that counts.
_NO_WORK = Work(*[0.0] * len(Work._fields))._replace(
    channels=1.0, passes=1.0, blocks=1.0, block=1.0, micro=1.0
)


def works(
    graph: Graph,
    passes: Sequence[Pass],
    buffers: Sequence[Buffer],
    staging: Staging,
    array: Array,
) -> tuple[Work[float], ...]:
    """The work of `passes` of `graph`, in their order."""
    makings = {
        n: making_of(graph, one, buffers, array)
        for n, one in enumerate(passes)
        if one.reads and one.kind not in ELEMENTWISE
    }
    found = _made(list(makings.values()), staging, _of_one_core(array)) if makings else []
    known = dict(zip(makings, found, strict=True))
    return tuple(
        known[n] if n in known else _summed(one, staging, array) for n, one in enumerate(passes)
    )


def _of_one_core(array: Array) -> Array:
    """Each core makes blocks of its own, of a part of the channels."""
    height, width, channels = array.depthwise_micro_block
    return replace(
        array,
        micro_blocks=tuple((h, w, c // array.cores) for h, w, c in array.micro_blocks),
        depthwise_micro_block=(height, width, channels // array.cores),
        weight_cycles=array.weight_cycles * array.cores,
    )


def _summed(one: Pass, staging: Staging, array: Array) -> Work[float]:
    """Work number by number."""
    channels, brick = one.shape[-1 if len(one.shape) < 2 else 1], array.brick_channels
    elements = prod(one.shape[2:]) * -(-channels // brick) * brick
    rate = staging.product_cycles if one.kind == "mul" else staging.sum_cycles
    joined = sum(kind in ELEMENTWISE for kind in one.joined)
    return _NO_WORK._replace(alone=float(elements * (rate + joined * staging.output_cycles)))


def _made(makings: Sequence[Making], staging: Staging, array: Array) -> list[Work[float]]:
    channels_in = np.array([one.channels_in for one in makings], dtype=float)
    window = np.array([prod(one.kernel) for one in makings], dtype=float)
    kernel_first = is_kernel_first(window, channels_in, array)
    layers = _layers(makings, channels_in, window, kernel_first, array)
    weights = np.array([one.weights for one in makings], dtype=float)
    stored = stored_bytes(layers, channels_in, window, weights, kernel_first, staging, array)
    found = _blocks(layers, array)
    rows = [
        _timed(one, block, micro, depth, is_first, size, staging, array)
        for one, block, micro, depth, is_first, size in zip(
            *(makings, found, layers.micro, layers.depth, kernel_first, stored), strict=True
        )
    ]
    made = Work(*np.array(rows).T)
    far = np.where(stored > 0, staging.far_latency_cycles, 0.0)
    alone = cycles(made, made.channels, far)
    staged = cycles(made, made.channels, staging.near_latency_cycles)
    made = made._replace(alone=alone, staged=staged)
    return [Work(*row) for row in np.array(made).T.tolist()]


def _layers(
    makings: Sequence[Making],
    channels_in: Floats,
    window: Floats,
    kernel_first: NDArray[np.bool_],
    array: Array,
) -> Layers:
    shape = np.array([one.shape for one in makings], dtype=float)
    stride = np.array([one.stride for one in makings], dtype=float)
    sides = np.array([one.patch for one in makings], dtype=float)
    by_channel = np.array([one.is_by_channel for one in makings])
    micro = micro_blocks(shape[:, 0], shape[:, 1], shape[:, 2], array)
    micro[by_channel] = array.depthwise_micro_block
    limit, (shallow, deep) = array.kernel_limit or np.inf, array.input_channels
    return Layers(
        height=shape[:, 0],
        width=shape[:, 1],
        channels=shape[:, 2],
        channels_in=np.where(by_channel, shape[:, 2], channels_in),
        kernel_height=np.minimum(sides[:, 0], limit),
        kernel_width=np.minimum(sides[:, 1], limit),
        elements=window,
        parts=np.maximum(1, np.ceil(sides / limit)).prod(axis=1),
        stride_height=stride[:, 0],
        stride_width=stride[:, 1],
        micro=micro,
        depth=np.where(kernel_first, float(shallow), float(deep)),
        patch=input_patches(micro, kernel_first, array),
        is_depthwise=by_channel,
    )


#: Blocks found so far: a network and its parts have the same layers.
_FOUND: dict[tuple[Array, tuple[float, ...]], tuple[float, ...]] = {}
_FOUND_AT_MOST = 20_000


def _blocks(layers: Layers, array: Array) -> Floats:
    """`(M, 3)`: as `tiling.blocks`, each layer once."""
    keys = [(array, row) for row in map(tuple, layers.columns().tolist())]
    new = [n for n, key in enumerate(keys) if key not in _FOUND]
    if new:
        if len(_FOUND) > _FOUND_AT_MOST:
            _FOUND.clear()
            new = list(range(len(keys)))
        fields = {name: getattr(layers, name)[new] for name in layers.__dataclass_fields__}
        for n, block in zip(new, blocks(Layers(**fields), array).tolist(), strict=True):
            _FOUND[keys[n]] = tuple(block)
    return np.array([_FOUND[key] for key in keys])


def _timed(
    making: Making,
    block: Floats,
    micro: Floats,
    depth: float,
    is_kernel_first: bool,
    stored: float,
    staging: Staging,
    array: Array,
) -> Work[float]:
    height, width, channels = making.shape
    if array.shared_bytes and height == 1 and width % 2 == 0 and not making.is_by_channel:
        micro = np.array([1.0, 4.0, micro[2]]) if making.kernel[0] == 1 else micro
    rows, columns, deep = min(height, block[0]), min(width, block[1]), float(block[2])
    at_once = ceil(rows / micro[0]) * ceil(columns / micro[1])
    inside = deep if making.is_by_channel else min(making.channels_in, depth)
    return Work(
        stored=float(stored),
        passes=float(ceil(height / rows) * ceil(width / columns)),
        channels=float(channels),
        alone=0.0,
        staged=0.0,
        blocks=ceil(height / micro[0]) * ceil(width / micro[1]) / at_once,
        block=deep,
        micro=float(micro[2]),
        arithmetic=_arithmetic(making, at_once, micro[2], inside, is_kernel_first, array),
        output=rows * columns * _output_cycles(making.one, staging),
        written=rows * columns * _burst(making.writes, columns, deep, staging, array),
        read=_read(making, block, micro, inside, staging, array),
        first_write=staging.near_latency_cycles,
    )


def _output_cycles(one: Pass, staging: Staging) -> float:
    """Cycles in which an output leaves, through its activation and what is joined."""
    kinds = [one.kind, *one.joined]
    cycles = staging.lookup_cycles if "lookup" in kinds[:2] else staging.output_cycles
    return cycles + sum(kind in ELEMENTWISE for kind in one.joined) * staging.output_cycles


def _arithmetic(
    making: Making,
    at_once: int,
    micro: float,
    inside: float,
    is_kernel_first: bool,
    array: Array,
) -> float:
    """Cycles of a block for one step of its channels."""
    rows, columns = making.kernel
    side = array.kernel_limit or max(rows, columns)
    parts = [
        min(side, rows - y) * min(side, columns - x)
        for y in range(0, rows, side)
        for x in range(0, columns, side)
    ]
    if not making.weights:
        return sum(max(_POOL_INPUTS, part) for part in parts) * _POOL_CYCLES * at_once / array.cores
    lanes, least = array.kernel_lanes, array.weight_cycles * micro
    steps, groups, each = sum(ceil(part / lanes) for part in parts), 1, float(lanes * at_once)
    if not making.is_by_channel and is_kernel_first:
        groups = ceil(inside / 8)
    elif not making.is_by_channel:
        steps = sum(parts)
        each = each if array.shared_bytes else inside // 8 * at_once
    # A micro-block alone waits for its sums between two steps.
    waits = 2.0 * (steps - len(parts)) if at_once == 1 else 0.0
    rounds = 1 if making.is_by_channel else ceil(making.channels_in / inside)
    return (max(least, each) * steps + waits) * groups * rounds / array.cores


def _burst(buffer: Buffer, width: float, depth: float, staging: Staging, array: Array) -> float:
    """Cycles to write a channel of a pixel; longer where bursts are not full."""
    brick = array.brick_channels
    together = brick * width
    if buffer.is_linear:
        is_whole = depth <= brick and depth == image(buffer.shape)[2]
        together = depth * width if is_whole else brick
    return max(1.0, staging.burst_bytes / together) / staging.activation_rate


def _read(
    making: Making,
    block: Floats,
    micro: Floats,
    inside: float,
    staging: Staging,
    array: Array,
) -> float:
    """Cycles until the input of the first block is there."""
    sides = [
        ceil(((side - 1) * stride + min(patch, array.kernel_limit or patch)) / step) * step
        for side, stride, patch, step in zip(
            block[:2], making.stride, making.patch, micro[:2], strict=True
        )
    ]
    shape = making.shape if making.one.kind == "linear" else image(making.reads.shape)
    height, width = (min(side, size) for side, size in zip(sides, shape[:2], strict=True))
    together = array.brick_channels * width
    if making.reads.is_linear:
        together = inside * (width if inside == making.channels_in else 1)
    elements = height * width * inside * making.reads.number_bytes
    cycles = int(elements * max(1.0, staging.burst_bytes / together) / staging.activation_rate)
    return staging.near_latency_cycles + float(cycles)
