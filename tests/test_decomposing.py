"""What operators become: the passes of small networks on two accelerators."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

import nas_ray
from nas_ray.estimate.hardware import read_hardware
from nas_ray.estimate.merging import run
from nas_ray.graph import trace

FOLDER = Path(nas_ray.__file__).parent / "devices"
#: Without a unit for resizing, and without chains; with both.
PLAIN = read_hardware(FOLDER / "ethos-u55-256" / "device.toml")
CHAINED = read_hardware(FOLDER / "ethos-u85-2048" / "device.toml")


class Apply(nn.Module):
    """A function behind a convolution from 8 to 16 channels."""

    def __init__(self, function):
        super().__init__()
        self.function, self.inner = function, nn.Conv2d(8, 16, 1)

    def forward(self, x):
        return self.function(self.inner(x))


def kinds(model, hardware):
    graph = trace(model.eval(), torch.zeros(1, 8, 8, 8))
    return [" ".join([one.kind, *one.joined]) for one in run(graph, hardware).passes]


@pytest.mark.parametrize(
    ("model", "plain", "chained"),
    [
        (Apply(functional.relu), ["conv clamp"], ["conv clamp"]),
        (Apply(torch.sigmoid), ["conv lookup"], ["conv lookup"]),
        (Apply(functional.silu), ["conv", "lookup", "mul"], ["conv", "lookup mul"]),
        (Apply(functional.hardsigmoid), ["conv", "add", "mul"], ["conv add mul"]),
        (
            nn.Sequential(nn.Conv2d(8, 16, 1), nn.MaxPool2d(2), nn.BatchNorm2d(16), nn.ReLU()),
            ["conv", "max_pool", "mul", "add clamp"],
            ["conv", "max_pool mul add clamp"],
        ),
        (
            nn.Sequential(nn.Conv2d(8, 16, 1, groups=4), nn.ReLU()),
            [*["conv"] * 4, "clamp"],
            [*["conv"] * 4, "clamp"],
        ),
        (
            Apply(
                lambda x: torch.cat([functional.max_pool2d(x, 2), functional.avg_pool2d(x, 2)], 1)
            ),
            ["conv", "max_pool", "avg_pool"],
            ["conv", "max_pool", "avg_pool"],
        ),
        (
            Apply(lambda x: torch.cat([x, functional.max_pool2d(x, 1)], 1)),
            ["conv", "max_pool", "copy"],
            ["conv", "max_pool", "copy"],
        ),
        (
            nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(8, 8, 3, 2)),
            ["conv"],
            ["conv"],
        ),
        (
            nn.Sequential(nn.Conv2d(8, 8, 1), nn.ZeroPad2d(1), nn.MaxPool2d(2)),
            ["conv", "copy", "max_pool"],
            ["conv", "copy", "max_pool"],
        ),
        (
            nn.Sequential(nn.Conv2d(8, 8, 1), nn.Upsample(scale_factor=2, mode="bilinear")),
            ["conv", "copy", *["resize"] * 4],
            ["conv", "resize"],
        ),
        (
            nn.ConvTranspose2d(8, 8, 2, 2),
            ["transposed_conv"],
            ["transposed_conv"] * 4,
        ),
    ],
    ids=[
        "a_limit_is_part_of_its_convolution",
        "so_is_a_table",
        "x_times_sigmoid_is_two_passes_or_one",
        "as_converters_write_a_hard_sigmoid",
        "a_batch_norm_that_nothing_takes",
        "groups_one_by_one",
        "what_is_concatenated_is_written_there",
        "what_is_read_elsewhere_is_copied_there",
        "a_convolution_pads_itself",
        "a_pooling_does_not",
        "resizing_takes_a_unit_or_a_convolution_a_phase",
        "a_transposed_convolution_takes_an_input_enlarged_on_reading_or_phases",
    ],
)
def test_an_operator_becomes_its_passes(model, plain, chained):
    assert kinds(model, PLAIN) == plain
    assert kinds(model, CHAINED) == chained


def test_a_device_without_rules_runs_one_pass_an_operator():
    """Views run nothing."""
    bare = replace(
        PLAIN, writes_in_place=False, splits_operators=False, upscales_input=False, chain_length=1
    )
    model = Apply(lambda x: functional.softmax(functional.silu(x).flatten(1), 1))
    assert kinds(model, bare) == ["conv", "softmax"]


def test_softmax_has_words_of_four_bytes():
    """16 channels of 64 pixels: exponentials, and three columns padded to 16 channels, and totals.

    As of the compiler: 4 * 16 * 64 and 3 * 4 * 16 * 64 and 4 * 64 bytes are alive at once.
    """
    graph = trace(Apply(lambda x: functional.softmax(x, 1)), torch.zeros(1, 8, 8, 8))
    words = 4 * 16 * 64
    assert max(run(graph, CHAINED).live_bytes) == words + 3 * words + 4 * 64


@pytest.mark.parametrize(
    ("function", "copies"),
    [
        (lambda x: x[:, :8] + x[:, 8:], 0),
        (lambda x: x[:, :8].reshape(1, 4, 16, 8), 1),
        (lambda x: x[:, :, 1:-1][:, :, :, 1:-1] * 2, 1),
    ],
    ids=["readers_take_their_part", "for_another_shape_it_is_copied", "a_part_of_a_part_too"],
)
def test_a_slice_is_a_part_that_its_reader_takes(function, copies):
    found = kinds(Apply(function), PLAIN)
    assert sum(kind == "copy" for kind in found) == copies
