"""Paths and receptive fields by hand; nothing is ranked by them."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nas_ray.errors import ScoreError
from nas_ray.zero_shot import DESCRIPTORS, SCORES, log_rank, score
from search_spaces import classification

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from published import CLASSIFIERS


class Called(nn.Module):
    """`forward` with some `layers`, all of them 3 x 3 convolutions of four channels."""

    def __init__(self, layers: int, forward) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(layers))
        self.called = forward

    def forward(self, x: Tensor) -> Tensor:
        return self.called(x, *self.layers)


def described(network: nn.Module, *shape: int) -> dict[str, float]:
    return score(network, torch.randn(2, *shape), DESCRIPTORS)


@pytest.mark.parametrize(
    ("layers", "forward", "shortest", "mean", "field"),
    [
        (1, lambda x, a: a(x), 1, 1, 3),
        (2, lambda x, a, b: b(a(x).relu()), 2, 2, 5),
        (1, lambda x, a: x + a(x), 0, 1 / 2, 3),
        (2, lambda x, a, b: x + b(a(x)), 0, 1, 5),
        (3, lambda x, a, b, c: a(x) + c(b(x)), 1, 3 / 2, 5),
        (2, lambda x, a, b: (x + a(x)) + b(x + a(x)), 0, 1, 5),
        (3, lambda x, a, b, c: a(x) + 0 * c(b(x)), 1, 1, 3),
        (3, lambda x, a, b, c: torch.cat([x, a(x), b(x), c(b(x))], 1), 0, 1, 5),
        (3, lambda x, a, b, c: (c(b(a(x))), a(x)), 1, 2, 7),
        (1, lambda x, a: a(a(a(x))), 3, 3, 7),
    ],
    ids=[
        *("one", "chain", "skip", "long_skip", "branches", "two_skips", "times_0"),
        *("concatenated", "two_outputs", "shared"),
    ],
)
def test_paths_by_hand(layers, forward, shortest, mean, field):
    found = described(Called(layers, forward), 4, 8, 8)
    assert found == {
        "shortest_path": shortest,
        "mean_path": pytest.approx(mean),
        "receptive_field": field,
    }


@pytest.mark.parametrize(
    ("layers", "shape", "field"),
    [
        ([nn.Conv2d(3, 4, 3, stride=2), nn.Conv2d(4, 4, 3)], (3, 16, 16), 3 + 2 * 2),
        ([nn.Conv2d(3, 4, (1, 5))], (3, 16, 16), 5),
        ([nn.Conv2d(4, 4, 5, groups=4, padding="same")], (4, 16, 16), 5),
        ([nn.Conv2d(3, 4, 3, dilation=4)], (3, 16, 16), 9),
        ([nn.Conv1d(3, 4, 7)], (3, 16), 7),
        ([nn.Conv1d(3, 3, 1), nn.MaxPool1d(4), nn.Conv1d(3, 3, 3)], (3, 32), 4 + 2 * 4),
        ([nn.Conv2d(3, 3, 1), nn.AvgPool2d(2), nn.Conv2d(3, 3, 3)], (3, 16, 16), 2 + 2 * 2),
        ([nn.Conv2d(3, 3, 1), nn.MaxPool2d(3, 1, dilation=2)], (3, 16, 16), 5),
        # Two inputs a step, then one again: each of the two outputs looks at one.
        ([nn.Conv2d(3, 3, 2, 2), nn.ConvTranspose2d(3, 3, 2, 2), nn.Conv2d(3, 3, 3)],
         (3, 16, 16), 2 + 1 + 2),
        ([nn.Conv2d(3, 3, 2, 2), nn.Upsample(scale_factor=2), nn.Conv2d(3, 3, 3)],
         (3, 16, 16), 2 + 2),
        ([nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)],
         (3, 16, 16), 3),
        ([nn.Flatten(), nn.Linear(48, 2)], (3, 4, 4), 1),
    ],
    ids=[
        *("stride", "one_axis", "depthwise", "dilated", "1d", "max_pool_1d", "avg_pool"),
        *("dilated_pool", "transposed", "upsampled", "global_pool", "linear"),
    ],
)  # fmt: skip
def test_windows_by_hand(layers, shape, field):
    assert described(nn.Sequential(*layers), *shape)["receptive_field"] == field


def test_a_kernel_that_is_not_a_weight_of_its_own_is_passed_over():
    class Normed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(4, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.conv2d(x, self.layer.weight / self.layer.weight.norm())

    assert described(Normed(), 4, 8, 8)["receptive_field"] == 1


def test_published_networks():
    found = {}
    for name in ("resnet18", "mobilenet_v1_1.0"):
        with torch.device("meta"):
            found[name] = described(CLASSIFIERS[name][0](), 3, 224, 224)
    # Of MobileNet v1 by Araujo et al. (2019), table 1; of ResNet-18 by hand: the stem, then stages.
    assert found["mobilenet_v1_1.0"]["receptive_field"] == 315
    by_hand = (7 + 4) + 4 * 8 + (8 + 3 * 16) + (16 + 3 * 32) + (32 + 3 * 64)
    assert found["resnet18"]["receptive_field"] == by_hand
    # Stem and classifier, and the three of four stages of resnet18 that begin by a projection.
    assert found["resnet18"]["shortest_path"] == 2 + 3
    # Eight blocks of two layers, half the paths go through; of three blocks a projection is one.
    assert found["resnet18"]["mean_path"] == pytest.approx(2 + 5 * (0 + 2) / 2 + 3 * (1 + 2) / 2)
    assert set(found["mobilenet_v1_1.0"].values()) == {28, 315}


def test_of_a_thousand_blocks_the_number_of_paths_is_no_number_of_its_own():
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.layer(x) + x

    found = described(nn.Sequential(*(Block() for _ in range(1000))), 2)
    assert found["mean_path"] == pytest.approx(1000 / 3)


def test_they_are_the_same_before_and_after_other_scores_used_up_the_graph():
    space, rng = classification.space(), np.random.default_rng(0)
    config = space.sample(rng)
    network, image = space.build(config), space.example_input(config)
    batch = torch.randn(4, *image.shape[1:])
    alone = score(network, batch, DESCRIPTORS)
    together = score(network, batch, [*SCORES, *DESCRIPTORS])
    assert {name: together[name] for name in DESCRIPTORS} == alone


@pytest.mark.parametrize("name", DESCRIPTORS)
def test_without_any_path_they_are_refused(name):
    with pytest.raises(ScoreError, match="no weights lie between the input"):
        score(Called(1, lambda x, a: a(x) * 0.0), torch.randn(2, 4, 4, 4), [name])


def test_they_have_no_part_in_a_log_rank():
    rows = [{"swap": 1.0, "mean_path": 2.0}, {"swap": 2.0, "mean_path": 1.0}]
    assert log_rank(rows).tolist() == [math.log(1 / 2), 0.0]
