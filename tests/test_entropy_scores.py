"""Expressivity and progressivity on features whose eigenvalues are known."""

import math
from itertools import product

import pytest
import torch
from torch import nn

from nas_ray.zero_shot.entropy import entropy
from nas_ray.zero_shot.expressivity import expressivity
from nas_ray.zero_shot.progressivity import progressivity

#: All signs of 4 channels once: the covariance is exactly the identity.
WHITE = torch.tensor(list(product((-1.0, 1.0), repeat=4)))


def diagonal(*scales: float) -> nn.Linear:
    layer = nn.Linear(len(scales), len(scales), bias=False)
    layer.weight = nn.Parameter(torch.diag(torch.tensor(scales, dtype=torch.float32)))
    return layer


def orthogonal(width: int = 4) -> nn.Linear:
    torch.manual_seed(0)
    layer = nn.Linear(width, width)
    nn.init.orthogonal_(layer.weight)
    return layer


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        (WHITE, math.log(4)),
        (100 * WHITE + 7, math.log(4)),
        (WHITE * torch.tensor([1.0, 1.0, 0.0, 0.0]), math.log(2)),
        (WHITE[:, :1].expand(-1, 4), 0.0),
        (torch.full((16, 4), 3.0), 0.0),
        # Variances 9 and 1: shares 0.9 and 0.1.
        (WHITE[:, :2] * torch.tensor([3.0, 1.0]), -0.9 * math.log(0.9) - 0.1 * math.log(0.1)),
        # Two centred samples of many channels differ along one line only.
        (torch.eye(2, 9), 0.0),
        (torch.eye(6, 40), math.log(5)),
        (WHITE.reshape(4, 4, 4).permute(0, 2, 1).reshape(4, 4, 2, 2), math.log(4)),
    ],
    ids=[
        *("white", "scale_and_shift", "half_dead", "all_alike", "constant", "nine_to_one"),
        *("two_samples", "fewer_samples_than_channels", "image"),
    ],
)
def test_the_entropy_by_hand(features, expected):
    assert entropy(features) == pytest.approx(expected, abs=1e-5)


def test_expressivity_sums_the_blocks_without_the_head():
    network = nn.Sequential(orthogonal(), diagonal(1, 1, 0, 0), nn.Linear(4, 9))
    assert expressivity(network, WHITE) == pytest.approx(math.log(4) + math.log(2), abs=1e-5)


def test_of_one_block_alone_it_is_the_entropy_of_that():
    assert expressivity(diagonal(1, 1, 1, 0), WHITE) == pytest.approx(math.log(3), abs=1e-5)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([orthogonal(), orthogonal()], 0.0),
        ([diagonal(1, 1, 1, 0), diagonal(1, 0, 0, 0)], -math.log(3)),
        ([diagonal(1, 0, 0, 0), orthogonal()], -math.log(4)),
    ],
    ids=["kept", "three_to_one", "first_over_the_batch"],
)
def test_progressivity_is_the_smallest_gain(layers, expected):
    network = nn.Sequential(*layers, nn.Linear(4, 2))
    assert progressivity(network, WHITE) == pytest.approx(expected, abs=1e-4)


def test_a_block_that_pools_positions_away_does_not_count():
    body = [nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU()]
    batch = torch.randn(16, 3, 8, 8)
    pooled = nn.Sequential(
        *body, nn.Conv2d(8, 8, 1), nn.Flatten(2), nn.Conv1d(8, 8, 1), nn.Flatten()
    )
    plain = nn.Sequential(*body, nn.Conv2d(8, 8, 1))
    assert expressivity(pooled, batch) == expressivity(plain, batch)


def test_what_is_read_are_the_features_not_what_overwrites_them():
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.Conv2d(8, 4, 3)
    batch = torch.randn(16, 3, 8, 8)
    first, second, third = layers
    out_of_place, in_place = (
        nn.Sequential(first, nn.ReLU(p), second, nn.ReLU(p), third) for p in (False, True)
    )
    assert expressivity(in_place, batch) == expressivity(out_of_place, batch)
