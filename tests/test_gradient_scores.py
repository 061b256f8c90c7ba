"""Gradient norm and ZiCo against gradients by hand."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from nas_ray.errors import ScoreError
from nas_ray.zero_shot.gradient_norm import gradient_norm
from nas_ray.zero_shot.zico import zico

BATCH = torch.tensor([[1.0], [2.0], [1.5], [0.5]])
#: What an output `(2, 1)` is compared with: the documented seeded normal numbers.
TARGETS = torch.randn(2, 1, generator=torch.Generator().manual_seed(0)).numpy()


def single(weight: float) -> nn.Module:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, weight)
    return layer


def slopes(weight: float) -> tuple[float, float]:
    """d/dw of half the mean of (w x - t)^2 is the mean of (w x - t) x, on either half."""
    first, second = BATCH.numpy()[:2], BATCH.numpy()[2:]
    return tuple(float(((weight * x - TARGETS) * x).mean()) for x in (first, second))


@pytest.mark.parametrize("weight", [0.0, 0.7, -3.0])
def test_gradient_norm_of_one_weight_is_the_size_of_its_mean_slope(weight):
    expected = abs(sum(slopes(weight)) / 2)
    assert gradient_norm(single(weight), BATCH) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("weight", [0.0, 0.7, -3.0])
def test_zico_of_one_weight_is_the_logarithm_of_mean_size_over_deviation(weight):
    first, second = slopes(weight)
    expected = math.log(np.mean([abs(first), abs(second)]) / np.std([first, second]))
    assert zico(single(weight), BATCH) == pytest.approx(expected, rel=1e-4)


def test_of_a_chain_gradient_norm_adds_norms_and_zico_adds_logarithms_over_layers():
    outer, inner = 0.5, -2.0
    gradients = []
    for x in (BATCH.numpy()[:2], BATCH.numpy()[2:]):
        error = outer * inner * x - TARGETS
        gradients.append([(error * outer * x).mean(), (error * inner * x).mean()])
    gradients = np.array(gradients)
    network = nn.Sequential(single(inner), single(outer))
    expected = np.abs(gradients.mean(0)).sum()
    assert gradient_norm(network, BATCH) == pytest.approx(expected, rel=1e-5)
    expected = np.log(np.abs(gradients).mean(0) / gradients.std(0)).sum()
    assert zico(network, BATCH) == pytest.approx(expected, rel=1e-4)
    assert abs(expected) > 0.1


def test_classes_are_compared_with_seeded_labels_by_cross_entropy():
    """Of a layer of zeros all classes are as likely: the gradient is (1/C - label) x."""
    layer = nn.Linear(5, 3, bias=False)
    nn.init.zeros_(layer.weight)
    batch = torch.randn(8, 5, generator=torch.Generator().manual_seed(1))
    labels = torch.randint(0, 3, (4,), generator=torch.Generator().manual_seed(0))
    errors = (1 / 3 - nn.functional.one_hot(labels, 3).float()).repeat(2, 1) / 8
    assert gradient_norm(layer, batch) == pytest.approx(float((errors.T @ batch).norm()), rel=1e-5)


def test_zico_leaves_out_weights_whose_gradients_agree():
    torch.manual_seed(0)
    half = torch.randn(3, 4)
    network = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    assert zico(network, half.repeat(2, 1)) == -math.inf


def test_zico_does_not_see_the_scale_of_the_loss():
    """Mean over deviation has no unit: of outputs alike in both halves, only the inputs count."""
    torch.manual_seed(0)
    batch = torch.randn(8, 4)
    layer = nn.Linear(4, 3, bias=False)
    nn.init.zeros_(layer.weight)
    assert zico(layer, 100 * batch) == pytest.approx(zico(layer, batch), rel=1e-4)


@pytest.mark.parametrize("function", [gradient_norm, zico], ids=["gradient_norm", "zico"])
def test_two_halves_need_four_samples(function):
    with pytest.raises(ScoreError, match=r"N >= 4, but got torch.float32 of shape \(3, 4\)"):
        function(nn.Linear(4, 2), torch.randn(3, 4))
