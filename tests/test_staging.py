"""Weights on their way, by hand arithmetic on three 1x1 convolutions of 8 x 8 pixels."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import nas_ray
from nas_ray.estimate.building import traced
from nas_ray.estimate.hardware import read_hardware
from nas_ray.estimate.memory import activation_bytes, peak_memory_bytes, piece_of
from nas_ray.estimate.peak import peaks
from nas_ray.estimate.skeleton import pieces
from nas_ray.estimate.staging import Work, copied, work
from nas_ray.graph import subgraphs, trace
from search_spaces import classification

DEVICE = read_hardware(Path(nas_ray.__file__).parent / "devices" / "ethos-u85-2048" / "device.toml")
PIXELS = 64


def graph_of(*layers):
    return trace(nn.Sequential(*layers), torch.zeros(1, 8, 8, 8))


#: Times so long or short that hand arithmetic decides what is copied: 1 byte a weight, no more.
STAGING = replace(
    DEVICE.staging,
    far_latency_cycles=1000.0,
    near_latency_cycles=1.0,
    far_channel_cycles=1000.0,
    copy_rate=1e3,
    stream_rate=1e3,
    near_rate=1e6,
    narrow_channels=1,
    input_group=8,
    channel_group=8,
    weight_ratio=1.0,
    channel_bytes=1e-9,
    operator_bytes=1e-9,
)
BY_HAND = replace(
    DEVICE,
    alignment_bytes=1,
    channel_multiple=1,
    is_depth_first=False,
    writes_in_place=False,
    staging=STAGING,
)


def copies(graph, staging):
    """Most, early and late bytes of each operator of a chain."""
    hidden, found = np.array([-np.inf]), []
    for operator in graph.operators:
        numbers = work(graph, operator, staging)
        copy = copied(Work(*np.array([numbers]).T), hidden, staging)
        found.append((int(copy.most[0]), int(copy.early[0]), int(copy.late[0])))
        hidden = copy.hides
    return found


def test_weights_are_copied_under_the_operator_before():
    """The second convolution's 24 * 16 weights come while the first runs, which takes long.

    The second then is short: of the third's 16 * 16 weights one group of 8 channels comes under
    it, and the other into a second buffer.
    """
    graph = graph_of(nn.Conv2d(8, 24, 1), nn.Conv2d(24, 16, 1), nn.Conv2d(16, 16, 1))
    assert copies(graph, STAGING) == [(0, 0, 0), (384, 384, 384), (256, 128, 128)]
    peak = (24 + 16) * PIXELS + 384 + 128
    assert peak > max((8 + 24) * PIXELS + 384, (16 + 16) * PIXELS + 256)
    assert peak_memory_bytes(graph, BY_HAND) == peak


def test_weights_that_come_no_sooner_are_not_copied():
    graph = graph_of(nn.Conv2d(8, 24, 1), nn.Conv2d(24, 16, 1))
    slow = replace(STAGING, copy_rate=1e-3)
    assert copies(graph, slow) == [(0, 0, 0), (0, 0, 0)]
    slow_device = replace(BY_HAND, staging=slow)
    assert peak_memory_bytes(graph, slow_device) == max(activation_bytes(graph, slow_device))


def test_an_addition_runs_in_the_pass_of_the_operator_before():
    """It hides nothing itself, so that the third convolution's weights come under the second."""

    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.last = nn.Conv2d(24, 24, 1), nn.Conv2d(24, 16, 1)

        def forward(self, x):
            return self.last(x + self.inner(x))

    graph = graph_of(nn.Conv2d(8, 24, 1), Residual())
    assert [operator.kind for operator in graph.operators] == ["conv", "conv", "add", "conv"]
    # 24 * 24 weights of the second are there, and of the third's 24 * 16 one group of 8 channels.
    assert peak_memory_bytes(graph, BY_HAND) == (24 + 24 + 24) * PIXELS
    inside = replace(BY_HAND, writes_in_place=True)
    assert peak_memory_bytes(graph, inside) == (24 + 24) * PIXELS + 24 * 24 + 24 * 8


@pytest.mark.parametrize(
    "arguments",
    [{}, {"in_channels": 3, "channel_multiple": 8, "resolutions": (48, 64, 96)}],
    ids=["as_it_is", "other_arguments"],
)
def test_pieces_together_are_the_network(arguments):
    """Thirty networks of the classification space, all at once from their pieces."""
    space, rng = classification.space(**arguments), np.random.default_rng(3)
    graphs = [traced(space, space.sample(rng)) for _ in range(30)]
    found = [[*pieces(graph, subgraphs(graph)).values()] for graph in graphs]
    known = [piece_of(piece, DEVICE) for one in found for piece in one]
    ids = np.full((len(graphs), 2 * max(map(len, found))), -1, dtype=np.int32)
    first = 0
    for row, one in zip(ids, found, strict=True):
        # A gap behind each piece, as where a position stays empty.
        row[: 2 * len(one) : 2] = range(first, first + len(one))
        first += len(one)
    expected = [peak_memory_bytes(graph, DEVICE) for graph in graphs]
    assert peaks(known, ids, DEVICE.staging).tolist() == expected
    largest = [max(peak_memory_bytes(piece, DEVICE) for piece in one) for one in found]
    assert expected != largest
