"""Whatever a person brings: estimated rightly, or refused with the reason and the way out."""

import dataclasses
import warnings
from dataclasses import replace

import pytest
import torch
from torch import nn

from benchmarks.published import CLASSIFIERS, OTHERS
from nas_ray.errors import TraceError
from nas_ray.graph import UnknownOperatorWarning, parse_signature, signature, subgraphs, trace

SHAPES = {name: (1, 3, min(side, 96), min(side, 96)) for name, (_, side) in CLASSIFIERS.items()}
SHAPES |= {name: shape for name, (_, shape) in OTHERS.items()}
IMAGE = torch.zeros(1, 4, 8, 8)


def network():
    return nn.Sequential(
        *(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(256, 3)),
    )


class Calls(nn.Module):
    """Runs `body(self, x)`; `layer` is a 1x1 convolution of 4 channels."""

    def __init__(self, body):
        super().__init__()
        self.body = body
        self.layer = nn.Conv2d(4, 4, 1, bias=False)

    def forward(self, x):
        return self.body(self, x)


def deprecated(make):
    """What torch means to drop people still bring; whether it warns depends on its version."""

    def quietly():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return make()

    return quietly


def kinds(model, x=IMAGE):
    return [operator.kind for operator in trace(model, x).operators]


@pytest.mark.parametrize("name", SHAPES)
def test_a_published_network_is_estimated_whole(name, small_device):
    with torch.device("meta"):
        model = {**CLASSIFIERS, **OTHERS}[name][0]()
        graph = trace(model, torch.empty(SHAPES[name]))
    assert graph.unknown == ()
    parts = subgraphs(graph)
    assert all(parse_signature(signature(p)) == replace(p, name="", unknown=()) for p in parts)
    cost = small_device.estimate_graph(graph)
    least_ms = graph.macs / (small_device.hardware.macs_per_cycle * 1e9) * 1e3
    assert 0.9 * least_ms <= cost.latency_ms <= cost.latency_ms_upper < float("inf")
    # A batch norm that stands alone keeps its scale, which counts as no weight.
    parameters = sum(p.numel() for p in model.parameters())
    assert 0.95 * parameters <= graph.weight_elements + graph.bias_elements <= 1.02 * parameters


def test_an_unknown_operator_is_named_in_the_cost(small_device):
    with pytest.warns(UnknownOperatorWarning, match=r"aten\.cumsum"):
        cost = small_device.estimate(Calls(lambda _, x: torch.cumsum(x, 1)), IMAGE)
    assert any("operator aten.cumsum is not known" in warning for warning in cost.warnings)


# Recurrence and attention by hand


@pytest.mark.parametrize(
    ("layer", "gates"),
    [(nn.LSTM(8, 16, batch_first=True), 4), (nn.GRU(8, 16, batch_first=True), 3)],
)
def test_a_recurrent_layer_is_its_products_step_by_step(layer, gates):
    """Five steps; the first has no state to multiply. Weights are stored once."""
    graph = trace(layer, torch.zeros(1, 5, 8))
    linear = [operator for operator in graph.operators if operator.kind == "linear"]
    assert sum(operator.macs for operator in linear) == gates * 16 * (5 * 8 + 4 * 16)
    assert graph.macs == sum(operator.macs for operator in linear)
    stored = {operator.weight: operator.weight_elements for operator in linear}
    assert sum(stored.values()) == gates * 16 * (8 + 16)


def test_a_transformer_layer_is_its_products():
    """Width 16, feed-forward 32, 5 tokens: four projections, two products, two linear layers."""
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    graph = trace(layer, torch.zeros(1, 5, 16))
    assert graph.unknown == ()
    assert graph.macs == 5 * (4 * 16 * 16 + 2 * 16 * 32) + 2 * 5 * 5 * 16


# What is looked through


@pytest.mark.parametrize(
    "wrapped",
    [
        nn.DataParallel,
        lambda model: deprecated(lambda: torch.compile(model))(),
        torch.fx.symbolic_trace,
        lambda model: model.half(),
        lambda model: model.bfloat16(),
        lambda model: model.to("meta"),
    ],
    ids=["data_parallel", "compiled", "fx", "half", "bfloat16", "meta"],
)
def test_a_wrapped_or_moved_network_has_the_graph_of_the_plain_one(wrapped):
    model = wrapped(network())
    x = IMAGE.to(next(model.parameters()).dtype)
    assert trace(model, x) == trace(network(), IMAGE)


def test_the_input_may_lie_elsewhere_than_the_network():
    assert trace(network(), IMAGE.to("meta")) == trace(network().to("meta"), IMAGE)


def test_parametrised_weights_are_weights():
    layer = nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 4, 1, bias=False))
    graph = trace(nn.Sequential(layer, layer), IMAGE)
    assert kinds(nn.Sequential(layer, layer)) == ["conv", "conv"]
    assert (graph.macs, graph.weight_elements) == (2 * 16 * 64, 16)


def test_tied_weights_with_biases_of_their_own_are_stored_once():
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    model[1].weight = model[0].weight
    graph = trace(model, torch.zeros(1, 8))
    assert (graph.macs, graph.weight_elements) == (2 * 64, 64)


def test_fake_quantisation_is_no_operator():
    class Rounded(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Conv2d(4, 4, 1)

        def forward(self, x):
            y = torch.fake_quantize_per_tensor_affine(self.layer(x), 0.1, 0, -128, 127)
            return torch.relu(y)

    (operator,) = trace(Rounded(), IMAGE).operators
    assert (operator.kind, operator.activation) == ("conv", "relu")


@pytest.mark.parametrize(
    "result",
    [
        lambda y: y,
        lambda y: {"a": [y]},
        lambda y: (y, 3),
        dataclasses.make_dataclass("Maps", ["map"]),
    ],
    ids=["tensor", "dict_of_lists", "tuple", "dataclass"],
)
def test_results_are_found_in_containers(result):
    graph = trace(Calls(lambda self, x: result(self.layer(x))), IMAGE)
    assert [graph.shape(i) for i in graph.outputs] == [(1, 4, 8, 8)]


# What is counted and what is not


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (lambda self, x: (self.layer(x), x + 1)[1], ["add"]),
        (lambda self, x: torch.cat([self.layer(x)], 1), ["conv"]),
        (lambda self, x: self.layer(x) + torch.zeros_like(x), ["conv", "add"]),
        (lambda self, x: torch.where(x > 0, x, self.layer(x)), ["maximum", "conv", "mul"]),
    ],
    ids=["a_result_nobody_reads", "a_list_of_one", "a_constant_of_a_shape", "where"],
)
def test_operators_are_those_that_a_compiler_would_keep(body, expected):
    assert kinds(Calls(body)) == expected


def test_a_write_into_a_part_is_kept():
    def body(self, x):
        y = self.layer(x)
        y[:, :2].add_(1)
        return y

    assert kinds(Calls(body)) == ["conv", "slice", "add", "concat"]


def test_circular_padding_reaches_the_convolution():
    layer = nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular", bias=False)
    graph = trace(layer, IMAGE)
    assert (graph.macs, graph.weight_elements, graph.unknown) == (144 * 64, 144, ())


@pytest.mark.parametrize(
    "norm",
    [nn.InstanceNorm2d(4), nn.BatchNorm2d(4, track_running_stats=False)],
    ids=["instance_norm", "batch_norm_of_the_batch"],
)
def test_a_norm_by_the_inputs_own_statistics_is_not_folded(norm):
    found = kinds(nn.Sequential(nn.Conv2d(4, 4, 1), norm))
    assert [kind for kind in found if kind != "reshape"] == ["conv", "layer_norm"]


@pytest.mark.parametrize(
    ("layer", "shape", "kernel", "macs"),
    [
        (nn.Conv3d(2, 4, (2, 3, 5)), (1, 2, 4, 6, 8), (6, 5), 2 * 4 * 30 * 3 * 4 * 4),
        (nn.Conv1d(2, 4, 5), (1, 2, 8), (1, 5), 2 * 4 * 5 * 4),
    ],
    ids=["volume", "signal"],
)
def test_a_window_of_any_rank(layer, shape, kernel, macs):
    (operator,) = trace(layer, torch.zeros(shape)).operators
    assert (operator.kernel, operator.macs) == (kernel, macs)


# The model afterwards


def test_what_a_model_keeps_from_a_call_is_not_kept_from_tracing():
    """A grid built at the first call would have no data, and the next real call would fail."""

    class Grid(nn.Module):
        def __init__(self):
            super().__init__()
            self.grid = None

        def forward(self, x):
            if self.grid is None:
                self.grid = torch.ones(x.shape[-1], device=x.device)
                self.register_buffer("table", torch.ones(8, device=x.device))
            return x * self.grid + self.table

    model = Grid()
    trace(model, IMAGE)
    assert model.grid is None
    assert dict(model.named_buffers()) == {}
    assert torch.equal(model(torch.zeros(1, 8)), torch.ones(1, 8))


def test_hooks_stay_and_run():
    model, seen = network(), []
    model[0].register_forward_hook(lambda *call: seen.append(call[-1].shape))
    trace(model, IMAGE)
    model(torch.zeros(2, 4, 8, 8))
    assert seen == [(1, 4, 8, 8), (2, 4, 8, 8)]


# What is refused


@deprecated
def scripted():
    return torch.jit.script(nn.Sequential(nn.ReLU()))


@deprecated
def quantised():
    return torch.ao.quantization.quantize_dynamic(network(), {nn.Linear}, dtype=torch.qint8)


@pytest.mark.parametrize(
    ("make", "x", "rule"),
    [
        (
            scripted,
            IMAGE,
            r"the model \(RecursiveScriptModule\) is a TorchScript module.*Pass the nn",
        ),
        (quantised, IMAGE, r"4 \(Linear\) is quantised already.*Pass the float network"),
        (lambda: nn.LazyConv2d(4, 1), IMAGE, "weight has no shape yet.*Call the model once"),
        (
            lambda: nn.Conv2d(4, 4, 1, dtype=torch.complex64),
            IMAGE,
            r"weight holds complex numbers \(torch.complex64\).*as channels",
        ),
        (nn.ReLU, IMAGE.to(torch.complex64), "an example input holds complex numbers"),
        (network, {"x": IMAGE}, r"a tuple of tensors.*but got a mapping of \['x'\]"),
        (network, torch.zeros(2, 4, 8, 8), r"batch 1 in front.*\(2, 4, 8, 8\).*pass x\[:1\]"),
        (lambda: Calls(lambda _, x: x[x > 0]), IMAGE, "no branch depends on tensor values"),
        (lambda: Calls(lambda _, x: x * x.max().item()), IMAGE, r"Tensor\.item\(\)"),
        (lambda: Calls(lambda _, x: 3), IMAGE, r"must return tensors.*returned int"),
        (lambda: network().half(), IMAGE, "should be the same"),
    ],
    ids=[
        *("scripted", "quantised", "lazy", "complex", "complex_input", "keywords", "batch"),
        *("a_mask", "a_value", "no_tensor", "two_dtypes"),
    ],
)
def test_what_cannot_be_traced_is_refused_with_its_reason(make, x, rule):
    with pytest.raises(TraceError, match=rule):
        trace(make(), x)
