"""NASWOT against a naive loop over Mellor's equation 2."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from nas_ray.errors import ScoreError
from nas_ray.zero_shot.naswot import naswot

JITTER = 1e-6


def log_determinant(codes: np.ndarray) -> float:
    """Of K_ij = units minus Hamming distance of the codes `(N, units)` (Mellor et al., eq. 2)."""
    samples, units = codes.shape
    kernel = np.zeros((samples, samples))
    for i in range(samples):
        for j in range(samples):
            distance = sum(codes[i, u] != codes[j, u] for u in range(units))
            kernel[i, j] = units - distance
    return np.linalg.slogdet(kernel + JITTER * np.eye(samples))[1]


def single(*weights: float, bias: float = 0.0) -> nn.Module:
    """One input, a unit for each weight."""
    layer = nn.Linear(1, len(weights))
    layer.weight = nn.Parameter(torch.tensor(weights).reshape(-1, 1))
    nn.init.constant_(layer.bias, bias)
    return nn.Sequential(layer, nn.ReLU())


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values).reshape(-1, 1)


@pytest.mark.parametrize(
    ("network", "batch", "determinant"),
    [
        # Codes 10 and 01, nothing in common: K = [[2, 0], [0, 2]].
        (single(1.0, -1.0), column(1.0, -1.0), 4),
        # Codes 110 and 000 share the last: K = [[3, 1], [1, 3]].
        (single(1.0, 2.0, 0.0, bias=-0.5), column(1.0, -1.0), 8),
        # Codes 11, 10, 00: K = [[2, 1, 0], [1, 2, 1], [0, 1, 2]].
        (single(2.0, 1.0, bias=-1.0), column(2.0, 0.7, 0.0), 4),
        # Twice the same code: K = [[2, 2], [2, 2]] plus the jitter, (2 + j)^2 - 4.
        (single(1.0, 1.0), column(1.0, 3.0), 4 * JITTER),
    ],
    ids=["opposite", "one_in_common", "three_samples", "the_same"],
)
def test_by_hand(network, batch, determinant):
    assert naswot(network, batch) == pytest.approx(math.log(determinant), abs=1e-5)


def test_a_network_of_two_activations_is_the_loop_over_samples_and_units():
    torch.manual_seed(0)
    first, second = nn.Conv2d(2, 3, 3), nn.Conv2d(3, 4, 3, stride=2)
    batch = torch.randn(5, 2, 8, 8)
    with torch.no_grad():
        before = first(batch)
        after = second(before.clamp(min=0))
    codes = np.concatenate([x.flatten(1).numpy() > 0 for x in (before, after)], axis=1)
    network = nn.Sequential(first, nn.ReLU(), second, nn.ReLU())
    assert codes.shape == (5, 3 * 36 + 4 * 4)
    assert naswot(network, batch) == pytest.approx(log_determinant(codes), rel=1e-6)


@pytest.mark.parametrize(
    "activation", [nn.ReLU6(), nn.Hardswish(), nn.SiLU(), nn.GELU(), nn.LeakyReLU(), nn.ELU(),
                   nn.ReLU(inplace=True), F.relu, torch.relu, F.silu],
    ids=["relu6", "hardswish", "silu", "gelu", "leaky", "elu", "in_place", "F.relu", "torch.relu",
         "F.silu"],
)  # fmt: skip
def test_the_code_of_every_rectifier_is_the_sign_of_what_goes_in(activation):
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 16)

        def forward(self, x):
            return activation(self.layer(x))

    torch.manual_seed(0)
    network, batch = Network(), torch.randn(6, 4)
    codes = network.layer(batch).detach().numpy() > 0
    assert naswot(network, batch) == pytest.approx(log_determinant(codes), rel=1e-6)


def test_batch_norm_normalises_by_the_batch_so_a_shift_of_the_input_does_not_count():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU())
    batch = torch.randn(6, 4)
    assert naswot(network, 2 * batch + 5) == pytest.approx(naswot(network, batch))


def test_the_order_of_samples_does_not_count():
    torch.manual_seed(0)
    network, batch = nn.Sequential(nn.Linear(4, 16), nn.ReLU()), torch.randn(6, 4)
    assert naswot(network, batch.flip(0)) == pytest.approx(naswot(network, batch))


def test_a_gate_is_no_rectifier():
    """Squeeze-and-excitation: its hard sigmoid has no code, so only the ReLU counts."""

    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.gate = nn.Linear(4, 16), nn.Linear(16, 16)

        def forward(self, x):
            x = F.relu(self.layer(x))
            return x * F.hardsigmoid(self.gate(x))

    torch.manual_seed(0)
    network, batch = Gated(), torch.randn(6, 4)
    plain = nn.Sequential(network.layer, nn.ReLU())
    assert naswot(network, batch) == naswot(plain, batch)


@pytest.mark.parametrize("activation", [nn.Tanh(), nn.Sigmoid(), nn.Identity()],
                         ids=["tanh", "sigmoid", "none"])  # fmt: skip
def test_a_network_without_a_rectifier_is_refused_with_the_scores_that_are_left(activation):
    network = nn.Sequential(nn.Linear(4, 4), activation)
    with pytest.raises(ScoreError, match=r"Sequential calls none.*Use synflow and trainability"):
        naswot(network, torch.randn(4, 4))
