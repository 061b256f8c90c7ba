"""How long each pass takes and what it stores of weights, from the blocks that it works in.

The times are those by which ethos-u-vela 5.2.0 decides (Apache-2.0; ethos_u55_performance.cpp,
ethos_u85_performance.cpp), written anew.

Axes: `W` passes with weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, prod

import numpy as np

from nas_ray.estimate.array import Array, Block
from nas_ray.estimate.passes import BRICK, Buffer, Pass
from nas_ray.estimate.staging import Floats, Staging, Work, cycles
from nas_ray.estimate.tiling import Layers, blocks, is_kernel_first, micro_blocks, round_up
from nas_ray.graph import Graph, Operator

#: Kernel elements per side that are worked through at once.
_SIDE = 8
#: What a pooling does at least for an output, in cycles of a micro-block.
_POOL_CYCLES = 16
_BY_NUMBER = {"add": "sum_cycles", "sub": "sum_cycles", "mul": "product_cycles"}


@dataclass(frozen=True, kw_only=True)
class _Weighing:
    """A pass with weights: height, width and channels of what it writes, and what it reads."""

    operator: Operator
    shape: Block
    channels_in: int
    reads: Buffer
    writes: Buffer

    @property
    def is_depthwise(self) -> bool:
        return self.operator.kind == "depthwise_conv"

    @property
    def patch(self) -> float:
        """Side of the kernel as it lies on the input."""
        sides = zip(self.operator.kernel, self.operator.dilation, strict=True)
        return prod((k - 1) * d + 1 for k, d in sides) ** 0.5


def works(
    graph: Graph,
    passes: Sequence[Pass],
    buffers: Sequence[Buffer],
    staging: Staging,
    array: Array,
) -> tuple[Work[float], ...]:
    """The work of `passes` of `graph`, in their order."""
    array = _of_one_core(array)
    weighing = {
        n: _weighing(graph, one, buffers) for n, one in enumerate(passes) if one.operator >= 0
    }
    found = iter(_weighed(list(weighing.values()), staging, array) if weighing else ())
    return tuple(
        next(found) if n in weighing else _plain(graph, one, buffers, staging, array)
        for n, one in enumerate(passes)
    )


def _of_one_core(array: Array) -> Array:
    """Each core makes blocks of its own, of a part of the channels."""
    height, width, channels = array.depthwise_micro_block
    return replace(
        array,
        micro_blocks=tuple((h, w, c // array.cores) for h, w, c in array.micro_blocks),
        depthwise_micro_block=(height, width, channels // array.cores),
    )


def _weighing(graph: Graph, one: Pass, buffers: Sequence[Buffer]) -> _Weighing:
    operator = graph.operators[one.operator]
    before, after = graph.shape(operator.inputs[0]), graph.shape(operator.outputs[0])
    reads, writes = buffers[one.reads[0]], buffers[one.writes]
    if operator.kind == "linear":
        height, width = _square(prod(after[:-1]))
        shape, channels_in = (height, width, after[-1]), before[-1]
    else:
        height, width = (1, *after[2:])[-2:]
        parts = ceil(1 / one.share) if operator.kind == "conv" else 1
        shape, channels_in = (height, width, after[1] // parts), before[1] // operator.groups
    if operator.kind == "transposed_conv" and one.share < 1:
        down, across = operator.stride
        rows, columns = (ceil(k / s) for k, s in zip(operator.kernel, operator.stride, strict=True))
        operator = replace(operator, kernel=(rows, columns))
        shape = (ceil(shape[0] / down), ceil(shape[1] / across), shape[2])
    return _Weighing(
        operator=operator, shape=shape, channels_in=channels_in, reads=reads, writes=writes
    )


def _square(rows: int) -> tuple[int, int]:
    """Height and width into which the rows of a matrix are folded."""
    width = max(rows // 16, ceil(rows**0.5))
    while rows % width:
        width += 1
    return rows // width, width


def _weighed(weighing: Sequence[_Weighing], staging: Staging, array: Array) -> list[Work[float]]:
    shape = np.array([one.shape for one in weighing], dtype=float)
    channels_in = np.array([one.channels_in for one in weighing], dtype=float)
    depthwise = np.array([one.is_depthwise for one in weighing])
    window = np.array([prod(one.operator.kernel) for one in weighing], dtype=float)
    kernel_first = is_kernel_first(window, channels_in, array)
    micro = micro_blocks(*shape.T, array)
    micro[depthwise] = array.depthwise_micro_block
    shallow, deep = array.input_channels
    depth = np.where(kernel_first, float(shallow), float(deep))
    layers = Layers(
        height=shape[:, 0],
        width=shape[:, 1],
        channels=shape[:, 2],
        channels_in=np.where(depthwise, shape[:, 2], channels_in),
        kernel=np.array([one.patch for one in weighing]),
        stride=np.array([_stride(one.operator) for one in weighing]),
        micro=micro,
        depth=depth,
        patch=_patches(micro, kernel_first, array),
        is_depthwise=depthwise,
    )
    found = blocks(layers, array)
    stored = _stored(shape[:, 2], channels_in, window, micro[:, 2], kernel_first, depthwise, staging, array)
    rows = zip(weighing, found, micro, depth, kernel_first, stored, strict=True)
    return [_timed(*row, staging, array) for row in rows]


def _stride(operator: Operator) -> float:
    return 1.0 if operator.kind == "transposed_conv" else prod(operator.stride) ** 0.5


def _patches(micro: Floats, kernel_first: np.ndarray, array: Array) -> Floats:
    """`(W, 2)`: heights and widths of which the input is read in multiples."""
    if array.shared_bytes:
        return micro[:, :2].copy()
    flat = np.stack([np.ones(len(micro)), micro[:, 1]], axis=1)
    narrow = np.where(micro[:, :1] == 1, flat, np.array(array.input_patch[1], dtype=float))
    return np.where(kernel_first[:, None], np.array(array.input_patch[0], dtype=float), narrow)


def _stored(
    channels: Floats,
    channels_in: Floats,
    window: Floats,
    micro: Floats,
    kernel_first: np.ndarray,
    depthwise: np.ndarray,
    staging: Staging,
    array: Array,
) -> Floats:
    """`(W,)`: bytes of weights, scales and biases as stored."""
    deep = float(array.input_channels[1])
    inside = np.where(depthwise, 1.0, channels_in)
    group = np.where(depthwise, 1.0, np.where(kernel_first, staging.kernel_first_group, deep))
    lanes = np.where(depthwise | kernel_first, float(array.kernel_lanes), 1.0)
    outside = np.where(depthwise, 8.0, micro)
    weights = channels * inside * window
    filled = round_up(channels, outside) * round_up(inside, group) * round_up(window, lanes)
    rows = np.where(
        depthwise[:, None],
        staging.depthwise_bytes,
        np.where(kernel_first[:, None], staging.kernel_first_bytes, staging.depth_first_bytes),
    )
    parts = [weights, filled - weights, round_up(channels, BRICK), np.ones(len(channels))]
    return np.asarray(np.rint((rows * np.stack(parts, axis=1)).sum(axis=1) / BRICK) * BRICK)


def _timed(
    one: _Weighing,
    found: Floats,
    micro: Floats,
    depth: float,
    is_kernel_first: bool,
    stored: float,
    staging: Staging,
    array: Array,
) -> Work[float]:
    height, width, channels = one.shape
    if array.shared_bytes and height == 1 and width % 2 == 0 and not one.is_depthwise:
        micro = np.array([1.0, 4.0, micro[2]]) if one.operator.kernel[0] == 1 else micro
    made_height, made_width = min(height, found[0]), min(width, found[1])
    at_once = ceil(made_height / micro[0]) * ceil(made_width / micro[1])
    pixels = made_height * made_width
    block = float(found[2])
    inside = block if one.is_depthwise else min(one.channels_in, depth)
    lookup = one.operator.activation not in {"", "relu", "relu6", "silu", "hardsigmoid"}
    made = Work(
        stored=float(stored),
        passes=float(ceil(height / made_height) * ceil(width / made_width)),
        channels=float(channels),
        alone=0.0,
        blocks=ceil(height / micro[0]) * ceil(width / micro[1]) / at_once,
        block=block,
        micro=float(micro[2]),
        arithmetic=_arithmetic(one, at_once, micro[2], inside, is_kernel_first, array),
        output=pixels * (staging.lookup_cycles if lookup else staging.output_cycles),
        written=pixels * _burst(one.writes, made_width, block, staging) / staging.activation_rate,
        read=_read(one, found, micro, inside, staging),
        first_write=staging.near_latency_cycles,
    )
    alone = cycles(_as_array(made), np.array([made.channels]), staging.far_latency_cycles)
    return made._replace(alone=float(alone[0]))


def _as_array(work: Work[float]) -> Work[Floats]:
    return Work(*np.array([work]).T)


def _arithmetic(
    one: _Weighing, at_once: int, micro: float, inside: float, is_kernel_first: bool, array: Array
) -> float:
    """Cycles of a block for one step of its channels."""
    lanes, least = array.kernel_lanes, array.weight_cycles * array.cores * micro
    parts = [
        min(_SIDE, one.operator.kernel[0] - y) * min(_SIDE, one.operator.kernel[1] - x)
        for y in range(0, one.operator.kernel[0], _SIDE)
        for x in range(0, one.operator.kernel[1], _SIDE)
    ]
    steps, groups = sum(ceil(part / lanes) for part in parts), 1
    each = float(lanes * at_once)
    if not one.is_depthwise and is_kernel_first:
        groups = ceil(inside / 8)
    elif not one.is_depthwise:
        steps = sum(parts)
        each = each if array.shared_bytes else inside // 8 * at_once
    # A micro-block alone waits for its sums between two steps.
    waits = 2.0 * (steps - len(parts)) if at_once == 1 else 0.0
    rounds = 1 if one.is_depthwise else ceil(one.channels_in / inside)
    return (max(least, each) * steps + waits) * groups * rounds / array.cores


def _burst(buffer: Buffer, width: float, depth: float, staging: Staging) -> float:
    """How much longer writing takes than in whole bursts."""
    whole = depth <= BRICK and depth == buffer.shape[-1 if len(buffer.shape) == 2 else 1]
    together = depth * width if buffer.is_linear and whole else BRICK
    if not buffer.is_linear:
        together = BRICK * width
    return max(1.0, staging.burst_bytes / together)


def _read(
    one: _Weighing, found: Floats, micro: Floats, inside: float, staging: Staging
) -> float:
    """Cycles until the input of the first block is there."""
    stride, patch = _stride(one.operator), min(one.patch, _SIDE)
    sides = [ceil(((side - 1) * stride + patch) / m) * m for side, m in zip(found, micro[:2])]
    shape = one.reads.shape
    image = (1, *shape[2:])[-2:] if len(shape) > 2 else (1, 1)
    if one.operator.kind == "linear":
        image = one.shape[:2]
    height, width = (min(side, size) for side, size in zip(sides, image, strict=True))
    together = inside if one.reads.is_linear else BRICK * width
    if one.reads.is_linear and inside == one.channels_in:
        together = inside * width
    elements = height * width * min(inside, one.channels_in if not one.is_depthwise else inside)
    factor = max(1.0, staging.burst_bytes / together)
    return staging.near_latency_cycles + float(int(elements * factor / staging.activation_rate))


def _plain(
    graph: Graph, one: Pass, buffers: Sequence[Buffer], staging: Staging, array: Array
) -> Work[float]:
    """A pass without weights: its cycles are all that counts."""
    del graph
    is_copy = one.kind == "copy" and one.reads
    shape = buffers[one.reads[0] if is_copy else one.writes].shape
    sides = (1, *shape[2:])[-2:] if len(shape) > 2 else (1, 1)
    channels = shape[1] if len(shape) > 1 else 1
    elements = prod(sides) * -(-channels // BRICK) * BRICK
    if one.kind in _BY_NUMBER:
        taken = elements * getattr(staging, _BY_NUMBER[one.kind])
    else:
        micro = array.depthwise_micro_block
        steps = ceil(sides[0] / micro[0]) * ceil(sides[1] / micro[1]) * ceil(channels / micro[2])
        window = prod(buffers[one.reads[0]].shape[2:]) if one.kind == "mean" else one.window
        taken = max(_POOL_CYCLES, 4 * window) * steps / array.cores
        if one.kind == "activation":
            taken = max(taken, elements * staging.lookup_cycles)
    nothing = Work(*np.zeros(len(Work._fields)).tolist())
    return nothing._replace(
        channels=1.0, passes=1.0, blocks=1.0, block=1.0, micro=1.0, alone=float(taken)
    )
