"""Synflow against hand arithmetic: the sum over all paths of the product of absolute weights."""

import math

import pytest
import torch
from torch import nn

from nas_ray.zero_shot.synflow import synflow


def linear(*rows, bias=None) -> nn.Linear:
    weight = torch.tensor(rows, dtype=torch.float32)
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    layer.weight = nn.Parameter(weight)
    if bias is not None:
        layer.bias = nn.Parameter(torch.tensor(bias))
    return layer


def flow(*layers: nn.Module, shape=(1, 1)) -> float:
    """The score without its logarithm."""
    return math.exp(synflow(nn.Sequential(*layers), torch.randn(shape)))


def test_a_chain_of_single_weights_is_their_absolute_product_once_for_each_layer():
    # Every |w dR/dw| is the whole product 2 x 3 x 0.5 = 3.
    assert flow(linear([-2.0]), linear([3.0]), linear([-0.5])) == pytest.approx(3 * 3.0)


def test_a_linear_network_by_hand():
    # |W2| |W1| 1 for W1 = [[1, -2], [3, 0]], W2 = [[-1, 2]]: 1 x 3 + 2 x 3 = 9, for two layers.
    layers = linear([1.0, -2.0], [3.0, 0.0]), linear([-1.0, 2.0])
    assert flow(*layers, shape=(1, 2)) == pytest.approx(2 * 9)


def test_a_bias_adds_to_what_flows_on_and_is_no_weight_itself():
    # R = 4 (2 + |-3|) + 1. By w1: 2 x 4; by w2: 4 x 5; the biases themselves do not count.
    layers = linear([2.0], bias=[-3.0]), linear([-4.0], bias=[1.0])
    assert flow(*layers) == pytest.approx(8 + 20)


def test_a_convolution_by_hand():
    # A 3x3 of |w| = 0.5 over 4x4 ones without padding: 4 places x 9 x 0.5.
    conv = nn.Conv2d(1, 1, 3, bias=False)
    nn.init.constant_(conv.weight, -0.5)
    assert flow(conv, shape=(1, 1, 4, 4)) == pytest.approx(18)


def test_a_residual_adds_its_paths():
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = linear([2.0]), linear([3.0])

        def forward(self, x):
            x = self.first(x)
            return x + self.second(x)

    # R = 2 + 2 x 3: w1 is on both paths, w2 on the longer one.
    assert math.exp(synflow(Residual(), torch.ones(1, 1))) == pytest.approx(8 + 6)


def test_signs_of_weights_and_what_is_in_the_batch_do_not_count():
    first, second = nn.Linear(4, 8), nn.Linear(8, 3)
    network = nn.Sequential(first, nn.ReLU(), second)
    before = synflow(network, torch.randn(2, 4))
    with torch.no_grad():
        first.weight *= torch.randn(8, 4).sign()
        second.bias.neg_()
    assert synflow(network, torch.randn(5, 4) * 100) == pytest.approx(before)


@pytest.mark.parametrize("factor", [1e-3, 7.0])
def test_scaling_one_layer_adds_the_logarithm_of_the_factor(factor):
    layers = [nn.Linear(4, 8, bias=False), nn.ReLU(), nn.Linear(8, 3, bias=False)]
    network = nn.Sequential(*layers)
    before = synflow(network, torch.zeros(2, 4))
    with torch.no_grad():
        layers[2].weight *= factor
    after = synflow(network, torch.zeros(2, 4))
    assert after - before == pytest.approx(math.log(factor), abs=1e-5)


@pytest.mark.parametrize(
    "between",
    [
        nn.ReLU(), nn.ReLU6(), nn.Hardswish(), nn.SiLU(), nn.GELU(), nn.BatchNorm1d(8),
        nn.LayerNorm(8), nn.Dropout(0.9),
    ],
    ids=lambda module: type(module).__name__,
)  # fmt: skip
def test_what_saturates_normalises_or_drops_is_let_through(between):
    first, second = nn.Linear(4, 8), nn.Linear(8, 3)
    nn.init.constant_(first.weight, 100.0)  # far into the part where ReLU6 is flat
    batch = torch.zeros(2, 4)
    plain = synflow(nn.Sequential(first, second), batch)
    assert synflow(nn.Sequential(first, between, second), batch) == pytest.approx(plain)


def test_nothing_gets_through_a_layer_of_zeros():
    assert synflow(nn.Sequential(linear([0.0]), linear([3.0])), torch.ones(1, 1)) == -math.inf


def test_a_deep_network_does_not_leave_the_range_of_numbers():
    # Each layer multiplies the sum of its 4 units by 4 x 10: R = 4 x 40^60, far beyond float32.
    layers = [nn.Linear(4, 4, bias=False) for _ in range(60)]
    for layer in layers:
        nn.init.constant_(layer.weight, -10.0)
    expected = math.log(60) + 60 * math.log(40) + math.log(4)
    assert synflow(nn.Sequential(*layers), torch.zeros(1, 4)) == pytest.approx(expected)
