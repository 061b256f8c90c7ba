"""Which block of outputs an accelerator makes at a time: the one that moves least.

Of all blocks whose input and sums fit the buffers, the compiler takes the one for which inputs and
weights are fetched least often; the rule is that of ethos-u-vela (Apache-2.0), written anew:

    input fetches  = patch of the input * channels in * blocks (not rounded) * slices of channels
                     * parts of the kernel
    weight fetches = kernel elements * channels in * channels out * blocks (rounded up)

halved where two patches hold the whole input. All shapes are searched, vectorised: `O` operators,
`A` heights and `B` widths of a block, and a few ways to slice the channels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas_ray.estimate.array import Array as ArithmeticArray

Array = NDArray[np.float64]

#: Into how many slices the channels may go.
_SLICES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 48, 64)
#: Shapes of blocks judged at once: temporaries stay in the cache.
_AT_ONCE = 60_000
#: Where channels are split, slices are multiples of this many.
_SPLIT = 16
_ACCUMULATOR_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class Layers:
    """Convolutions and poolings, a row each: shapes of the output, of the kernel, and the input.

    The kernel is what it covers of the input, dilation and all, or the largest part of it that is
    worked on at a time; there are `parts` of them. `elements` are those of the whole.
    `micro` `(O, 3)` is the micro-block, `depth` how many input channels are worked on at a time,
    `patch` `(O, 2)` what the input is read in multiples of. `is_depthwise` layers make each output
    channel from one of the input.
    """

    height: Array
    width: Array
    channels: Array
    channels_in: Array
    kernel_height: Array
    kernel_width: Array
    elements: Array
    parts: Array
    stride_height: Array
    stride_width: Array
    micro: Array
    depth: Array
    patch: Array
    is_depthwise: NDArray[np.bool_]

    def columns(self) -> Array:
        """Return all as columns, `(O, 17)`."""
        plain = (self.height, self.width, self.channels, self.channels_in, self.elements)
        sides = (self.kernel_height, self.kernel_width, self.stride_height, self.stride_width)
        rest = (self.micro.T, self.depth, self.patch.T, self.is_depthwise, self.parts)
        return np.vstack([*plain, *sides, *rest]).T.astype(np.float64)


def round_up(values: Array, multiple: Array | float) -> Array:
    """The least multiples that are not below `values`."""
    return np.asarray(np.ceil(values / multiple) * multiple)


def micro_blocks(height: Array, width: Array, channels: Array, array: ArithmeticArray) -> Array:
    """`(O, 3)`: for each output the micro-block that wastes least, the first of equals."""
    best = np.zeros((len(height), 3))
    least = np.full(len(height), np.inf)
    for block in array.micro_blocks:
        made = round_up(height, block[0]) * round_up(width, block[1]) * round_up(channels, block[2])
        best[made < least] = block
        least = np.minimum(made, least)
    return best


def is_kernel_first(
    kernel_elements: Array, channels_in: Array, array: ArithmeticArray
) -> NDArray[np.bool_]:
    """Whether lanes are fuller with several kernel elements at a time than with more channels."""
    multiple, least = array.kernel_step
    rest = kernel_elements % multiple
    over = np.maximum(rest, least) if least < multiple else np.where(rest > 0, multiple, 0)
    counted = kernel_elements - rest + over
    shallow, deep = array.input_channels
    few = 8 if array.shared_bytes else shallow
    kernel_first = channels_in / round_up(channels_in, few) * kernel_elements / counted
    result = kernel_first >= channels_in / round_up(channels_in, deep)
    return np.asarray(result | (channels_in <= 8) if array.shared_bytes else result)


def input_patches(micro: Array, kernel_first: NDArray[np.bool_], array: ArithmeticArray) -> Array:
    """Return `(O, 2)`: the heights and widths in multiples of which the input is read."""
    if array.shared_bytes:
        return micro[:, :2].copy()
    shallow, deep = (np.array(patch, dtype=np.float64) for patch in array.input_patch)
    # Depth first, a flat micro-block reads a flat patch.
    flat = np.stack([np.ones(len(micro)), micro[:, 1]], axis=1)
    narrow = np.where(micro[:, :1] == 1, flat, deep)
    return np.where(kernel_first[:, None], shallow, narrow)


def blocks(layers: Layers, array: ArithmeticArray) -> Array:
    """`(O, 3)`: height, width and channels of the block for each layer."""
    rows, place = np.unique(layers.columns(), axis=0, return_inverse=True)
    found = np.zeros((len(rows), 3))
    limit = array.block_limit
    steps = np.ceil(np.minimum(rows[:, :2], limit[:2]) / rows[:, 9:11]).astype(int)
    order = np.argsort(steps.max(axis=1), kind="stable")
    start = 0
    while start < len(order):
        few = order[start : start + _AT_ONCE]
        most = np.maximum.accumulate(steps[few], axis=0).prod(axis=1)
        count = max(1, int(np.searchsorted(most * np.arange(1, len(few) + 1), _AT_ONCE)))
        few = few[:count]
        found[few] = _search(rows[few], steps[few], array)
        start += count
    return found[place.ravel()]


def _search(rows: Array, steps: NDArray[np.int_], array: ArithmeticArray) -> Array:
    """`(O, 3)`: the best block of each of `rows`, whose sides have `steps` `(O, 2)` sizes."""
    candidates = _candidates(rows, steps)
    best = np.full(candidates.pixels.shape, np.inf)
    deep = np.zeros(candidates.pixels.shape)
    for slices in _SLICES:
        channels = candidates.sliced(slices, array)
        moved = np.where(candidates.fit(channels, array), candidates.moved(channels), np.inf)
        better = moved < best * (1 - 1e-9)
        best, deep = np.where(better, moved, best), np.where(better, channels, deep)
    which = np.arange(len(rows))
    place = best.reshape(len(rows), -1).argmin(axis=1)
    row, column = np.divmod(place, candidates.widths.shape[1])
    sides = (candidates.heights[which, row], candidates.widths[which, column])
    found = np.stack([*sides, deep[which, row, column]], axis=1)
    none = ~np.isfinite(best[which, row, column])
    found[none] = rows[none, 9:12]
    return found


@dataclass(frozen=True, kw_only=True)
class _Candidates:
    """Shapes of blocks: `heights` `(O, A)`, `widths` `(O, B)`, the others broadcast to `(O, A, B)`.

    `pixels` of output and the `patch` of input under them, which is halo and all; a `row` more of
    it waits at the edge of a depthwise block. `blocks` and `whole_blocks` count those of an output.
    """

    heights: Array
    widths: Array
    is_inside: NDArray[np.bool_]
    is_part: NDArray[np.bool_]
    pixels: Array
    patch: Array
    row: Array
    blocks: Array
    whole_blocks: Array
    channels: Array
    channels_in: Array
    micro_depth: Array
    depth: Array
    kernel_elements: Array
    parts: Array
    whole_input: Array
    is_depthwise: NDArray[np.bool_]

    def sliced(self, slices: int, array: ArithmeticArray) -> Array:
        """Channels of a block where those of the output go into so many slices."""
        channels = round_up(self.channels / slices, self.micro_depth)
        split = round_up(channels, np.maximum(self.micro_depth, _SPLIT))
        channels = np.where(channels < self.channels, split, channels)
        most = np.minimum(round_up(self.channels, self.micro_depth), array.block_limit[2])
        channels = np.maximum(np.minimum(channels, most), self.micro_depth)
        return np.asarray(channels * np.ones_like(self.pixels))

    def moved(self, channels: Array) -> Array:
        """Elements fetched for the whole output."""
        again = np.where(self.is_depthwise, 1.0, np.ceil(self.channels / channels))
        outputs = np.where(self.is_depthwise, 1.0, self.channels)
        weights = self.kernel_elements * self.whole_blocks * self.channels_in * outputs
        fetched = self.patch * self.blocks * again * self.parts * self.channels_in + weights
        at_once = np.where(self.is_depthwise, channels, self.depth)
        return np.where(self.whole_input < self.patch * at_once * 2, fetched / 2, fetched)

    def fit(self, channels: Array, array: ArithmeticArray) -> NDArray[np.bool_]:
        """Whether blocks of so many channels fit the buffers."""
        if array.shared_bytes:
            return self.is_inside & self._fit_shared(channels, array)
        times = np.where(self.is_depthwise, 1, 2)
        waiting = np.where(self.is_depthwise & self.is_part, self.row, 0.0)
        deep = np.where(self.is_depthwise, round_up(channels, _SPLIT), self.depth)
        fits = (self.patch + waiting) * deep * times <= array.input_bytes
        sums = self.pixels * round_up(channels, _SPLIT) * _ACCUMULATOR_BYTES * times
        return np.asarray(self.is_inside & fits & (sums <= array.accumulator_bytes))

    def _fit_shared(self, channels: Array, array: ArithmeticArray) -> NDArray[np.bool_]:
        own = np.ceil(channels / array.cores)
        read = round_up(np.minimum(self.depth, self.channels_in), 8)
        deep = round_up(np.where(self.is_depthwise, own, read), 8)
        patches = round_up(2 * round_up(self.patch * deep, 1024), array.input_step_bytes)
        sums = round_up(self.pixels * round_up(own, 8) * _ACCUMULATOR_BYTES, 1024)
        return np.asarray(
            patches + round_up(2 * sums, array.accumulator_step_bytes) <= array.shared_bytes
        )


def _candidates(rows: Array, steps: NDArray[np.int_]) -> _Candidates:
    """All shapes of blocks for `rows`, columns as in `Layers.columns`."""
    height, width, channels, channels_in, elements = rows[:, :5].T
    kernel_height, kernel_width, stride_height, stride_width = rows[:, 5:9].T
    micro_height, micro_width, micro_depth, depth, patch_height, patch_width = rows[:, 9:15].T
    down, across = (np.arange(1, steps[:, axis].max() + 1) for axis in (0, 1))
    heights, widths = down * micro_height[:, None], across * micro_width[:, None]
    rows_in = _input_side(heights, kernel_height, stride_height, patch_height)
    columns_in = _input_side(widths, kernel_width, stride_width, patch_width)
    high, wide = height[:, None] / heights, width[:, None] / widths
    inside = (down <= steps[:, :1])[:, :, None] & (across <= steps[:, 1:])[:, None, :]
    whole_input = height * stride_height * width * stride_width * channels_in
    return _Candidates(
        heights=heights,
        widths=widths,
        is_inside=inside,
        is_part=(high > 1)[:, :, None] | (wide > 1)[:, None, :],
        pixels=heights[:, :, None] * widths[:, None, :],
        patch=rows_in[:, :, None] * columns_in[:, None, :],
        row=columns_in[:, None, :] * (micro_height * stride_height)[:, None, None],
        blocks=high[:, :, None] * wide[:, None, :],
        whole_blocks=np.ceil(high)[:, :, None] * np.ceil(wide)[:, None, :],
        channels=channels[:, None, None],
        channels_in=channels_in[:, None, None],
        micro_depth=micro_depth[:, None, None],
        depth=depth[:, None, None],
        kernel_elements=elements[:, None, None],
        parts=rows[:, 16, None, None],
        whole_input=whole_input[:, None, None],
        is_depthwise=rows[:, 15, None, None] > 0,
    )


def _input_side(sides: Array, kernel: Array, stride: Array, multiple: Array) -> Array:
    """Height or width of the input under outputs of `sides` `(O, A)`, in whole patches."""
    return round_up((sides - 1) * stride[:, None] + kernel[:, None], multiple[:, None])
