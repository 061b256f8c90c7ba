"""Peak memory and weights by hand arithmetic on small networks of 8 x 8 pixels."""

import csv
import os
from pathlib import Path

import pytest
import torch
from torch import nn

import nas_ray
from nas_ray.estimate.hardware import read_hardware
from nas_ray.estimate.memory import peak_memory_bytes, weight_bytes
from nas_ray.graph import trace
from search_spaces.blocks import FusedInvertedBottleneck, InvertedBottleneck

#: int8 activations and weights, biases of 4 bytes.
HARDWARE = read_hardware(
    Path(nas_ray.__file__).parent / "devices" / "ethos-u85-2048" / "device.toml"
)
PIXELS = 64


class Concatenated(nn.Module):
    """A branch of 16 channels beside one of 32, stacked to 48."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(8, 16, 1), nn.Conv2d(8, 32, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.left(x), self.right(x)], dim=1)


class Flat(nn.Module):
    """A view in between."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(8 * PIXELS, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(x.flatten(1))


class Halves(nn.Module):
    """Two windows into one tensor."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second = x.chunk(2, dim=1)
        return first + second


class Twice(nn.Module):
    """One convolution, run two times."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.shared(self.shared(x))


def graph_of(model):
    return trace(model, torch.zeros(1, 8, 8, 8))


@pytest.mark.parametrize(
    ("model", "channels"),
    [
        (nn.Conv2d(8, 24, 1), 8 + 24),
        (nn.Sequential(nn.Conv2d(8, 24, 1), nn.Conv2d(24, 16, 1), nn.Conv2d(16, 8, 1)), 24 + 16),
        (InvertedBottleneck(8, 8, kernel=3, expansion=4, stride=1), 8 + 32 + 32),
        (InvertedBottleneck(8, 16, kernel=3, expansion=4, stride=1), 32 + 32),
        (FusedInvertedBottleneck(8, 8, kernel=3, expansion=4, stride=1), 8 + 32 + 8),
        (Concatenated(), 16 + 32 + 48),
        (nn.Sequential(nn.Conv2d(8, 24, 1), nn.BatchNorm2d(24), nn.ReLU()), 8 + 24),
        (Halves(), 8 + 4),
    ],
    ids=[
        "one_operator:input+output",
        "chain:two_neighbours_alive",
        "ibn:the_residual_waits_while_the_depthwise_runs",
        "ibn_without_residual:only_the_depthwise",
        "fused_ibn:the_residual_waits_for_the_projection",
        "branch:both_branches_and_their_stack",
        "batch_norm_and_activation_run_with_their_convolution",
        "views:two_windows_share_the_memory_of_their_tensor",
    ],
)
def test_the_peak_is_the_largest_sum_of_tensors_alive_at_one_operator(model, channels):
    assert peak_memory_bytes(graph_of(model), HARDWARE) == channels * PIXELS


def test_a_flattened_image_is_the_image():
    """8 channels of 64 pixels and 4 logits; a copy would double the image."""
    assert peak_memory_bytes(graph_of(Flat()), HARDWARE) == 8 * PIXELS + 4


def test_a_stride_of_2_leaves_a_quarter_of_the_pixels():
    """The depthwise convolution reads 32 channels of 64 pixels and writes 32 of 16."""
    block = InvertedBottleneck(8, 8, kernel=3, expansion=4, stride=2)
    assert peak_memory_bytes(graph_of(block), HARDWARE) == 32 * PIXELS + 32 * PIXELS // 4


@pytest.mark.parametrize(
    ("model", "weights", "biases"),
    [
        (nn.Conv2d(8, 24, 3), 24 * 8 * 9, 24),
        (nn.Conv2d(8, 24, 3, bias=False), 24 * 8 * 9, 0),
        (nn.Sequential(nn.Conv2d(8, 24, 3, bias=False), nn.BatchNorm2d(24)), 24 * 8 * 9, 24),
        (Twice(), 8 * 8 * 9, 8),
        (Flat(), 8 * PIXELS * 4, 4),
        (Halves(), 0, 0),
    ],
    ids=["bias", "no_bias", "batch_norm_is_a_bias", "shared_counts_once", "linear", "no_weights"],
)
def test_weights_take_one_byte_and_biases_four(model, weights, biases):
    assert weight_bytes(graph_of(model), HARDWARE) == weights + 4 * biases


@pytest.mark.parametrize("kind", ["ibn", "fused"])
def test_large_images_need_what_the_compiler_says(kind):
    """Reference queries of the compiler for ethos-u85-2048, images of 48 x 48 and more.

    Measured: 0 to 2.7 % below it, never above. On smaller images liveness lies up to 66 % below:
    the compiler's figure is then ruled by what is not an activation, presumably weights on their
    way.
    """
    rows = [
        row
        for row in reference("reference_fused_vs_ibn.csv")
        if (row["accel"], row["memory"]) == ("ethos-u85-2048", "Shared_Sram")
        and int(row["hw"]) >= 48
    ]
    block = {"ibn": InvertedBottleneck, "fused": FusedInvertedBottleneck}[kind]
    assert len(rows) == 18
    for row in rows:
        channels, side = int(row["c"]), int(row["hw"])
        with torch.device("meta"):
            model = block(
                channels, channels, kernel=int(row["k"]), expansion=int(row["expand"]), stride=1
            )
            graph = trace(model, torch.empty(1, channels, side, side))
        ratio = peak_memory_bytes(graph, HARDWARE) / int(row[f"{kind}_sram"])
        assert 0.97 < ratio <= 1


def reference(name):
    folder = Path(__file__).parents[1] / os.environ.get("NAS_RAY_DATA", "../shared/data")
    path = folder / "ethos_u" / name
    if not path.is_file():
        pytest.skip(f"no reference queries at {path}: set NAS_RAY_DATA to the folder of the data")
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_bytes_of_a_number_scale_what_they_are_for(tmp_path):
    path = tmp_path / "device.toml"
    text = (Path(nas_ray.__file__).parent / "devices" / "ethos-u85-2048" / "device.toml").read_text(
        encoding="utf-8"
    )
    for key, before, after in (("weight", 1, 2), ("activation", 1, 4), ("bias", 4, 8)):
        assert f"{key}_bytes = {before}" in text
        text = text.replace(f"{key}_bytes = {before}", f"{key}_bytes = {after}")
    path.write_text(text, encoding="utf-8")
    graph, wide = graph_of(nn.Conv2d(8, 24, 1)), read_hardware(path)
    assert peak_memory_bytes(graph, wide) == (8 + 24) * PIXELS * 4
    assert weight_bytes(graph, wide) == 8 * 24 * 2 + 24 * 8
