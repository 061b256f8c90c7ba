"""Peak memory and weights by hand arithmetic on small networks of 8 x 8 pixels."""

import csv
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import nas_ray
from nas_ray.estimate.hardware import read_hardware
from nas_ray.estimate.memory import (
    least_memory,
    peak_memory_bytes,
    weight_bytes,
)
from nas_ray.graph import subgraphs, trace
from nas_ray.measure.blocks import Residual
from search_spaces import classification
from search_spaces.blocks import FusedInvertedBottleneck, InvertedBottleneck

PROFILE = Path(nas_ray.__file__).parent / "devices" / "ethos-u85-2048" / "device.toml"
#: Its compiler pads, copies weights, reorders and works in place.
DEVICE = read_hardware(PROFILE)
#: int8 activations and weights, biases of 4 bytes, and nothing else.
HARDWARE = replace(
    DEVICE,
    alignment_bytes=1,
    channel_multiple=1,
    is_depth_first=False,
    writes_in_place=False,
    splits_operators=False,
    chain_length=1,
    staging=None,
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
    """Reference queries of the compiler for ethos-u85-2048, images of 48 x 48 and more."""
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
        assert peak_memory_bytes(graph, DEVICE) == pytest.approx(int(row[f"{kind}_sram"]), rel=0.03)


def reference(name):
    folder = Path(__file__).parents[1] / os.environ.get("NAS_RAY_DATA", "../shared/data")
    path = folder / "ethos_u" / name
    if not path.is_file():
        pytest.skip(f"no reference queries at {path}: set NAS_RAY_DATA to the folder of the data")
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_bytes_of_a_number_scale_what_they_are_for(tmp_path):
    path = tmp_path / "device.toml"
    text = PROFILE.read_text(encoding="utf-8")
    for key, before, after in (("weight", 1, 2), ("activation", 1, 4), ("bias", 4, 8)):
        assert f"{key}_bytes = {before}" in text
        text = text.replace(f"{key}_bytes = {before}", f"{key}_bytes = {after}")
    path.write_text(text, encoding="utf-8")
    graph, wide = graph_of(nn.Conv2d(8, 24, 1)), read_hardware(path)
    assert peak_memory_bytes(graph, wide) == (8 + 24) * PIXELS * 4
    assert weight_bytes(graph, wide) == 8 * 24 * 2 + 24 * 8


class Chains(nn.Module):
    """Two branches of 128 channels, both opened before one is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(8, 128, 1), nn.Conv2d(8, 128, 1)
        self.left_end, self.right_end = nn.Conv2d(128, 8, 1), nn.Conv2d(128, 8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = self.left(x), self.right(x)
        return torch.cat([self.left_end(left), self.right_end(right)], dim=1)


def swish_between(channels, hidden):
    return nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.SiLU(), nn.Conv2d(hidden, channels, 1))


@pytest.mark.parametrize(
    ("changes", "model", "expected"),
    [
        ({"alignment_bytes": 100}, nn.Conv2d(8, 24, 1), 600 + 1600),
        (
            {"channel_multiple": 16},
            nn.Sequential(nn.Conv2d(8, 24, 1), nn.Conv2d(24, 8, 1)),
            (8 + 32) * PIXELS,
        ),
        ({"channel_multiple": 16}, nn.Conv2d(8, 24, 1), (8 + 24) * PIXELS),
        ({"channel_multiple": 16}, Halves(), (8 + 4) * PIXELS),
        ({}, Chains(), (8 + 128 + 128) * PIXELS),
        ({"is_depth_first": True}, Chains(), (8 + 128 + 8) * PIXELS),
        ({"writes_in_place": True}, Concatenated(), (8 + 48) * PIXELS),
        (
            {"writes_in_place": True},
            FusedInvertedBottleneck(8, 8, kernel=3, expansion=1, stride=1),
            (8 + 8 + 8) * PIXELS,
        ),
        ({}, swish_between(8, 24), (8 + 24) * PIXELS),
        (
            {"splits_operators": True, "writes_in_place": True},
            swish_between(8, 24),
            (24 + 24) * PIXELS,
        ),
        (
            {"splits_operators": True, "writes_in_place": True},
            swish_between(8, 4),
            (8 + 4) * PIXELS,
        ),
        (
            {"splits_operators": True, "writes_in_place": True},
            Residual(swish_between(8, 24)),
            (8 + 24 + 24) * PIXELS,
        ),
    ],
    ids=[
        "each_tensor_begins_at_a_multiple",
        "channels_inside_are_padded",
        "what_enters_and_leaves_is_not",
        "nor_what_is_shown_in_parts",
        "as_given_both_branches_are_open",
        "depth_first_one_branch_is_open_beside_the_end_of_the_other",
        "what_is_concatenated_is_written_in_its_place",
        "a_sum_takes_the_place_of_the_branch",
        "an_activation_is_free",
        "a_split_one_has_two_factors_without_what_was_read_for_them",
        "unless_reading_was_the_most",
        "or_that_is_read_again",
    ],
)
def test_what_a_device_adds_by_hand(changes, model, expected):
    assert peak_memory_bytes(graph_of(model), replace(HARDWARE, **changes)) == expected


@pytest.fixture(scope="module")
def sampled():
    """Thirty networks of the classification space."""
    space, rng = classification.space(), np.random.default_rng(5)
    graphs = []
    for _ in range(30):
        config = space.sample(rng)
        with torch.device("meta"):
            graphs.append(trace(space.build(config), space.example_input(config)))
    return graphs


def test_no_less_than_the_largest_operator(sampled):
    for graph in sampled:
        largest = max(
            sum(graph.tensors[i].elements for i in {*operator.inputs, *operator.outputs})
            for operator in graph.operators
            if operator.kind != "add"
        )
        assert peak_memory_bytes(graph, DEVICE) >= largest


def test_weights_on_their_way_only_add(sampled):
    bare = replace(DEVICE, staging=None)
    more = [peak_memory_bytes(graph, DEVICE) - peak_memory_bytes(graph, bare) for graph in sampled]
    assert min(more) >= 0
    assert max(more) > 0


def test_without_weights_a_network_needs_what_its_largest_subgraph_needs(sampled):
    for graph in [*sampled, graph_of(Chains())]:
        parts = [peak_memory_bytes(part, HARDWARE) for part in subgraphs(graph)]
        assert peak_memory_bytes(graph, HARDWARE) == max(parts)


def test_the_compiler_runs_one_branch_after_the_other():
    """411,728 bytes: estimate of ethos-u-vela 5.2.0 for ethos-u85-2048, 2026-11-24.

    Of these 405,504 are 16 + 128 + 32 channels of 48 * 48 pixels: the end of both branches, not
    both branches.
    """
    model = Chains()
    model.left, model.right = nn.Conv2d(16, 128, 1), nn.Conv2d(16, 128, 1)
    model.left_end, model.right_end = nn.Conv2d(128, 16, 1), nn.Conv2d(128, 16, 1)
    graph = trace(model, torch.zeros(1, 16, 48, 48))
    assert peak_memory_bytes(graph, replace(DEVICE, staging=None)) == 405_504
    assert peak_memory_bytes(graph, DEVICE) == pytest.approx(411_728, rel=0.002)


def test_the_order_of_least_memory_closes_a_branch_before_it_opens_another():
    graph = graph_of(Chains())
    least = peak_memory_bytes(least_memory(graph, HARDWARE), HARDWARE)
    assert least == (8 + 128 + 8) * PIXELS < peak_memory_bytes(graph, HARDWARE)
