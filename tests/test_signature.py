"""Signatures: a graph and its line of text are the same thing."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from nas_ray.errors import TraceError
from nas_ray.graph import Graph, parse_signature, signature, subgraphs, trace
from search_spaces import classification


def nameless(graph: Graph) -> Graph:
    return replace(graph, name="", unknown=())


class Shuffle(nn.Module):
    """Split, two branches, concatenation, channel shuffle: views and several live tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.Conv2d(4, 4, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = x.chunk(2, dim=1)
        y = torch.cat([left, self.branch(right)], dim=1)
        return y.view(1, 2, 4, 6, 6).transpose(1, 2).reshape(1, 8, 6, 6)


class Skip(nn.Module):
    """Both the map and what follows it are results."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 3, stride=2, dilation=2)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = self.first(x)
        return y, self.second(y)


@pytest.mark.parametrize("seed", range(15))
def test_random_networks_and_their_subgraphs_come_back_equal(seed):
    space = classification.space()
    config = space.sample(np.random.default_rng(seed))
    graph = trace(space.build(config), space.example_input(config))
    for part in (graph, *subgraphs(graph)):
        assert parse_signature(signature(part)) == nameless(part)


@pytest.mark.parametrize("model", [Shuffle(), Skip()], ids=["views", "two_outputs"])
def test_graphs_with_views_and_several_outputs_come_back_equal(model):
    graph = trace(model, torch.zeros(1, 8, 6, 6))
    back = parse_signature(signature(graph))
    assert back == nameless(graph)
    assert back.lifetimes == graph.lifetimes


def test_the_line_of_a_strided_convolution_by_hand():
    model = nn.Sequential(nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.ReLU6())
    text = "1x3x8x8; conv 0 > 1x16x4x4 k=3x3 s=2x2 act=relu6 b=16 w=432 m=6912"
    assert signature(trace(model, torch.zeros(1, 3, 8, 8))) == text


def test_equal_work_under_other_names_has_one_signature():
    plain = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU())
    nested = nn.Sequential(nn.Sequential(nn.Conv2d(4, 4, 1)), nn.ReLU(inplace=True))
    x = torch.zeros(1, 4, 8, 8)
    assert signature(trace(plain, x)) == signature(trace(nested, x))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3, padding=1)),
        (nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3, bias=False)),
        (nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3, groups=4)),
        (nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3, dilation=2)),
        (nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU()), nn.Conv2d(4, 4, 1)),
    ],
    ids=["padding", "bias", "groups", "dilation", "activation"],
)
def test_other_work_has_another_signature(first, second):
    x = torch.zeros(1, 4, 8, 8)
    assert signature(trace(first, x)) != signature(trace(second, x))


def test_the_last_words_say_on_which_side_there_is_more():
    layers = [nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()) for _ in range(3)]
    graph = trace(nn.Sequential(*layers), torch.zeros(1, 4, 8, 8))
    parts = subgraphs(graph)
    line = signature(parts[0].alone())
    ends = ["; more after", "; more before after", "; more before"]
    assert [signature(part) for part in parts] == [line + end for end in ends]
    assert [signature(part.alone()) for part in parts] == [line] * 3
    assert "more" not in signature(graph)


@pytest.mark.parametrize(
    "text",
    [
        "1x3x0x8",
        "1x3; conv 0 1x4",
        "1x3; conv 0 > 1x4 k=3",
        "1x3; conv 0 > 1xfour",
        "1x3; conv 0 > 1x4 k",
    ],
    ids=["no_rows", "no_arrow", "one_axis", "a_word", "no_value"],
)
def test_a_line_that_cannot_be_read_is_refused_with_the_line(text):
    with pytest.raises(TraceError, match="not a subgraph signature"):
        parse_signature(text)
