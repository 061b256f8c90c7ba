"""Blocks of outputs: those that fit the buffers and move least, against plain Python."""

from itertools import product
from math import ceil, prod
from pathlib import Path

import numpy as np
import pytest

from nas_ray.estimate.hardware import read_hardware
from nas_ray.estimate.tiling import Layers, blocks, is_kernel_first, micro_blocks

_DEVICES = Path(__file__).parents[1] / "nas_ray" / "devices"
#: Input and sums in memories of their own, and as shares of one memory.
ARRAYS = {
    name: read_hardware(_DEVICES / name / "device.toml").array
    for name in ("ethos-u85-2048", "ethos-u55-256")
}
#: Height, width, channels, channels in, kernel and stride (height, width), dilation, whether
#: depthwise. Up to 48 channels all depths of a block are equal slices, which are the only ones that
#: the search looks at.
SHAPES = [
    (7, 7, 40, 24, 3, 3, 1, 1, 1, False),
    (20, 9, 32, 128, 3, 3, 2, 2, 1, False),
    (33, 30, 48, 64, 1, 1, 1, 1, 1, False),
    (5, 40, 16, 200, 5, 5, 1, 1, 1, False),
    (1, 1, 48, 300, 1, 1, 1, 1, 1, False),
    (48, 48, 32, 16, 7, 7, 1, 1, 1, False),
    (28, 28, 48, 48, 3, 3, 1, 1, 1, True),
    (17, 40, 32, 32, 5, 5, 2, 2, 1, True),
    (60, 60, 16, 16, 7, 7, 1, 1, 1, True),
    (24, 40, 32, 32, 1, 9, 1, 1, 1, False),
    (24, 40, 32, 32, 9, 1, 2, 1, 1, False),
    (40, 12, 32, 24, 3, 5, 1, 3, 1, False),
    (26, 26, 32, 48, 3, 3, 1, 1, 2, False),
    (26, 26, 32, 48, 3, 3, 1, 1, 8, False),
]


@pytest.fixture(params=ARRAYS.values(), ids=ARRAYS)
def array(request):
    return request.param


def layers_of(shapes, array):
    height, width, channels, channels_in, *sides, depthwise = np.array(shapes, float).T
    kernel_height, kernel_width, stride_height, stride_width, dilation = sides
    micro = micro_blocks(height, width, channels, array)
    micro[depthwise > 0] = array.depthwise_micro_block
    patch = micro[:, :2] if array.shared_bytes else np.full((len(shapes), 2), 4.0)
    return Layers(
        height=height,
        width=width,
        channels=channels,
        channels_in=channels_in,
        kernel_height=np.minimum((kernel_height - 1) * dilation + 1, array.kernel_limit),
        kernel_width=np.minimum((kernel_width - 1) * dilation + 1, array.kernel_limit),
        elements=kernel_height * kernel_width,
        parts=np.prod(
            [
                np.ceil(((side - 1) * dilation + 1) / array.kernel_limit)
                for side in (kernel_height, kernel_width)
            ],
            axis=0,
        ),
        stride_height=stride_height,
        stride_width=stride_width,
        micro=micro,
        depth=np.full(len(shapes), float(array.input_channels[0])),
        patch=patch,
        is_depthwise=depthwise > 0,
    )


def up(value, multiple):
    return ceil(value / multiple) * multiple


class Plain:
    """One layer by the letter of the rule, a block at a time."""

    def __init__(self, layers, n, array):
        self.array = array
        one = {name: values[n].tolist() for name, values in vars(layers).items()}
        self.height, self.width = one["height"], one["width"]
        self.channels, self.channels_in = one["channels"], one["channels_in"]
        self.kernel = (one["kernel_height"], one["kernel_width"])
        self.stride = (one["stride_height"], one["stride_width"])
        self.elements, self.depth, self.parts = one["elements"], one["depth"], one["parts"]
        self.micro, self.patch = one["micro"], one["patch"]
        self.depthwise = one["is_depthwise"]

    def read(self, high, wide):
        sides = zip((high, wide), self.stride, self.kernel, self.patch, strict=True)
        down, across = (up((side - 1) * by + under, step) for side, by, under, step in sides)
        return down, across

    def fits(self, high, wide, deep):
        array, (down, across) = self.array, self.read(high, wide)
        if array.shared_bytes:
            own = ceil(deep / array.cores)
            read = up(own if self.depthwise else min(self.depth, self.channels_in), 8)
            patches = up(2 * up(down * across * read, 1024), array.input_step_bytes)
            sums = up(2 * up(high * wide * up(own, 8) * 4, 1024), array.accumulator_step_bytes)
            return patches + sums <= array.shared_bytes
        if self.depthwise:
            is_part = high < self.height or wide < self.width
            waiting = across * self.micro[0] * self.stride[0] if is_part else 0
            read, sums = (down * across + waiting) * up(deep, 16), high * wide * up(deep, 16) * 4
        else:
            read, sums = 2 * down * across * self.depth, 2 * high * wide * up(deep, 16) * 4
        return read <= array.input_bytes and sums <= array.accumulator_bytes

    def moved(self, high, wide, deep):
        down, across = self.read(high, wide)
        count = self.height / high * self.width / wide
        whole = ceil(self.height / high) * ceil(self.width / wide)
        slices = 1 if self.depthwise else ceil(self.channels / deep)
        outputs = 1 if self.depthwise else self.channels
        weights = self.elements * self.channels_in * outputs * whole
        total = down * across * self.channels_in * count * slices * self.parts + weights
        at_once = deep if self.depthwise else self.depth
        everything = self.height * self.width * prod(self.stride) * self.channels_in
        return total / 2 if everything < down * across * at_once * 2 else total

    def all_blocks(self):
        """All that fit; where channels are split, slices are multiples of 16."""
        sides = (self.height, self.width, self.channels)
        ranges = [
            [step * n for n in range(1, ceil(min(side, limit) / step) + 1)]
            for side, limit, step in zip(sides, self.array.block_limit, self.micro, strict=True)
        ]
        for high, wide, deep in product(*ranges):
            if (deep >= self.channels or deep % 16 == 0) and self.fits(high, wide, deep):
                yield high, wide, deep


@pytest.mark.parametrize("n", range(len(SHAPES)), ids=lambda n: "x".join(map(str, SHAPES[n][:9])))
def test_a_block_fits_and_none_that_fits_moves_less(array, n):
    layers = layers_of(SHAPES, array)
    plain, found = Plain(layers, n, array), blocks(layers, array)[n].tolist()
    assert plain.fits(*found)
    assert plain.moved(*found) == pytest.approx(min(plain.moved(*b) for b in plain.all_blocks()))


def test_a_block_is_a_multiple_of_the_micro_block_and_within_the_limit(array):
    rng = np.random.default_rng(0)
    layers = layers_of(random_shapes(rng, 200), array)
    found = blocks(layers, array)
    assert (found % layers.micro == 0).all()
    assert (found <= np.maximum(array.block_limit, layers.micro)).all()


def random_shapes(rng, count):
    channels = rng.integers(1, 600, count)
    depthwise = rng.random(count) < 0.3
    return np.column_stack(
        [
            *rng.integers(1, 150, (2, count)),
            channels,
            np.where(depthwise, channels, rng.integers(1, 600, count)),
            *rng.choice([1, 3, 5, 7], (2, count)),
            *rng.choice([1, 2], (2, count)),
            rng.choice([1, 2], count),
            depthwise,
        ]
    )


@pytest.mark.parametrize("side", [4, 8])
@pytest.mark.parametrize("channels", [16, 32])
def test_what_fits_whole_is_one_block(array, side, channels):
    """A 1x1 reads as much in however many blocks, but its weights once for each."""
    layers = layers_of([(side, side, channels, 16, 1, 1, 1, 1, 1, False)], array)
    assert Plain(layers, 0, array).fits(side, side, channels)
    assert (blocks(layers, array)[0] >= (side, side, channels)).all()


def test_where_nothing_fits_it_is_the_micro_block(array):
    """Not even the patch under a micro-block of stride 399 would."""
    layers = layers_of([(64, 64, 32, 64, 3, 3, 399, 399, 1, False)], array)
    assert not list(Plain(layers, 0, array).all_blocks())
    assert blocks(layers, array).tolist() == layers.micro.tolist()


def test_a_layer_has_the_same_block_alone_and_among_others(array):
    """In all orders too: layers of one size are searched together, others are not."""
    shapes = random_shapes(np.random.default_rng(1), 150)
    together = blocks(layers_of(shapes, array), array)
    alone = [blocks(layers_of(shapes[n : n + 1], array), array)[0].tolist() for n in range(40)]
    assert together[:40].tolist() == alone
    order = np.random.default_rng(2).permutation(len(shapes))
    assert blocks(layers_of(shapes[order], array), array).tolist() == together[order].tolist()


def test_no_layers_are_no_blocks(array):
    assert blocks(layers_of(np.zeros((0, 10)), array), array).shape == (0, 3)


@pytest.mark.parametrize(
    ("output", "micro"),
    [
        ((8, 8, 64), (2, 2, 64)),
        ((1, 4, 64), (1, 4, 64)),
        ((8, 8, 16), (4, 4, 16)),
        ((1, 1, 1000), (2, 2, 64)),
    ],
    ids=["all_equal_the_first", "flat", "shallow", "vector"],
)
def test_the_micro_block_is_the_one_that_wastes_least(output, micro):
    """Of (2, 2, 64), (1, 4, 64) and (4, 4, 16); a vector of 1000 is 4 * 1024 in the first two."""
    height, width, channels = np.array(output, float)[:, None]
    array = ARRAYS["ethos-u85-2048"]
    assert micro_blocks(height, width, channels, array)[0].tolist() == list(micro)


@pytest.mark.parametrize(
    ("window", "channels_in", "expected"),
    [(1, 64, False), (1, 16, True), (9, 64, True), (1, 40, False), (25, 3, True)],
)
def test_kernel_first_is_taken_where_it_fills_the_lanes_better(window, channels_in, expected):
    """A 1x1 fills one of 2 elements, so 64 channels: 0.5 < 64 / 64. 16: 0.5 >= 16 / 64.

    40 channels: 40 / 48 / 2 = 0.42 < 40 / 64 = 0.63. Of a 3x3 all nine elements count.
    """
    array = ARRAYS["ethos-u85-2048"]
    found = is_kernel_first(np.array([window * 1.0]), np.array([channels_in * 1.0]), array)
    assert found.tolist() == [expected]
