"""Zen-score: the law of wide Gaussian layers, and that batch norms take nothing away."""

import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from nas_ray.zero_shot.zen import zen

STEP = 1e-2


def chain(*widths: int, normalised: bool = False) -> nn.Module:
    layers = []
    for before, after in pairwise(widths):
        layers.append(nn.Linear(before, after, bias=False))
        if normalised:
            layers.append(nn.BatchNorm1d(after, affine=False))
    return nn.Sequential(*layers)


@pytest.mark.parametrize("widths", [(300, 400), (300, 400, 500)], ids=["one", "two"])
def test_a_step_grows_by_the_root_of_the_width_in_every_gaussian_layer(widths):
    # Each component is normal with deviation STEP x root of all widths but the last; the mean
    # absolute value of a normal number is root(2 / pi) of its deviation.
    expected = math.log(STEP * math.sqrt(math.prod(widths[:-1])) * math.sqrt(2 / math.pi))
    assert zen(chain(*widths), torch.zeros(64, 300)) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("widths", [(300, 400), (300, 400, 500)], ids=["one", "two"])
def test_what_a_batch_norm_divides_away_is_added_again(widths):
    batch = torch.zeros(64, 300)
    plain, normalised = zen(chain(*widths), batch), zen(chain(*widths, normalised=True), batch)
    assert normalised == pytest.approx(plain, abs=0.05)


def test_weights_and_inputs_of_its_own_do_not_count():
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten())
    batch = torch.randn(4, 3, 8, 8)
    before = zen(network, batch)
    with torch.no_grad():
        network[0].weight.mul_(100)
        network[1].weight.zero_()
    assert zen(network, batch + 7) == before


def test_the_features_are_those_before_positions_are_pooled_away():
    body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    batch = torch.randn(4, 3, 8, 8)
    assert zen(nn.Sequential(body, head), batch) == zen(body, batch)


def test_outputs_that_the_inputs_do_not_reach_are_a_finite_low():
    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(torch.ones_like(x))

    assert zen(Constant(), torch.randn(4, 3)) == pytest.approx(math.log(1e-30))
