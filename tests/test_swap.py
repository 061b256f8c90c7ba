"""SWAP against patterns counted by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from nas_ray.errors import ScoreError
from nas_ray.zero_shot.swap import swap


def units(*weights: float, bias: float = 0.0) -> nn.Module:
    """One input, a unit for each weight."""
    layer = nn.Linear(1, len(weights))
    layer.weight = nn.Parameter(torch.tensor(weights).reshape(-1, 1))
    nn.init.constant_(layer.bias, bias)
    return nn.Sequential(layer, nn.ReLU())


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values).reshape(-1, 1)


@pytest.mark.parametrize(
    ("network", "batch", "patterns"),
    [
        # Patterns over the samples 1 and -1: 10, 01, 10 once more.
        (units(1.0, -1.0, 2.0), column(1.0, -1.0), 2),
        # Units w x - 1 over 2, 0.7, 0: of w = 2 they are 110, of 1 100, of 0 000.
        (units(2.0, 1.0, 0.0, bias=-1.0), column(2.0, 0.7, 0.0), 3),
        (units(1.0, 2.0, 3.0), column(1.0, 2.0), 1),
    ],
    ids=["two_opposite_one_double", "three", "all_the_same"],
)
def test_by_hand(network, batch, patterns):
    assert swap(network, batch) == patterns


def test_a_pattern_of_two_activations_counts_once():
    first, second = nn.Linear(4, 8), nn.Linear(8, 6)
    torch.manual_seed(0)
    batch = torch.randn(3, 4)
    before = first(batch)
    codes = torch.cat([before, second(before.relu())], dim=1).T > 0
    assert swap(nn.Sequential(first, nn.ReLU(), second, nn.ReLU()), batch) == len(
        codes.unique(dim=0)
    )


@pytest.mark.parametrize("samples", [2, 20, 21, 24, 25, 60, 100])
def test_however_many_samples_there_are_the_count_is_that_of_the_columns(samples):
    """Patterns longer than a machine word are compared in full, or as good as that."""
    torch.manual_seed(0)
    layer, batch = nn.Linear(2, 300), torch.randn(samples, 2)
    columns = (layer(batch) > 0).numpy()
    network = nn.Sequential(layer, nn.ReLU())
    assert swap(network, batch) == len(np.unique(columns, axis=1).T)


def test_the_order_of_samples_and_a_second_copy_of_every_unit_do_not_count():
    torch.manual_seed(0)
    layer, batch = nn.Conv2d(2, 5, 3), torch.randn(5, 2, 8, 8)
    network = nn.Sequential(layer, nn.ReLU())
    twice = nn.Conv2d(2, 10, 3)
    twice.weight = nn.Parameter(layer.weight.repeat(2, 1, 1, 1))
    twice.bias = nn.Parameter(layer.bias.repeat(2))
    expected = swap(network, batch)
    assert swap(network, batch.flip(0)) == expected
    assert swap(nn.Sequential(twice, nn.ReLU()), batch) == expected


def test_a_network_without_a_rectifier_is_refused_with_the_scores_that_are_left():
    with pytest.raises(ScoreError, match=r"Sequential calls none.*Use synflow and trainability"):
        swap(nn.Sequential(nn.Linear(4, 4), nn.Tanh()), torch.randn(4, 4))
