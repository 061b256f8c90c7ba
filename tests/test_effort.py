"""The work of an operator, by hand arithmetic."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from nas_ray.estimate.effort import RESOURCES, effort
from nas_ray.estimate.hardware import read_hardware
from nas_ray.estimate.operator_table import operator_table
from nas_ray.graph import trace

_DEVICES = Path(__file__).parents[1] / "nas_ray" / "devices"
FACTOR, MACS_PER_CYCLE = 16, 2048
ARRAY = read_hardware(_DEVICES / "ethos-u85-2048" / "device.toml").array
BOTH = pytest.mark.parametrize("array", [None, ARRAY], ids=["plain", "array"])


def work_of(layer, shape, array=None, factor=FACTOR):
    with torch.device("meta"):
        table = operator_table([trace(layer.to("meta"), torch.empty(1, *shape))])
    return table, effort(table, array, factor, MACS_PER_CYCLE)


def bound(layer, shape, name, array=None, factor=FACTOR):
    (value,) = work_of(layer, shape, array, factor)[1].bounds[name]
    return value


#: 24 channels made of 16, 8 x 8 outputs; a block holds them all. On the array they are 32 in
#: memory, two bricks of 16, and each has 10 bytes of constants. Without one neither is known.
POINTWISE = {
    "outputs": 8 * 8 * 24,
    "constants": 32,
    "weights": 16 * 24,
    "input": 8 * 8 * 16,
    "output": 8 * 8 * 32,
    "once": 16 * 24 + 10 * 32,
    "scales": 10 * 32,
    "near": 8 * 8 * 16 + 8 * 8 * 32 + 16 * 24,
    "moved": 8 * 8 * 16 + 8 * 8 * 32,
}
#: The patch under the outputs is 10 x 10, padding included.
THREE = POINTWISE | {
    "weights": 9 * 16 * 24,
    "input": 10 * 10 * 16,
    "once": 9 * 16 * 24 + 10 * 32,
    "near": 10 * 10 * 16 + 8 * 8 * 32 + 9 * 16 * 24,
    "moved": 10 * 10 * 16 + 8 * 8 * 32,
}
PLAIN_POINTWISE = POINTWISE | {
    "constants": 24,
    "output": 8 * 8 * 24,
    "once": 16 * 24,
    "scales": 0,
    "near": 8 * 8 * 16 + 8 * 8 * 24 + 16 * 24,
    "moved": 8 * 8 * 16 + 8 * 8 * 24,
}
PLAIN_THREE = PLAIN_POINTWISE | {
    "weights": 9 * 16 * 24,
    "input": 10 * 10 * 16,
    "once": 9 * 16 * 24,
    "near": 10 * 10 * 16 + 8 * 8 * 24 + 9 * 16 * 24,
    "moved": 10 * 10 * 16 + 8 * 8 * 24,
}
BOUNDS = {
    ("pointwise", "plain"): PLAIN_POINTWISE,
    ("three", "plain"): PLAIN_THREE,
    ("pointwise", "array"): POINTWISE,
    ("three", "array"): THREE,
}
#: Without an array, 64 pixels times 32 * 16 padded channels (times 9) by 2048. With one, micro-
#: blocks of 4 x 4 x 16 outputs, 2 x 2 x 2 of them: each takes, for each 8 of 16 channels and each 4
#: kernel elements (begun), max(16 channels of weights, 4 lanes * 4 micro-blocks side by side).
CYCLES = {
    ("pointwise", "plain"): 64 * 32 * 16 / 2048,
    ("three", "plain"): 64 * 32 * 16 * 9 / 2048,
    ("pointwise", "array"): 2 * 2 * 1 * 16,
    ("three", "array"): 2 * 2 * 3 * 16,
}


@BOTH
@pytest.mark.parametrize(("name", "kernel"), [("pointwise", 1), ("three", 3)], ids=["1x1", "3x3"])
def test_a_convolution_by_hand(name, kernel, array):
    layer = nn.Conv2d(16, 24, kernel, padding=kernel // 2)
    _, work = work_of(layer, (16, 8, 8), array)
    place = (name, "plain" if array is None else "array")
    cycles = CYCLES[place]
    expected = BOUNDS[place] | {"arithmetic": cycles}
    assert {key: float(value[0]) for key, value in work.bounds.items()} == expected
    assert (work.passes[0], work.slices[0], work.blocks[0]) == (1, 1, 1)
    assert work.first_block[0] == cycles
    assert work.padded_weights[0] == kernel**2 * 16 * 24


def test_depth_first_by_hand():
    """A 1x1 of 128 channels to 16 at 8 x 8, 64 channels at a time, in two rounds.

    2 x 2 micro-blocks, eight groups of 8 channels: max(16, 8 * 4) * 2 = 64 cycles.
    """
    _, work = work_of(nn.Conv2d(128, 16, 1), (128, 8, 8), ARRAY)
    assert not work.is_kernel_first[0]
    assert work.bounds["arithmetic"][0] == 64


def test_a_depthwise_convolution_by_hand():
    """32 channels in two micro-blocks of 16, 2 x 2 of them for 8 x 8: max(16, 4 * 4) * 3 * 2."""
    layer = nn.Conv2d(32, 32, 3, padding=1, groups=32)
    _, work = work_of(layer, (32, 8, 8), ARRAY)
    assert work.bounds["arithmetic"][0] == 96
    # Without an array a channel is one lane of many: 64 pixels * 32 * 9.
    assert bound(layer, (32, 8, 8), "arithmetic") == 64 * 32 * 9 / 2048
    assert work.padded_weights[0] == 9 * 32


@BOTH
def test_all_resources_have_a_bound_for_each_operator(array):
    model = nn.Sequential(nn.Conv2d(8, 16, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(144, 3))
    table, work = work_of(model, (8, 8, 8), array)
    assert set(work.bounds) == set(RESOURCES)
    assert len(table) == 3  # the view is none
    for values in work.bounds.values():
        assert values.shape == (3,)
        assert (values >= 0).all() and np.isfinite(values).all()  # noqa: PT018 - one range


@pytest.mark.parametrize("factor", [8, 16, 32])
def test_channels_count_up_to_the_next_multiple_of_the_factor(factor):
    """On `factor` lanes one channel more than a multiple costs as much as the next multiple."""

    def cycles(channels):
        return bound(nn.Conv2d(64, channels, 3), (64, 9, 9), "arithmetic", factor=factor)

    assert cycles(2 * factor + 1) == cycles(3 * factor) == 1.5 * cycles(2 * factor)


def test_a_block_counts_micro_blocks_begun():
    """With an array, 17 channels are two micro-blocks of 16, as 32 are."""

    def cycles(channels):
        return bound(nn.Conv2d(16, channels, 3, padding=1), (16, 8, 8), "arithmetic", ARRAY)

    assert cycles(17) == cycles(32) == 2 * cycles(16)


def test_weights_are_read_once_in_each_pass():
    """A block is at most 128 x 128: 256 x 256 outputs take at least four passes."""
    table, work = work_of(nn.Conv2d(16, 48, 3, padding=1), (16, 256, 256), ARRAY)
    passes = np.ceil(256 / work.block[0, 0]) * np.ceil(256 / work.block[0, 1])
    assert work.passes[0] == passes >= 4
    assert work.bounds["weights"][0] == passes * table["weights"][0]
    assert work.bounds["constants"][0] == passes * 48
    padded = work.bounds["near"][0] - work.bounds["moved"][0]
    assert padded == passes * work.padded_weights[0] == passes * 9 * 16 * 48


def test_the_input_is_read_again_for_each_slice_of_channels():
    """The patches of all passes, each for every slice; without an array there is one slice."""
    _, work = work_of(nn.Conv2d(64, 2048, 1), (64, 16, 16), ARRAY)
    high, wide, deep = work.block[0]
    assert work.slices[0] == np.ceil(2048 / deep) > 1
    patches = min(high, 16) * min(wide, 16) * work.passes[0]
    assert work.bounds["input"][0] == patches * 64 * work.slices[0]


@BOTH
def test_an_addition_is_traffic_alone(array):
    class Twice(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + x

    _, work = work_of(Twice(), (24, 5, 5), array)
    assert work.bounds["arithmetic"][0] == work.bounds["weights"][0] == 0
    assert work.bounds["outputs"][0] == 24 * 25
    assert work.bounds["input"][0] == 2 * 24 * 25
    assert work.bounds["output"][0] == 24 * 25


@BOTH
def test_a_linear_layer_is_a_1x1_on_one_pixel(array):
    _, linear = work_of(nn.Linear(64, 10), (64,), array)
    _, pointwise = work_of(nn.Conv2d(64, 10, 1), (64, 1, 1), array)
    for name in RESOURCES:
        assert linear.bounds[name] == pointwise.bounds[name]


@BOTH
def test_groups_are_less_work_for_each_output(array):
    whole = bound(nn.Conv2d(256, 64, 3), (256, 9, 9), "arithmetic", array)
    grouped = bound(nn.Conv2d(256, 64, 3, groups=4), (256, 9, 9), "arithmetic", array)
    assert grouped == whole / 4
