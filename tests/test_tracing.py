"""Tracing: MACs, parameters, lifetimes and fusing against hand arithmetic and published numbers."""

import pytest
import torch
from torch import nn

from nas_ray.errors import TraceError
from nas_ray.graph import UnknownOperatorWarning, trace


def conv_bn(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> list:
    convolution = nn.Conv2d(
        inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False
    )
    return [convolution, nn.BatchNorm2d(outputs)]


class Bottleneck(nn.Module):
    """Inverted residual of MobileNetV2 (Sandler et al., 2018, table 1)."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        expand = [*conv_bn(inputs, hidden, 1), nn.ReLU6(inplace=True)] if expansion > 1 else []
        self.layers = nn.Sequential(
            *expand,
            *conv_bn(hidden, hidden, 3, stride, groups=hidden),
            nn.ReLU6(inplace=True),
            *conv_bn(hidden, outputs, 1),
        )
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x) if self.adds else self.layers(x)


def mobilenet_v2() -> nn.Module:
    """MobileNetV2 at width 1 (Sandler et al., 2018, table 2)."""
    layers = [*conv_bn(3, 32, 3, 2), nn.ReLU6()]
    width = 32
    for expansion, channels, repeats, stride in (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        for n in range(repeats):
            layers.append(Bottleneck(width, channels, stride if n == 0 else 1, expansion))
            width = channels
    layers += [*conv_bn(320, 1280, 1), nn.ReLU6()]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(1280, 1000)]
    return nn.Sequential(*layers)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(4, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.last = nn.Conv2d(4, 8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.first(x))
        return self.last(y + self.second(y))


@pytest.fixture
def image() -> torch.Tensor:
    return torch.zeros(1, 4, 8, 8)


def kinds(model: nn.Module, x: torch.Tensor) -> list[str]:
    return [operator.kind for operator in trace(model, x).operators]


# Counting


def test_mobilenet_v2_has_the_published_macs_and_parameters():
    """300,774,272 MACs at 224 (torchvision's count); 3,504,872 parameters less 17,056 scales."""
    graph = trace(mobilenet_v2(), torch.zeros(1, 3, 224, 224))
    assert graph.macs == 300_774_272
    assert graph.weight_elements == 3_469_760
    assert graph.bias_elements == 17_056 + 1_000
    assert graph.weight_elements + graph.bias_elements == 3_504_872 - 17_056


def test_mobilenet_v2_is_52_convolutions_10_additions_a_mean_and_a_linear_layer():
    found = kinds(mobilenet_v2(), torch.zeros(1, 3, 224, 224))
    assert found.count("conv") + found.count("depthwise_conv") == 52
    assert found.count("depthwise_conv") == 17
    assert found.count("add") == 10
    assert found[-3:] == ["mean", "reshape", "linear"]
    assert len(found) == 52 + 10 + 3


@pytest.mark.parametrize(
    ("layer", "shape", "macs", "weights"),
    [
        (nn.Conv2d(4, 8, 3, stride=2, padding=1), (1, 4, 8, 8), 4 * 9 * 8 * 16, 288),
        (nn.Conv2d(4, 8, 3, groups=2), (1, 4, 8, 8), 2 * 9 * 8 * 36, 144),
        (nn.Conv2d(4, 4, 3, groups=4), (1, 4, 8, 8), 9 * 4 * 36, 36),
        (nn.Conv2d(4, 4, 3, dilation=2), (1, 4, 8, 8), 4 * 9 * 4 * 16, 144),
        (nn.ConvTranspose2d(4, 8, 2, stride=2), (1, 4, 8, 8), 4 * 8 * 4 * 64, 128),
        (nn.Conv1d(4, 8, 5), (1, 4, 20), 4 * 5 * 8 * 16, 160),
        (nn.Linear(6, 3), (1, 6), 18, 18),
        (nn.Linear(6, 3), (1, 5, 6), 90, 18),
        (nn.Linear(6, 3, bias=False), (1, 6), 18, 18),
    ],
    ids=[
        *("strided", "grouped", "depthwise", "dilated", "transposed", "signal"),
        *("linear", "linear_of_a_sequence", "no_bias"),
    ],
)
def test_macs_and_weights_of_a_layer_by_hand(layer, shape, macs, weights):
    graph = trace(layer, torch.zeros(shape))
    assert (graph.macs, graph.weight_elements) == (macs, weights)


def test_a_module_called_twice_works_twice_and_is_stored_once(image):
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(4, 4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(self.layer(x))

    graph = trace(Twice(), image)
    assert graph.macs == 2 * 4 * 4 * 64
    assert (graph.weight_elements, graph.bias_elements) == (16, 4)


def test_tied_weights_are_stored_once(image):
    model = nn.Sequential(nn.Conv2d(4, 4, 1, bias=False), nn.Conv2d(4, 4, 1, bias=False))
    model[1].weight = model[0].weight
    graph = trace(model, image)
    assert (graph.macs, graph.weight_elements) == (2 * 4 * 4 * 64, 16)


# Fusing


@pytest.mark.parametrize("inplace", [False, True], ids=["out_of_place", "in_place"])
def test_convolution_batch_norm_and_activation_are_one_operator(image, inplace):
    model = nn.Sequential(*conv_bn(4, 8, 3), nn.ReLU6(inplace=inplace))
    (operator,) = trace(model, image).operators
    assert (operator.kind, operator.activation) == ("conv", "relu6")
    assert operator.bias_elements == 8
    assert operator.name == "0"


def test_a_result_that_others_read_too_keeps_its_activation_apart(image):
    class Fork(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(4, 4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.layer(x)
            return y + torch.relu(y)

    assert kinds(Fork(), image) == ["conv", "activation", "add"]


def test_a_second_activation_stays_an_operator(image):
    model = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(), nn.Sigmoid())
    assert kinds(model, image) == ["conv", "activation"]


def test_a_batch_norm_before_its_convolution_stays_an_operator(image):
    assert kinds(nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1)), image) == [
        "batch_norm",
        "conv",
    ]


def test_dropout_and_identity_cost_nothing(image):
    assert kinds(nn.Sequential(nn.Dropout(), nn.Identity(), nn.Conv2d(4, 4, 1)), image) == ["conv"]


# Lifetimes


def test_lifetimes_of_a_residual_network_by_hand(image):
    """Operators: 0 first+relu, 1 second, 2 add, 3 last. The skip lives until the addition."""
    graph = trace(Residual(), image)
    assert [operator.kind for operator in graph.operators] == ["conv", "conv", "add", "conv"]
    assert graph.lifetimes == {0: (-1, 0), 1: (0, 2), 2: (1, 2), 3: (2, 3), 4: (3, 4)}


def test_a_view_lives_in_the_memory_of_what_it_shows(image):
    graph = trace(nn.Sequential(nn.Conv2d(4, 4, 1), nn.Flatten(), nn.Linear(256, 3)), image)
    # Operators: 0 conv, 1 reshape, 2 linear; tensors: 0 image, 1 map, 2 its view, 3 logits.
    assert graph.tensors[2].storage == 1
    assert graph.lifetimes == {0: (-1, 0), 1: (0, 2), 3: (2, 3)}


def test_an_in_place_network_has_the_graph_of_its_out_of_place_twin(image):
    def network(inplace: bool) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(4, 4, 1), nn.Hardswish(inplace=inplace), nn.Conv2d(4, 4, 1), nn.ReLU(inplace)
        )

    assert trace(network(True), image) == trace(network(False), image)


def test_several_inputs_and_outputs_in_a_dict(image):
    class Heads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Conv2d(4, 2, 1), nn.Conv2d(4, 3, 1)

        def forward(self, x: torch.Tensor, y: torch.Tensor) -> dict:
            return {"left": self.left(x + y), "right": [self.right(y)]}

    graph = trace(Heads(), (image, image))
    assert graph.inputs == (0, 1)
    assert [graph.shape(i) for i in graph.outputs] == [(1, 2, 8, 8), (1, 3, 8, 8)]


# What cannot be traced


def test_an_operator_outside_the_vocabulary_is_named_and_kept(image):
    class Cumulative(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cumsum(x, dim=1)

    with pytest.warns(UnknownOperatorWarning, match=r"outside the vocabulary: aten\.cumsum"):
        graph = trace(Cumulative(), image)
    assert graph.unknown == ("aten.cumsum",)
    assert [operator.kind for operator in graph.operators] == ["unknown"]


def test_control_flow_on_values_is_refused(image):
    class Branch(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(TraceError, match="no branch depends on tensor values"):
        trace(Branch(), image)


def test_control_flow_on_shapes_is_followed(image):
    class Branch(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(x) if x.shape[-1] == 8 else torch.sigmoid(x)

    (operator,) = trace(Branch(), image).operators
    assert operator.activation == "relu"


@pytest.mark.parametrize(
    ("model", "value", "message"),
    [
        (nn.ReLU(), torch.zeros(2, 4), r"batch 1 in front, but its shape is \(2, 4\)"),
        (nn.ReLU(), torch.zeros(4), "batch 1 in front"),
        (nn.ReLU(), (3,), "must be a tensor, but got int"),
        (torch.relu, torch.zeros(1, 4), r"must be a torch\.nn\.Module"),
        (nn.Linear(3, 3), torch.zeros(1, 4), r"Linear could not be traced on input \(1, 4\)"),
    ],
    ids=["batch_2", "no_batch", "a_number", "a_function", "wrong_width"],
)
def test_what_cannot_be_traced_is_refused_with_the_value(model, value, message):
    with pytest.raises(TraceError, match=message):
        trace(model, value)


# The model afterwards


def test_the_model_is_left_as_it_was(image):
    torch.manual_seed(0)
    model = nn.Sequential(*conv_bn(4, 4, 3), nn.Dropout(), nn.Sequential(*conv_bn(4, 4, 3)))
    model.train()
    model[3].eval()
    modes = [module.training for module in model.modules()]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random_state = torch.get_rng_state()
    trace(model, image)
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), random_state)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert model(torch.rand(2, 4, 8, 8)).device.type == "cpu"


def test_the_mode_is_restored_after_an_error():
    model = nn.Sequential(nn.Linear(3, 3)).train()
    with pytest.raises(TraceError):
        trace(model, torch.zeros(1, 4))
    assert model.training
    assert model[0].training


def test_tracing_repeats(image):
    model = Residual()
    assert trace(model, image) == trace(model, image)
