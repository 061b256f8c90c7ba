"""Trainability against maps whose spectral norm is known: 2 - s - 1/s, averaged over blocks."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nas_ray.errors import ScoreError
from nas_ray.zero_shot.probes import spectral_norm
from nas_ray.zero_shot.trainability import trainability

SCALES = [0.25, 0.5, 1.0, 2.0, 3.0]


def law(scale: float) -> float:
    return 2 - scale - 1 / scale


def orthogonal(scale: float = 1.0, width: int = 8) -> nn.Linear:
    """Keep the length of every vector, times `scale`."""
    layer = nn.Linear(width, width, bias=False)
    nn.init.orthogonal_(layer.weight, gain=scale)
    return layer


def gathering(scale: float, channels: int = 2) -> nn.Conv2d:
    """An orthogonal map of each cell of 2 x 2 pixels to the channels of one."""
    conv = nn.Conv2d(channels, 4 * channels, 2, stride=2, bias=False)
    nn.init.orthogonal_(conv.weight, gain=scale)
    return conv


class Residual(nn.Module):
    """The input plus `inside` of it."""

    def __init__(self, inside: nn.Module) -> None:
        super().__init__()
        self.inside = inside

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inside(x)


@pytest.fixture(autouse=True)
def _one_thread_and_seed():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # tensors are tiny: more threads only wait for each other
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("scale", SCALES)
def test_an_orthogonal_map_scores_0_and_a_scaled_one_2_minus_c_minus_1_over_c(scale):
    network = nn.Sequential(orthogonal(scale))
    assert trainability(network, torch.randn(32, 8)) == pytest.approx(law(scale), abs=1e-4)


@pytest.mark.parametrize("scale", SCALES)
def test_a_strided_convolution_is_the_map_of_a_cell_to_the_channels_of_a_pixel(scale):
    network = nn.Sequential(gathering(scale))
    batch = torch.randn(4, 2, 8, 8)
    assert trainability(network, batch) == pytest.approx(law(scale), abs=1e-4)


def test_blocks_are_averaged_whatever_the_blocks_around_them_do():
    network = nn.Sequential(*[orthogonal(scale) for scale in SCALES])
    expected = sum(law(scale) for scale in SCALES) / len(SCALES)
    assert trainability(network, torch.randn(32, 8)) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("scale", SCALES)
def test_what_has_no_weights_belongs_to_the_block_before(scale):
    class Times(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * scale

    network = nn.Sequential(orthogonal(), Times(), Times(), orthogonal())
    # Two blocks: one scaled twice, one orthogonal.
    expected = (law(max(scale**2, 0.1)) + 0) / 2
    assert trainability(network, torch.randn(32, 8)) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("scale", SCALES)
def test_a_residual_block_is_one_block_with_the_sum_of_its_paths(scale):
    inside = nn.Sequential(orthogonal(), orthogonal())
    with torch.no_grad():
        # The second undoes the first, times scale - 1: with the skip the block is times scale.
        inside[1].weight.copy_((scale - 1) * inside[0].weight.T)
    network = nn.Sequential(Residual(inside))
    assert trainability(network, torch.randn(32, 8)) == pytest.approx(law(scale), abs=1e-4)


@pytest.mark.parametrize("scale", [0.0, 1e-3, 0.1])
def test_a_block_that_lets_next_to_nothing_through_counts_as_one_that_shrinks_tenfold(scale):
    network = nn.Sequential(orthogonal(scale), orthogonal())
    assert trainability(network, torch.randn(8, 8)) == pytest.approx(law(0.1) / 2, rel=1e-3)


def test_a_linear_network_scores_the_same_on_any_batch():
    network = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    first = trainability(network, torch.randn(16, 8))
    assert trainability(network, 100 * torch.randn(16, 8)) == first


def test_no_network_scores_above_0():
    for _ in range(10):
        network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
        assert trainability(network, torch.randn(4, 3, 8, 8)) <= 0


@pytest.mark.parametrize(("outputs", "inputs"), [(6, 6), (12, 5), (5, 12)])
@pytest.mark.parametrize("positions", [4, 40, 1000])
def test_the_norm_is_the_estimate_of_its_formula_and_near_the_true_one(outputs, inputs, positions):
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(outputs, inputs))
    sent = rng.choice([-1.0, 1.0], size=(positions, outputs))
    arrived = sent @ weight
    found = spectral_norm(torch.tensor(arrived), torch.tensor(sent))
    formula = np.linalg.norm(arrived.T @ sent, 2) / np.linalg.norm(sent.T @ sent, 2)
    # The singular values of sent' sent are alike, so power iteration is a few per cent short there.
    assert found == pytest.approx(formula, rel=0.08)
    if positions == 1000:
        # The norm of sent' sent / P is at most about (1 + sqrt(12 / 1000))^2 = 1.24.
        assert np.linalg.norm(weight, 2) / 1.24 < found < np.linalg.norm(weight, 2)


def test_the_norm_grows_with_the_map():
    sent = torch.randn(64, 6).sign()
    arrived = sent @ torch.randn(6, 6)
    assert spectral_norm(5 * arrived, sent) == pytest.approx(5 * spectral_norm(arrived, sent))


def test_a_network_whose_weights_are_not_between_input_and_output_is_refused():
    class Aside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.unused = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return x * 2

    with pytest.raises(ScoreError, match="in Aside no weights lie between the input and an output"):
        trainability(Aside(), torch.randn(4, 4))
