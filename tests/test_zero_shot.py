"""The contract of every zero-shot score, over networks of every kind."""

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from nas_ray import zero_shot
from nas_ray.errors import ScoreError
from nas_ray.zero_shot.scores import SCORES


class Residual(nn.Module):
    """A skip connection around a block, which takes part of the gradient."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x)


class Functional(nn.Module):
    """Calls without modules, in place and random even in eval mode; two outputs in a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(12, 16), nn.Linear(16, 4)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        self.calls += 1
        x = F.relu_(self.first(x.flatten(1)))
        x = F.dropout(x, 0.5, training=True)
        return {"logits": self.second(x), "features": x}


def relu() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Dropout(0.5),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
    )  # fmt: skip


def relu6_ibn() -> nn.Module:
    ibn = nn.Sequential(
        nn.Conv2d(8, 16, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6(),
        nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False), nn.BatchNorm2d(16), nn.ReLU6(),
        nn.Conv2d(16, 8, 1, bias=False), nn.BatchNorm2d(8),
    )  # fmt: skip
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), Residual(ibn), nn.Flatten(), nn.Linear(72, 4)
    )


def hardswish() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.Hardswish(), nn.Conv2d(8, 4, 1), nn.Hardsigmoid()
    )


def silu_1d() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(3, 8, 5, stride=2), nn.BatchNorm1d(8), nn.SiLU(), Residual(nn.Conv1d(8, 8, 1))
    )


#: A network and the shape of one of its samples.
NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "relu": (relu, (3, 8, 8)),
    "relu6_ibn": (relu6_ibn, (3, 8, 8)),
    "hardswish": (hardswish, (3, 8, 8)),
    "silu_1d": (silu_1d, (3, 32)),
    "functional": (Functional, (12,)),
}


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # tensors are tiny: more threads only wait for each other
    yield
    torch.set_num_threads(threads)


every_score = pytest.mark.parametrize("function", SCORES, ids=lambda function: function.__name__)
every_network = pytest.mark.parametrize("name", NETWORKS)


def made(name: str, samples: int = 6) -> tuple[nn.Module, Tensor]:
    """A batch, and a network with running statistics, gradients and modules in either mode."""
    build, shape = NETWORKS[name]
    torch.manual_seed(0)
    network, batch = build(), torch.randn(samples, *shape)
    network(torch.randn(4, *shape) * 3 + 1)  # running statistics that are none of the start
    first, *others = network.parameters()
    first.grad = torch.randn_like(first)
    others[-1].requires_grad_(False)
    for module in list(network.modules())[::2]:
        module.training = False
    return network, batch


def snapshot(network: nn.Module) -> list:
    """All that a score could have changed."""
    return [
        copy.deepcopy(network.state_dict()),
        [(p, p._version, p.requires_grad) for p in network.parameters()],
        [None if p.grad is None else p.grad.clone() for p in network.parameters()],
        [(b, b._version) for b in network.buffers()],
        [module.training for module in network.modules()],
        [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in network.modules()],
        torch.random.get_rng_state(),
        torch.is_grad_enabled(),
    ]


def assert_same(now: object, before: object) -> None:
    if isinstance(before, Tensor):
        assert now is before or torch.equal(now, before)
    elif isinstance(before, dict):
        assert_same(list(now.items()), list(before.items()))
    elif isinstance(before, (list, tuple)):
        assert len(now) == len(before)
        for one, other in zip(now, before, strict=True):
            assert_same(one, other)
    else:
        assert now == before


@every_score
@every_network
def test_a_score_is_a_finite_number(function, name):
    value = function(*made(name))
    assert type(value) is float
    assert math.isfinite(value)


@every_score
@every_network
def test_a_score_is_the_same_every_time_whatever_the_global_rng(function, name):
    network, batch = made(name)
    first = function(network, batch)
    torch.manual_seed(99)
    assert function(network, batch) == first
    assert function(copy.deepcopy(network), batch.clone()) == first


@every_score
@every_network
def test_a_score_leaves_weights_gradients_buffers_mode_and_rng_as_they_were(function, name):
    network, batch = made(name)
    before, values = snapshot(network), batch.clone()
    function(network, batch)
    assert_same(snapshot(network), before)
    assert torch.equal(batch, values)
    assert (batch.grad, batch.requires_grad) == (None, False)


@every_score
@every_network
def test_a_score_does_not_depend_on_the_mode(function, name):
    network, batch = made(name)
    assert function(network.train(), batch) == function(network.eval(), batch)


@every_score
@every_network
def test_a_score_does_not_depend_on_running_statistics_or_gradients(function, name):
    network, batch = made(name)
    expected = function(network, batch)
    for buffer in network.buffers():
        buffer.zero_()
    network.zero_grad()
    network.requires_grad_(requires_grad=False)
    assert function(network, batch) == expected


@every_score
@pytest.mark.parametrize(
    "context", [torch.no_grad, torch.inference_mode, torch.enable_grad], ids=lambda c: c.__name__
)
def test_a_score_does_not_depend_on_the_gradient_mode_it_is_called_in(function, context):
    network, batch = made("relu6_ibn")
    expected = function(network, batch)
    with context():
        assert function(network, batch) == expected


@every_score
def test_a_score_sees_the_weights(function):
    first, batch = made("relu6_ibn")
    torch.manual_seed(1)
    assert function(relu6_ibn(), batch) != function(first, batch)


@every_score
def test_a_network_that_raises_is_left_as_it_was_too(function):
    network, batch = made("relu")
    before = snapshot(network)
    with pytest.raises(RuntimeError):
        function(network, batch[:, :2])
    assert_same(snapshot(network), before)


NO_BATCH = {
    "integers": torch.zeros(6, 3, 8, 8, dtype=torch.uint8),
    "no_samples": torch.zeros(0, 3, 8, 8),
    "no_axis_of_samples": torch.zeros(6),
    "scalar": torch.tensor(1.0),
}


@every_score
@pytest.mark.parametrize("batch", NO_BATCH.values(), ids=NO_BATCH)
def test_what_is_no_batch_is_refused_with_its_type_and_shape(function, batch):
    with pytest.raises(ScoreError) as raised:
        function(relu(), batch)
    assert f"but got {batch.dtype} of shape {tuple(batch.shape)}" in str(raised.value)


@pytest.mark.parametrize("function", [s for s in SCORES if s.__name__ != "synflow"],
                         ids=lambda function: function.__name__)  # fmt: skip
def test_one_sample_is_too_few_for_scores_that_look_at_data(function):
    with pytest.raises(ScoreError, match=r"N >= 2, but got torch.float32 of shape \(1, 3, 8, 8\)"):
        function(relu(), torch.randn(1, 3, 8, 8))


@every_score
@pytest.mark.parametrize(
    "network", [nn.ReLU(), nn.BatchNorm2d(3)], ids=["no_parameters", "vectors_only"]
)
def test_a_network_without_weights_is_refused(function, network):
    with pytest.raises(ScoreError, match="looks at the weights"):
        function(network, torch.randn(4, 3, 8, 8))


class CutOff(nn.Module):
    """The outputs do not depend on weights and inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.layer(x)).detach()


@pytest.mark.parametrize("function", [s for s in SCORES if s.__name__ != "naswot"],
                         ids=lambda function: function.__name__)  # fmt: skip
def test_scores_of_gradients_refuse_outputs_that_are_cut_off_with_the_way_out(function):
    with pytest.raises(ScoreError, match=r"CutOff.*[Tt]ake no_grad"):
        function(CutOff(), torch.randn(4, 3))


# All of them together


def test_all_scores_by_name():
    network, batch = made("relu6_ibn")
    expected = {function.__name__: function(network, batch) for function in SCORES}
    assert zero_shot.score(network, batch) == expected
    assert list(expected) == ["naswot", "synflow", "trainability"]


def test_one_score_that_cannot_be_computed_is_an_error_of_all():
    with pytest.raises(ScoreError, match="naswot"):
        zero_shot.score(nn.Linear(3, 3), torch.randn(4, 3))
