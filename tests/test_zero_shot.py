"""The contract of every zero-shot score, over networks of every kind."""

import copy
import math
from importlib import import_module

import pytest
import torch
from scored_networks import NETWORKS, relu, relu6_ibn
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from nas_ray.errors import ScoreError
from nas_ray.zero_shot import DEFAULT_SCORES, SCORES, Passes, score


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # tensors are tiny: more threads only wait for each other
    yield
    torch.set_num_threads(threads)


#: The public functions: each in a file of its name.
FUNCTIONS = {name: getattr(import_module(f"nas_ray.zero_shot.{name}"), name) for name in SCORES}
#: What says something of the architecture alone, whatever its weights are.
OF_SHAPES = {"complexity", "depth", "effective_macs", "zen"}
#: What needs no way from the outputs back through weights to the input.
FORWARD_ONLY = {"complexity", "naswot", "swap", "zen"}


def each_but(*names: str):
    """A test over all scores but `names`."""
    left = {name: function for name, function in FUNCTIONS.items() if name not in names}
    return pytest.mark.parametrize("function", left.values(), ids=left)


every_score = each_but()
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


@each_but(*OF_SHAPES)
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


@each_but("synflow")
def test_one_sample_is_too_few_for_scores_that_look_at_data(function):
    with pytest.raises(ScoreError, match=r"N >= [24], but got torch.float32 of shape \(1, 3, 8,"):
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


@each_but(*FORWARD_ONLY)
def test_scores_of_gradients_refuse_outputs_that_are_cut_off_with_the_way_out(function):
    with pytest.raises(ScoreError, match=r"CutOff.*[Tt]ake no_grad"):
        function(CutOff(), torch.randn(4, 3))


def test_a_network_that_returns_its_loss_has_no_features_but_all_else():
    class Loss(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return F.relu(super().forward(x)).sum()

    passes = Passes(Loss(3, 3), torch.randn(4, 3))
    for name, function in SCORES.items():
        if name in {"expressivity", "progressivity"}:
            with pytest.raises(ScoreError, match="but Loss has none that could be seen"):
                function(passes)
        else:
            assert math.isfinite(function(passes)), name


# All of them together


@every_network
def test_scores_that_share_passes_are_to_the_bit_those_computed_alone(name):
    network, batch = made(name)
    expected = {name: function(network, batch) for name, function in FUNCTIONS.items()}
    assert score(network, batch) == expected
    assert list(score(network, batch)) == list(SCORES)
    assert score(network, batch, reversed(SCORES)) == expected


def test_only_the_scores_asked_for_are_computed():
    """Of a network without a rectifier naswot cannot be, but nobody asks for it."""
    network, batch = nn.Linear(3, 3), torch.randn(4, 3)
    assert list(score(network, batch, ["depth", "synflow"])) == ["depth", "synflow"]
    assert score(network, batch, []) == {}


def test_each_pass_is_run_once_and_only_if_it_is_needed():
    runs = []

    class Counted(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            runs.append(len(x))
            return F.relu(super().forward(x))

    network, batch = Counted(3, 3), torch.randn(6, 3)
    score(network, batch, ["depth", "naswot", "swap", "expressivity", "trainability"])
    assert runs == [6]
    runs.clear()
    score(network, batch, ["zico", "gradient_norm"])
    assert runs == [3, 3]
    runs.clear()
    score(network, batch, [])
    assert runs == []


def test_shapes_are_all_that_scores_of_shapes_need():
    with torch.device("meta"):
        network, batch = relu6_ibn(), torch.empty(4, 3, 8, 8)
    names = ["complexity", "depth", "effective_macs"]
    assert score(network, batch, names) == score(*made("relu6_ibn"), names)


def test_a_score_that_does_not_exist_is_refused_with_the_nearest():
    with pytest.raises(ScoreError, match=r"no zero-shot score 'nasswot': did you mean 'naswot'"):
        score(*made("relu"), ["nasswot"])


def test_one_score_that_cannot_be_computed_is_an_error_of_all():
    with pytest.raises(ScoreError, match="naswot"):
        score(nn.Linear(3, 3), torch.randn(4, 3))


def test_what_is_scored_by_default_are_scores():
    assert set(DEFAULT_SCORES) <= set(SCORES)


def test_passes_keep_their_network_and_batch_for_scores_of_ones_own():
    network, batch = made("relu")
    passes = Passes(network, batch)
    assert passes.network is network
    assert torch.equal(passes.batch, batch)
