"""Weights on their way, by hand arithmetic on three 1x1 convolutions of 8 x 8 pixels."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

import nas_ray
from nas_ray.estimate.hardware import read_hardware
from nas_ray.estimate.staging import buffers, peak_with_weights
from nas_ray.graph import trace

DEVICE = read_hardware(Path(nas_ray.__file__).parent / "devices" / "ethos-u85-2048" / "device.toml")
PIXELS = 64


def graph_of(model):
    return trace(model, torch.zeros(1, 8, 8, 8))


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


def test_weights_are_copied_under_the_operator_before():
    """The second convolution's 24 * 16 weights come while the first runs, which takes long.

    The second then is short: of the third's 16 * 16 weights one group of 8 channels comes under
    it, and the other into a second buffer.
    """
    graph = graph_of(nn.Sequential(nn.Conv2d(8, 24, 1), nn.Conv2d(24, 16, 1), nn.Conv2d(16, 16, 1)))
    held = [(one.most, one.early, one.late) for one in buffers(graph, STAGING)]
    assert held == [(0, 0, 0), (384, 384, 384), (256, 128, 128)]
    peak = (24 + 16) * PIXELS + 384 + 128
    assert peak > max((8 + 24) * PIXELS + 384, (16 + 16) * PIXELS + 256)
    live = [(8 + 24) * PIXELS, (24 + 16) * PIXELS, (16 + 16) * PIXELS]
    assert peak_with_weights(graph, live, STAGING) == peak


def test_weights_that_come_no_sooner_are_not_copied():
    graph = graph_of(nn.Sequential(nn.Conv2d(8, 24, 1), nn.Conv2d(24, 16, 1)))
    slow = replace(STAGING, copy_rate=1e-3)
    assert all(one.most == 0 for one in buffers(graph, slow))
    assert peak_with_weights(graph, [1, 2], slow) == 2
