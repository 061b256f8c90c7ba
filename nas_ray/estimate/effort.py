"""What an operator costs an accelerator in work: cycles of arithmetic, traffic, constants.

Not in time: how fast each is, is learned from measurements (`roofline.py`). Without an [array] in
the profile a convolution is one block, its channels rounded up to the parallelism factor.

Axes: `O` operators.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas_ray.estimate.array import Array as ArithmeticArray
from nas_ray.estimate.operator_labels import VARIANTS
from nas_ray.estimate.operator_table import KINDS, Array, OperatorTable
from nas_ray.estimate.rewriting import Operations, operations
from nas_ray.estimate.tiling import (
    Layers,
    blocks,
    input_patches,
    is_kernel_first,
    micro_blocks,
    round_up,
)

_CONVOLUTIONS = tuple(
    float(KINDS.index(kind))
    for kind in ("conv", "pointwise", "linear", "transposed_conv", "matmul")
)
_BY_CHANNEL = tuple(float(KINDS.index(kind)) for kind in ("depthwise", "pool"))
_REDUCE, _POOL = float(KINDS.index("reduce")), float(KINDS.index("pool"))
#: A compiler makes the mean of a whole image a convolution.
_WHOLE_IMAGE = float(VARIANTS["pool"].index("mean"))
#: The parts of an effort that each bound the time from below.
RESOURCES = (
    *("arithmetic", "outputs", "constants", "weights", "input", "output", "once", "scales"),
    *("near", "moved"),
)


@dataclass(frozen=True, kw_only=True)
class Effort:
    """Work of each operator `(O,)`.

    `bounds` by the names in RESOURCES. `arithmetic` counts cycles, `outputs` what is written
    through the activation unit, `constants` channels times the passes over them, `weights` those
    read in all passes, `once` those of one pass with all constants, `near` and `moved` everything
    that passes the near memory with and without weights. `first_block` is the arithmetic before
    anything is written, `block` `(O, 3)` the block of outputs made at a time, `passes` how often
    constants are read. `operations` says what a compiler makes of the operator, each with a kernel
    of `window` elements in `parts`.
    """

    bounds: dict[str, Array]
    first_block: Array
    block: Array
    micro: Array
    blocks: Array
    passes: Array
    slices: Array
    padded_weights: Array
    is_kernel_first: NDArray[np.bool_]
    operations: Array
    window: Array
    parts: Array


def effort(
    table: OperatorTable, array: ArithmeticArray | None, factor: int, macs_per_cycle: int
) -> Effort:
    """Return the work of each operator of `table` on `array`, or without one on `factor` lanes.

    That of an operator that becomes several operations is the sum of theirs.
    """
    ops = operations(table, array)
    is_line_mean = (table["kind"] == _REDUCE) & (table["kernel_height"] * table["kernel_width"] > 1)
    by_channel = np.isin(table["kind"], _BY_CHANNEL) | is_line_mean
    heavy = by_channel | np.isin(table["kind"], _CONVOLUTIONS)
    shape = np.stack([ops.height, ops.width, ops.channels], axis=1)
    if array is None:
        making = _plain_making(ops, shape, by_channel, factor, macs_per_cycle)
    else:
        is_pool = (table["kind"] == _POOL) & (table["variant"] != _WHOLE_IMAGE)
        making = _block_making(ops, shape, by_channel, is_pool, array)
    made = np.minimum(making.block, shape)
    passes = np.ceil(shape[:, :2] / making.block[:, :2]).prod(axis=1)
    slices = np.ceil(shape[:, 2] / making.block[:, 2])
    count = (shape / made).prod(axis=1)
    has_weights = heavy & (table["weights"] > 0)
    brick = float(array.brick_channels) if array else 1.0
    channels = _padded_channels(shape, making) if array else shape[:, 2]
    constants = np.where(has_weights, passes * channels, 0.0)
    padded = np.where(has_weights, _padded_weights(ops, by_channel, array), 0.0)
    again = np.where(by_channel, 1.0, slices)
    fetched = _patch(ops, made, brick) * ops.parts * passes * again
    read = np.where(heavy, fetched, ops.read)
    written = np.where(heavy, shape[:, 0] * shape[:, 1] * round_up(shape[:, 2], brick), ops.written)
    scales = (array.constant_bytes if array else 0) * constants
    bounds = {
        "arithmetic": np.where(heavy, making.cycles * count, 0.0),
        "outputs": np.where(heavy, made.prod(axis=1) * count, ops.written),
        "constants": constants,
        "weights": np.where(has_weights, passes, 1.0) * ops.weights,
        "input": read,
        "output": written,
        "once": np.where(has_weights, padded + scales, 0.0),
        "scales": scales,
        "near": read + written + padded * passes,
        "moved": read + written,
    }
    return Effort(
        bounds={name: values * ops.count for name, values in bounds.items()},
        first_block=np.where(heavy, making.cycles, 0.0),
        block=making.block,
        micro=making.micro,
        blocks=count * ops.count,
        passes=passes * ops.count,
        slices=slices,
        padded_weights=padded * ops.count,
        is_kernel_first=making.is_kernel_first,
        operations=ops.count,
        window=ops.window,
        parts=ops.parts,
    )


@dataclass(frozen=True, kw_only=True)
class _Making:
    """How outputs are made: block and micro-block `(O, 3)`, and the cycles of one block."""

    block: Array
    micro: Array
    cycles: Array
    is_kernel_first: NDArray[np.bool_]


def _plain_making(
    ops: Operations,
    shape: Array,
    by_channel: NDArray[np.bool_],
    factor: int,
    macs_per_cycle: int,
) -> _Making:
    """One block, its multiply-accumulates with channels rounded up to `factor`."""
    block = np.column_stack([shape[:, :2], round_up(shape[:, 2], factor)])
    inner = np.where(by_channel, 1.0, round_up(ops.channels_in, factor))
    return _Making(
        block=block,
        micro=np.broadcast_to(np.array([1.0, 1.0, factor]), block.shape),
        cycles=block.prod(axis=1) * ops.window * inner / macs_per_cycle,
        is_kernel_first=np.zeros(len(shape), dtype=np.bool_),
    )


def _block_making(
    ops: Operations,
    shape: Array,
    by_channel: NDArray[np.bool_],
    is_pool: NDArray[np.bool_],
    array: ArithmeticArray,
) -> _Making:
    layers, kernel_first = _layers(ops, by_channel, array)
    block = blocks(layers, array)
    made = np.minimum(block, shape)
    return _Making(
        block=block,
        micro=layers.micro,
        cycles=_block_cycles(ops, layers, made, kernel_first, is_pool, array),
        is_kernel_first=kernel_first,
    )


def _padded_channels(shape: Array, making: _Making) -> Array:
    """Channels out, filled up to whole micro-blocks: so many constants are read in a pass."""
    deep = making.block[:, 2]
    rest = round_up(shape[:, 2] % np.maximum(deep, 1), making.micro[:, 2])
    return np.asarray(np.floor(shape[:, 2] / deep) * deep + rest)


def _padded_weights(
    ops: Operations, by_channel: NDArray[np.bool_], array: ArithmeticArray | None
) -> Array:
    """Weights with their channels filled up, as they are stored, and zeros of a dilation."""
    step, brick = (array.weight_channels, array.brick_channels) if array else (1, 1)
    inner = np.where(by_channel, 1.0, round_up(ops.channels_in, step))
    outer = round_up(ops.channels, np.where(by_channel, float(brick), float(step)))
    return np.asarray(ops.window * inner * outer)


def _patch(ops: Operations, made: Array, brick: float) -> Array:
    """Elements of the input under one block."""
    rows = (made[:, 0] - 1) * ops.stride_height + ops.reach_height
    columns = (made[:, 1] - 1) * ops.stride_width + ops.reach_width
    return np.asarray(rows * columns * round_up(ops.channels_in, brick))


def _layers(
    ops: Operations, by_channel: NDArray[np.bool_], array: ArithmeticArray
) -> tuple[Layers, NDArray[np.bool_]]:
    micro = micro_blocks(ops.height, ops.width, ops.channels, array)
    micro[by_channel] = array.depthwise_micro_block
    kernel_first = is_kernel_first(ops.window, ops.channels_in, array)
    shallow, deep = array.input_channels
    layers = Layers(
        height=ops.height,
        width=ops.width,
        channels=ops.channels,
        channels_in=ops.channels_in,
        kernel_height=ops.reach_height,
        kernel_width=ops.reach_width,
        elements=ops.window,
        parts=ops.parts,
        stride_height=ops.stride_height,
        stride_width=ops.stride_width,
        micro=micro,
        depth=np.where(kernel_first, float(shallow), float(deep)),
        patch=input_patches(micro, kernel_first, array),
        is_depthwise=by_channel,
    )
    return layers, kernel_first


def _block_cycles(
    ops: Operations,
    layers: Layers,
    made: Array,
    kernel_first: NDArray[np.bool_],
    is_pool: NDArray[np.bool_],
    array: ArithmeticArray,
) -> Array:
    """Cycles of one block `made` `(O, 3)`: micro-blocks times the steps of each.

    A pooling has no weights to wait for and takes one element of its window at a time.
    """
    steps = np.ceil(made / layers.micro)
    pixels, depth = steps[:, 0] * steps[:, 1], steps[:, 2]
    least = array.weight_cycles * layers.micro[:, 2]
    elements = np.ceil(ops.window / array.kernel_lanes)
    many = np.maximum(least, array.kernel_lanes * pixels) * elements * depth
    at_once = np.minimum(layers.channels_in, layers.depth)
    groups, rounds = np.ceil(at_once / 8), np.ceil(layers.channels_in / at_once)
    deep = np.maximum(least, groups * pixels) * ops.window * depth * rounds
    convolution = np.where(kernel_first, many * groups * rounds, deep)
    pooled = np.maximum(array.kernel_lanes, ops.window) * pixels * depth
    by_channel = np.where(is_pool, pooled, many)
    return np.asarray(np.where(layers.is_depthwise, by_channel, convolution))
