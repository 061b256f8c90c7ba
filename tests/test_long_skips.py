"""Cuts where skips span most of a network: what passes by does not hold the rest together."""

import pytest
import torch
from torch import nn

from benchmarks.published import CLASSIFIERS, OTHERS
from nas_ray.graph import signature, subgraphs, trace
from nas_ray.graph.subgraphs import LARGEST


def parts(name):
    network = {**CLASSIFIERS, **OTHERS}[name]
    shape = network[1] if isinstance(network[1], tuple) else (1, 3, 96, 96)
    with torch.device("meta"):
        return subgraphs(trace(network[0](), torch.empty(shape)))


def kinds(part):
    return [operator.kind for operator in part.operators if operator.kind != "reshape"]


@pytest.mark.parametrize("name", [*CLASSIFIERS, *OTHERS])
def test_no_subgraph_of_a_published_network_is_larger_than_the_limit(name):
    for part in parts(name):
        assert sum(kind != "slice" for kind in kinds(part)) <= LARGEST, signature(part)


@pytest.mark.parametrize("name", ["mobilenet_v1_1.0", "ds_cnn"])
def test_separable_convolutions_in_a_row_are_apart(name):
    _, *blocks, head = parts(name)
    assert {tuple(kinds(block)) for block in blocks} == {("depthwise_conv", "conv")}
    assert kinds(head) == ["mean", "linear"]


def test_a_level_of_a_u_net_goes_up_by_itself():
    """The innermost skip is as short as a block's and stays whole; the outer ones pass by."""
    found = [kinds(part) for part in parts("unet_0.25")]
    down = [["conv"], ["conv"], ["max_pool"]]
    up = [["transposed_conv", "concat"], ["conv"], ["conv"]]
    inner = [["max_pool", "conv", "conv", "transposed_conv", "concat"], ["conv"], ["conv"]]
    assert found == [*down * 3, ["conv"], ["conv"], *inner, *up * 2, *up[:2], ["conv", "conv"]]


def test_units_of_shufflenet_are_apart():
    units = [kinds(part) for part in parts("shufflenet_v2_1.0")][2:-2]
    assert len(units) == 4 + 8 + 4
    plain = ["slice", "conv", "depthwise_conv", "conv", "concat", "transpose"]
    assert [unit for unit in units if "slice" in unit] == [plain] * 13


def test_every_step_of_a_recurrence_is_the_same_work():
    """25 steps of a GRU: but for the first and the last, each projects and updates alike."""
    different = {signature(part) for part in parts("conv_gru")}
    assert len(different) <= 8


def test_residual_blocks_under_a_long_skip_stay_whole():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = (nn.Conv2d(8, 8, 3, padding=1) for _ in range(2))

        def forward(self, x):
            return x + self.second(torch.relu(self.first(x)))

    class Skip(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(*[Block() for _ in range(6)])

        def forward(self, x):
            return x + self.body(x)

    found = [kinds(p) for p in subgraphs(trace(Skip(), torch.zeros(1, 8, 6, 6)))]
    assert found == [["conv", "conv", "add"]] * 5 + [["conv", "conv", "add", "add"]]


def test_a_cut_network_keeps_all_its_work():
    for name in ("unet_0.25", "densenet121", "vit_tiny"):
        build, shape = {**CLASSIFIERS, **OTHERS}[name]
        shape = shape if isinstance(shape, tuple) else (1, 3, shape, shape)
        with torch.device("meta"):
            graph = trace(build(), torch.empty(shape))
        cut = subgraphs(graph)
        assert sum(part.macs for part in cut) == graph.macs
        assert sum(part.weight_elements for part in cut) == graph.weight_elements
