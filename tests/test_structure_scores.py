"""Depth, MACs and effective MACs by hand and against the traced graph."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nas_ray.errors import ScoreError
from nas_ray.graph import trace
from nas_ray.zero_shot import score
from search_spaces import classification

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from published import CLASSIFIERS

NAMES = ("depth", "complexity", "effective_macs")


def structure(network: nn.Module, *shape: int) -> tuple[float, float, float]:
    """Depth, MACs, effective MACs."""
    found = score(network, torch.randn(4, *shape), NAMES)
    return found["depth"], found["complexity"], found["effective_macs"]


class Branches(nn.Module):
    """Three layers of 4 x 4 on one input, one layer after the first; `combine` makes the output."""

    def __init__(self, combine) -> None:
        super().__init__()
        self.a, self.b, self.c, self.after = (nn.Linear(4, 4) for _ in range(4))
        self.combine = combine

    def forward(self, x: Tensor) -> Tensor:
        first = self.after(self.a(x).relu())
        return self.combine(x, first, self.b(x), self.c(x))


@pytest.mark.parametrize(
    ("combine", "depth", "effective_layers"),
    [
        (lambda x, a, b, c: a + b + c, 2, 4),
        (lambda x, a, b, c: a + b, 2, 3),
        (lambda x, a, b, c: b + c, 1, 2),
        (lambda x, a, b, c: b + a * 0, 1, 1),
        (lambda x, a, b, c: b + 0.0 * a + c, 1, 2),
        (lambda x, a, b, c: torch.mul(a, 0) + c, 1, 1),
        (lambda x, a, b, c: a + torch.zeros_like(b), 2, 2),
        (lambda x, a, b, c: a + b.detach(), 2, 2),
        (lambda x, a, b, c: torch.cat([a, b], dim=1), 2, 3),
        (lambda x, a, b, c: (a, b), 2, 3),
        (lambda x, a, b, c: x + c, 1, 1),
        (lambda x, a, b, c: a * 2, 2, 2),
    ],
    ids=[
        *("all", "one_unused", "the_deep_one_unused", "times_0", "0_times", "mul", "zeros"),
        *("detached", "concatenated", "two_outputs", "skip", "times_2_is_no_0"),
    ],
)
def test_only_layers_on_a_path_from_input_to_output_count(combine, depth, effective_layers):
    assert structure(Branches(combine), 4) == (depth, 4 * 16, effective_layers * 16)


def test_a_layer_on_a_constant_is_on_no_path_from_the_input():
    class OfConstant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.a(x) + self.b(torch.ones_like(x))

    assert structure(OfConstant(), 4) == (1, 32, 16)


@pytest.mark.parametrize(
    ("network", "shape", "depth", "macs"),
    [
        # 8 channels of 3 x 3 x 3 on 6 x 6 places.
        (nn.Conv2d(3, 8, 3), (3, 8, 8), 1, 8 * 27 * 36),
        (nn.Conv2d(4, 8, 3, groups=4, padding=1, stride=2), (4, 8, 8), 1, 8 * 9 * 16),
        (nn.Conv1d(3, 8, 5), (3, 32), 1, 8 * 15 * 28),
        # Each of the 16 places of each of 4 channels is spread over 2 x 3 x 3 numbers.
        (nn.ConvTranspose2d(4, 2, 3), (4, 4, 4), 1, 4 * 16 * 2 * 9),
        (nn.Linear(8, 3), (5, 8), 1, 5 * 8 * 3),
        (nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Flatten(),
                       nn.Linear(16, 2)), (3, 2, 2), 2, 12 * 4 + 32),
    ],
    ids=["conv", "depthwise", "conv_1d", "transposed", "tokens", "chain"],
)  # fmt: skip
def test_by_hand(network, shape, depth, macs):
    assert structure(network, *shape) == (depth, macs, macs)


def test_a_residual_is_as_deep_as_its_longer_way_and_a_shared_layer_counts_at_every_call():
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.layer(self.layer(x))

    assert structure(nn.Sequential(Residual(), Residual()), 4) == (4, 4 * 16, 4 * 16)


def test_attention_by_hand():
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return self.attention(x, x, x, need_weights=False)[0]

    # Four projections of 5 tokens, then tokens with tokens twice; in and out are two layers.
    expected = 4 * 5 * 64 + 2 * 5 * 5 * 8
    assert structure(Attention(), 5, 8) == (2, expected, expected)


@pytest.mark.parametrize("scale", [nn.Parameter(torch.ones(4, 1, 1)), torch.ones(4, 1, 1)])
def test_a_scale_or_a_table_that_is_added_is_no_layer(scale):
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.scale = nn.Conv2d(3, 4, 1), scale

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x) * self.scale + self.scale

    assert structure(Scaled(), 3, 2, 2)[0] == 1


def test_macs_are_those_of_the_traced_graph_on_networks_of_a_space():
    space, rng = classification.space(), np.random.default_rng(0)
    for config in (space.baseline, *(space.sample(rng) for _ in range(3))):
        network, image = space.build(config), space.example_input(config)
        _, macs, effective = structure(network, *image.shape[1:])
        assert macs == effective == trace(network.eval(), image).macs


@pytest.mark.parametrize("name", ["depth", "effective_macs"])
def test_without_any_path_they_are_refused(name):
    network = Branches(lambda x, a, b, c: (a + b + c) * 0.0)
    with pytest.raises(ScoreError, match="in Branches no weights lie between the input"):
        score(network, torch.randn(4, 4), [name])


@pytest.mark.parametrize(
    ("name", "layers"),
    [("resnet8", 8), ("resnet18", 18), ("resnet50", 50), ("densenet121", 121),
     ("mobilenet_v1_1.0", 28), ("mobilenet_v2_1.0", 53)],
)  # fmt: skip
def test_published_networks_are_as_deep_as_their_papers_say_with_the_macs_of_the_graph(
    name, layers
):
    build, _ = CLASSIFIERS[name]
    with torch.device("meta"):
        network, images = build(), torch.empty(4, 3, 96, 96)
        macs = trace(network, images[:1]).macs
    assert score(network, images, NAMES) == dict(zip(NAMES, (layers, macs, macs), strict=True))
