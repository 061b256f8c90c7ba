"""Cuts: blocks stay whole, blocks are apart, and no operator is lost."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from nas_ray.graph import Graph, parse_signature, signature, subgraphs, trace
from search_spaces import classification
from search_spaces.blocks import BLOCKS, InvertedBottleneck, convolution, linear_convolution


def parts(model: nn.Module, channels: int = 16) -> tuple[Graph, ...]:
    return subgraphs(trace(model, torch.zeros(1, channels, 8, 8)))


def kinds(part: Graph) -> list[str]:
    return [operator.kind for operator in part.operators]


class SqueezeExcitation(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(channels, 8, 1), nn.Conv2d(8, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scale = self.up(torch.relu(self.down(x.mean((2, 3), keepdim=True))))
        return x * torch.sigmoid(scale)


class Basic(nn.Module):
    """Residual block of ResNet-18 (He et al., 2016)."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(16, 16, 3, padding=1) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + self.second(torch.relu(self.first(x))))


@pytest.mark.parametrize("seed", range(10))
def test_every_operator_is_in_exactly_one_subgraph_in_order(seed):
    space = classification.space()
    config = space.sample(np.random.default_rng(seed))
    graph = trace(space.build(config), space.example_input(config))
    cut = subgraphs(graph)
    assert [o.name for part in cut for o in part.operators] == [o.name for o in graph.operators]
    assert sum(part.macs for part in cut) == graph.macs
    assert sum(part.weight_elements for part in cut) == graph.weight_elements
    for before, after in pairwise(cut):
        assert len(before.outputs) == len(after.inputs) == 1
        assert before.shape(before.outputs[0]) == after.shape(after.inputs[0])


@pytest.mark.parametrize("seed", range(10))
def test_a_network_of_the_space_is_stem_blocks_head_and_classifier(seed):
    space = classification.space()
    config = space.sample(np.random.default_rng(seed))
    # Six times the channels in are more than the channels out everywhere: all are bottlenecks.
    config |= {name: 6 for name in config if name.endswith(".expansion")}
    graph = trace(space.build(config), space.example_input(config))
    expected = ["features.stem"]
    for stage in classification.STAGES:
        depth = int(config[f"stage{stage}.depth"])
        expected += [f"features.stage{stage}.{n}" for n in range(depth)]
    names = [part.name for part in subgraphs(graph)]
    assert [name.removesuffix(".0") for name in names] == [
        *(name.removesuffix(".0") for name in expected),
        "features.head",
        "classifier",
    ]


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
@pytest.mark.parametrize("stride", [1, 2], ids=["residual", "no_residual"])
def test_three_blocks_in_a_row_are_three_subgraphs(block, stride):
    blocks = [block(16, 16, kernel=3, expansion=4, stride=stride) for _ in range(3)]
    cut = parts(nn.Sequential(*blocks))
    assert [part.name for part in cut] == ["0", "1", "2"]
    assert len({tuple(kinds(part)) for part in cut}) == 1


def test_an_ibn_without_a_residual_is_one_subgraph_of_three_convolutions():
    (part,) = parts(InvertedBottleneck(16, 32, kernel=3, expansion=4, stride=2))
    assert kinds(part) == ["conv", "depthwise_conv", "conv"]


def test_a_residual_block_is_inseparable():
    cut = parts(nn.Sequential(Basic(), Basic()))
    assert [kinds(part) for part in cut] == [["conv", "conv", "add"]] * 2


def test_a_squeeze_and_excitation_branch_stays_with_its_bottleneck():
    model = nn.Sequential(
        convolution(16, 64),
        convolution(64, 64, kernel=3, groups=64),
        SqueezeExcitation(64),
        nn.Conv2d(64, 16, 1),
    )
    (part,) = parts(model)
    assert kinds(part)[:3] == ["conv", "depthwise_conv", "mean"]
    assert kinds(part)[-2:] == ["mul", "conv"]


@pytest.mark.parametrize(("channels", "count"), [(16, 1), (32, 2)], ids=["narrower", "as_wide"])
def test_a_linear_1x1_stays_with_its_convolution_only_if_it_narrows(channels, count):
    model = nn.Sequential(convolution(16, 32, kernel=3), linear_convolution(32, channels))
    assert len(parts(model)) == count


def test_plain_convolutions_in_a_row_are_cut_apart():
    cut = parts(nn.Sequential(convolution(16, 32, kernel=3), convolution(32, 32, kernel=3)))
    assert [kinds(part) for part in cut] == [["conv"], ["conv"]]


def test_a_skip_over_everything_leaves_no_cut():
    class Skip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(*[convolution(16, 16, kernel=3) for _ in range(4)])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.body(x)

    assert len(parts(Skip())) == 1


def test_mean_and_classifier_are_one_subgraph():
    model = nn.Sequential(
        convolution(16, 16, kernel=3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)
    )
    assert [kinds(part) for part in parts(model)] == [["conv"], ["mean", "reshape", "linear"]]


def test_a_subgraph_is_a_graph_of_its_own():
    """Local indices start at 0 with its input; its lifetimes are those of the block alone."""
    _, part = parts(nn.Sequential(convolution(16, 16, kernel=3), Basic()))
    assert part.inputs == (0,)
    assert part.lifetimes == {0: (-1, 2), 1: (0, 1), 2: (1, 2), 3: (2, 3)}


def test_a_part_that_is_cut_again_remembers_what_was_around_it():
    """Cut before the last two of four: their first has something before it, their last nothing."""
    cut = parts(nn.Sequential(*[convolution(16, 16, kernel=3) for _ in range(4)]))
    sides = [(part.has_before, part.has_after) for part in cut]
    assert sides == [(False, True), (True, True), (True, True), (True, False)]
    for part in cut:
        (again,) = subgraphs(part)
        assert (again.has_before, again.has_after) == (part.has_before, part.has_after)
        (alone,) = subgraphs(part.alone())
        assert (alone.has_before, alone.has_after) == (False, False)


class _TwoInputs(nn.Module):
    """The second input joins late, and the first block's result is given out too."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(*[Basic() for _ in range(5)])
        self.second = Basic()
        self.aside = convolution(16, 16, kernel=3)
        self.last = nn.Sequential(Basic(), Basic())

    def forward(self, x, late):
        early = self.first(x)
        return early, self.last(self.second(early) + self.aside(late))


def test_a_part_knows_which_inputs_and_outputs_are_those_of_the_network():
    """Those at the ends of a network are stored as they are given, not as inside."""
    shape = torch.empty(1, 16, 8, 8, device="meta")
    with torch.device("meta"):
        network = trace(_TwoInputs().eval(), (shape, shape))
    cut = subgraphs(network)
    late = [part for part in cut if part.reads_input]
    given = [part for part in cut if part.writes_output]
    assert [part.has_before for part in late] == [True]
    assert all(part.has_after for part in given)
    assert given == [part for part in cut if part.has_after and _gives_out(network, part)]
    for part in cut:
        again = parse_signature(signature(part))
        assert (again.reads_input, again.writes_output) == (part.reads_input, part.writes_output)
        assert not part.alone().reads_input
        assert not part.alone().writes_output


def _gives_out(network, part):
    start = next(
        n
        for n in range(len(network.operators))
        if [o.kind for o in network.operators[n : n + len(part.operators)]]
        == [o.kind for o in part.operators]
        and network.operators[n].name == part.operators[0].name
    )
    made = network.operators[start : start + len(part.operators)]
    return any(i in network.outputs for operator in made for i in operator.outputs)
