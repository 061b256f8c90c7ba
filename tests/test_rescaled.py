"""Rescaled subgraphs: what tracing the same block with other numbers gives."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from nas_ray.graph import parse_signature, signature, subgraphs, trace
from nas_ray.measure import blocks
from nas_ray.measure.families import MOBILE
from nas_ray.measure.networks import random_network, stages
from nas_ray.measure.networks.classifiers import classifier
from nas_ray.measure.sampling import sample_subgraphs
from nas_ray.profiling.adaptive import neighbour
from nas_ray.profiling.rescaled import channel_counts, rescaled

INVERTED = {partial(classifier, stage=stages.inverted): 1.0}


def traced(make, *shape):
    with torch.device("meta"):
        return trace(make(), torch.empty(1, *shape))


def ibn(channels, after, **options):
    options = {"kernel": 5, "expansion": 4, "stride": 1, "activation": "relu6", **options}
    return lambda: blocks.inverted_bottleneck(channels, after, **options)


BLOCKS = {
    "ibn": (lambda c: ibn(c, c), 14),
    "gated_hardswish": (lambda c: ibn(c, c, gate=True, activation="hardswish"), 14),
    "strided": (lambda c: ibn(c, 3 * c, stride=2), 13),
    "fused": (lambda c: ibn(c, c, fused=True), 7),
    "basic": (lambda c: lambda: blocks.basic(c, 2 * c, stride=2), 16),
    "fire": (lambda c: lambda: blocks.Fire(4 * c, c, 2 * c), 9),
    "hourglass": (lambda c: lambda: blocks.Hourglass(c, 2 * c, "relu"), 16),
    "head": (lambda c: lambda: blocks.head(c, 3 * c), 7),
    "grouped": (
        lambda c: lambda: blocks.convolution(c, c, kernel=3, stride=1, activation="relu", groups=4),
        8,
    ),
    "padded_pool": (lambda c: lambda: nn.MaxPool2d(2, 2, 1), 14),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_other_channels_and_another_image_are_as_if_traced_so(name):
    """From 32 channels to 48 and twice the image. Of the gate the squeezed channels scale too."""
    make, side = BLOCKS[name]
    width = 4 * 32 if name == "fire" else 32
    graph = traced(make(32), width, side, side)
    channels = {count: count * 3 // 2 for count in channel_counts(graph)}
    expected = traced(make(48), width * 3 // 2, 2 * side, 2 * side)
    assert signature(rescaled(graph, channels, 2.0)) == signature(expected)


def test_a_signal_is_rescaled_along_time():
    def make(c):
        return lambda: blocks.signal(c, 2 * c, kernel=9, stride=2, activation="relu")

    graph = traced(make(16), 16, 100)
    assert signature(rescaled(graph, {16: 24, 32: 48}, 1.5)) == signature(traced(make(24), 24, 150))


def test_with_nothing_changed_every_sampled_subgraph_is_itself():
    """But for shuffled halves: slices and transposes have no rule."""
    keys = [
        signature(graph)
        for graph in sample_subgraphs(300, np.random.default_rng(3), families=MOBILE)
    ]
    ruled = [key for key in keys if not {"slice", "transpose"} & set(key.split())]
    assert len(ruled) > 0.95 * len(keys)
    again = [rescaled(parse_signature(key), {}) for key in keys]
    assert [signature(graph) for graph in again if graph] == ruled


def test_groups_that_do_not_divide_are_refused():
    graph = traced(BLOCKS["grouped"][0](32), 32, 8, 8)
    assert rescaled(graph, {32: 36}) is not None
    assert rescaled(graph, {32: 34}) is None


def test_an_operator_without_a_rule_is_refused():
    assert rescaled(traced(lambda: nn.Softmax(1), 8, 4, 4), {8: 4}) is None


def test_neighbours_are_sound_and_within_the_range():
    """Channels in 0.4-1.2 of those there, but for rounding to a multiple and one above it.

    Of inverted bottlenecks: groups of several channels do not fit every count.
    """
    rng = np.random.default_rng(0)
    network = random_network(np.random.default_rng(6), 16, styles=INVERTED)
    for part in subgraphs(network):
        for _ in range(20):
            near = neighbour(part, rng, 16)
            assert signature(parse_signature(signature(near))) == signature(near)
            before, after = (graph.shape(graph.inputs[0]) for graph in (part, near))
            if before[1] > 4:
                assert 0.4 * before[1] - 8 <= after[1] <= 1.2 * before[1] + 9
            else:
                assert after[1] == before[1]
            assert before[2] * 0.79 - 1 <= after[2] <= before[2] * 1.26 + 1


def test_an_expansion_mostly_stays_what_it_is():
    rng = np.random.default_rng(1)
    block = traced(ibn(32, 40), 32, 8, 8)
    near = [neighbour(block, rng, 16) for _ in range(200)]
    kept = [g.shape(g.operators[0].outputs[0])[1] == 4 * g.shape(g.inputs[0])[1] for g in near]
    assert np.mean(kept) > 0.7
