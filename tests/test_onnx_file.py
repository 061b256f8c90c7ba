"""Written models run in onnxruntime, and compute what torch computes where a graph says enough."""

import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

pytest.importorskip("onnx", reason="the extra onnx is not installed")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

import onnx
import onnxruntime

from nas_ray.errors import MeasureError
from nas_ray.graph import trace
from nas_ray.graph.vocabulary import POINTWISE
from nas_ray.measure import blocks
from nas_ray.measure.families import MOBILE, OTHER_KINDS
from nas_ray.measure.onnx_file import to_onnx
from nas_ray.measure.sampling import sample_subgraphs


class Calls(nn.Module):
    """A network that is one Python function."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def run(content, *inputs):
    """The outputs of a model; without `inputs`, for random ones."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    # The lowest level at which a size that differs from the declared one is told: none may.
    options.log_severity_level = 2
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    given = inputs or [
        np.zeros(tensor.shape, np.int64)
        if "int64" in tensor.type
        else rng.uniform(size=tensor.shape).astype(np.float32)
        for tensor in session.get_inputs()
    ]
    names = [tensor.name for tensor in session.get_inputs()]
    return session.run(None, dict(zip(names, given, strict=True)))


def constants(content):
    """The constants of a model in the order written."""
    model = onnx.load_from_string(content)
    return [onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer]


def check_shapes(graph):
    content = to_onnx(graph)
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
    assert [x.shape for x in run(content)] == [graph.shape(tensor) for tensor in graph.outputs]
    return content


def test_random_subgraphs_of_mobile_networks_run_with_their_shapes_weights_and_biases():
    for graph in sample_subgraphs(30, np.random.default_rng(2), families=MOBILE):
        content = check_shapes(graph)
        biases, sloped = (
            graph.bias_elements,
            (o for o in graph.operators if o.activation == "prelu"),
        )
        slopes = sum(graph.shape(operator.outputs[0])[1] for operator in sloped)
        numbers = [x.size for x in constants(content) if x.dtype == np.float32 and x.ndim]
        assert sum(numbers) == graph.weight_elements + biases + slopes


#: What of the sampled families has no ONNX form, by the words of the refusal.
NOT_WRITTEN = ("'avg_pool' has a window", "takes its weights from another operator")


def test_random_subgraphs_of_other_networks_run_with_their_shapes_or_are_refused_as_known():
    for graph in sample_subgraphs(100, np.random.default_rng(3), families=OTHER_KINDS):
        try:
            check_shapes(graph)
        except MeasureError as error:
            assert any(words in str(error) for words in NOT_WRITTEN), error  # noqa: PT017 - some may


EVERY_KIND = {
    "conv_dilated": (nn.Conv2d(3, 8, (3, 5), padding=2, dilation=2), (1, 3, 12, 14)),
    "conv_grouped": (nn.Conv2d(8, 16, 3, padding=1, groups=4, stride=2), (1, 8, 9, 8)),
    "conv_more_than_same": (nn.Conv2d(4, 4, 3, padding=2), (1, 4, 6, 6)),
    "conv_signal": (nn.Conv1d(4, 8, 3, stride=2, padding=1), (1, 4, 21)),
    "depthwise": (nn.Conv2d(8, 8, 5, padding=2, groups=8), (1, 8, 9, 7)),
    "transposed": (nn.ConvTranspose2d(8, 4, 2, stride=2), (1, 8, 5, 6)),
    "transposed_output_padding": (
        nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1),
        (1, 8, 5, 6),
    ),
    "transposed_grouped": (nn.ConvTranspose2d(8, 16, 4, 2, 1, groups=4), (1, 8, 5, 6)),
    "transposed_signal": (nn.ConvTranspose1d(8, 4, 4, stride=2, padding=1), (1, 8, 9)),
    "linear": (nn.Linear(8, 5), (1, 8)),
    "linear_of_tokens": (nn.Linear(8, 5, bias=False), (1, 3, 8)),
    "attention": (nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), (1, 6, 16)),
    "batch_norm_alone": (nn.BatchNorm2d(4), (1, 4, 5, 6)),
    "layer_norm": (nn.LayerNorm(8), (1, 5, 8)),
    "layer_norm_plain": (nn.LayerNorm(8, elementwise_affine=False), (1, 5, 8)),
    "layer_norm_two_axes": (nn.LayerNorm((5, 8)), (1, 5, 8)),
    "layer_norm_no_shift": (nn.LayerNorm(8, bias=False), (1, 5, 8)),
    "max_pool_ceil": (nn.MaxPool2d(2, ceil_mode=True), (1, 4, 7, 9)),
    "avg_pool_signal": (nn.AvgPool1d(2), (1, 4, 8)),
    "adaptive_pool": (nn.AdaptiveAvgPool2d(2), (1, 4, 8, 6)),
    "head": (blocks.head(8, 10), (1, 8, 5, 5)),
    "mean_of_a_middle_axis": (Calls(lambda x: x.mean(1)), (1, 3, 4)),
    "mean_kept": (Calls(lambda x: x.mean(1, keepdim=True)), (1, 3, 4, 5)),
    "concat": (Calls(lambda x: torch.cat([x, x.relu()], 1)), (1, 3, 4, 5)),
    "concat_constant": (Calls(lambda x: torch.cat([torch.zeros(1, 2, 5), x], 1)), (1, 4, 5)),
    "stack": (Calls(lambda x: torch.stack([x, x.relu()], 2)), (1, 3, 4)),
    "split": (Calls(lambda x: [y.relu() for y in x.split([1, 3], 1)]), (1, 4, 5, 6)),
    "unbind": (Calls(lambda x: sum(x.unbind(1))), (1, 3, 4)),
    "select": (Calls(lambda x: x[:, :, 1] * 2), (1, 3, 4)),
    "split_of_the_last_axis": (Calls(lambda x: [y.exp() for y in x.split(2, -1)]), (1, 4, 6)),
    "glu": (nn.GLU(1), (1, 6, 4, 5)),
    "group_norm": (nn.GroupNorm(2, 8), (1, 8, 4, 4)),
    "instance_norm_affine": (nn.InstanceNorm1d(4, affine=True), (1, 4, 9)),
    "rms_norm": (nn.RMSNorm(8), (1, 5, 8)),
    "added_product": (Calls(lambda x: torch.baddbmm(x, x, x)), (1, 4, 4)),
    "pixel_unshuffle": (nn.PixelUnshuffle(2), (1, 3, 4, 6)),
    "variance": (Calls(lambda x: x.var(1)), (1, 3, 4)),
    "place_of_the_largest": (Calls(lambda x: x.argmax(1)), (1, 3, 4)),
    "whole_mean": (Calls(lambda x: x.mean() * x), (1, 3, 4)),
    "expand": (Calls(lambda x: x[:, :, :1].expand(1, 3, 7) * 2), (1, 3, 4)),
    "transpose": (Calls(lambda x: x.transpose(1, 2).contiguous()), (1, 3, 4)),
    "matmul": (Calls(lambda x: x @ x.transpose(1, 2)), (1, 3, 4)),
    "pad": (nn.ZeroPad2d((1, 2, 3, 4)), (1, 2, 5, 6)),
    "crop": (nn.ZeroPad2d(-1), (1, 2, 5, 6)),
    "resize": (nn.Upsample(scale_factor=2, mode="bilinear"), (1, 4, 5, 6)),
    "resize_signal": (nn.Upsample(scale_factor=2), (1, 4, 5)),
    "pixel_shuffle": (nn.PixelShuffle(2), (1, 8, 5, 6)),
    "softmax": (nn.Softmax(-1), (1, 5)),
    "constant_per_channel": (Calls(lambda x: x * torch.ones(4, 1, 1)), (1, 4, 5, 6)),
    "prelu": (nn.PReLU(4), (1, 4, 5, 6)),
    "minimum": (Calls(lambda x: torch.minimum(x, x * x) - x), (1, 4)),
    "input_given_back": (Calls(lambda x: (x, x.relu())), (1, 4)),
}


@pytest.mark.parametrize("name", EVERY_KIND)
def test_an_operator_of_every_kind_runs_with_the_shapes_of_the_graph(name):
    network, shape = EVERY_KIND[name]
    check_shapes(trace(network, torch.zeros(shape)))


def test_a_look_up_takes_whole_numbers():
    content = check_shapes(trace(nn.Embedding(20, 8), torch.zeros(1, 5, dtype=torch.long)))
    table = constants(content)[0]
    assert table.shape == (20, 8)
    positions = np.array([[3, 1, 4, 1, 5]])
    np.testing.assert_array_equal(run(content, positions)[0], table[positions])


@pytest.mark.parametrize("activation", sorted(set(POINTWISE.values()) - {"prelu"}))
def test_every_activation_of_the_vocabulary_computes_what_torch_computes(activation):
    values = torch.linspace(-8.0, 8.0, 33)[None]
    if activation in {"log", "sqrt", "rsqrt"}:
        values = values.abs() + 0.1
    function = getattr(functional, activation, None) or getattr(torch, activation)
    (found,) = run(to_onnx(trace(Calls(function), values)), values.numpy())
    np.testing.assert_allclose(found, function(values).numpy(), rtol=2e-6, atol=2e-6)


SAME_RESULT = {
    "softmax_of_channels": Calls(lambda x: x.softmax(1)),
    "softmax_of_rows": Calls(lambda x: x.softmax(2)),
    "mean_of_an_image": Calls(lambda x: x.mean((2, 3))),
    "mean_of_rows": Calls(lambda x: x.mean(2, keepdim=True)),
    "mean_of_channels": Calls(lambda x: x.mean(1)),
    "sum_of_columns": Calls(lambda x: x.sum(-1)),
    "largest_of_an_image": Calls(lambda x: x.amax((2, 3))),
    "global_max_pool": nn.AdaptiveMaxPool2d(1),
    "variance_of_an_image": Calls(lambda x: x.var((2, 3), correction=0)),
    "place_of_the_largest": Calls(lambda x: x.argmax(2).float()),
    "concat_of_columns": Calls(lambda x: torch.cat([x, x.relu(), x.exp()], 3)),
    "stack_behind": Calls(lambda x: torch.stack([x, x.relu()], -1)),
    "first_rows": Calls(lambda x: x[:, :, :2].exp()),
    "split_channels": Calls(lambda x: torch.cat(x.split([1, 3], 1)[::-1], 1)),
    "first_column": Calls(lambda x: x[..., 0].exp()),
    "every_second_row": Calls(lambda x: x[:, :, ::2].exp()),
    "channels_last": Calls(lambda x: x.permute(0, 2, 3, 1).exp()),
    "two_rotations": Calls(lambda x: x.permute(0, 3, 1, 2).exp()),
    "height_and_width_swapped": Calls(lambda x: x.transpose(2, 3).exp()),
    "two_swaps": Calls(lambda x: x.transpose(2, 3).transpose(1, 3).exp()),
    "shuffle": nn.ChannelShuffle(2),
    "flip": Calls(lambda x: x.flip(1, 3)),
    "repeat": Calls(lambda x: x.repeat(1, 2, 1, 3)),
    "repeat_along_a_new_axis": Calls(lambda x: x.repeat(2, 1, 1, 1, 1)),
    "expand": Calls(lambda x: x[:, :1].expand(1, 5, 6, 6).exp()),
    "nearest": nn.Upsample(scale_factor=2),
    "bilinear": nn.Upsample(scale_factor=2, mode="bilinear"),
    "corners": nn.Upsample(scale_factor=3, mode="bilinear", align_corners=True),
    "pixel_shuffle": nn.PixelShuffle(2),
    "zeros": nn.ZeroPad2d(1),
    "reflection": nn.ReflectionPad2d(2),
    "replication": nn.ReplicationPad2d(2),
    "glu": nn.GLU(1),
    "difference_by_itself": Calls(lambda x: (x.exp() - x) / x.abs()),
    "layer_norm": Calls(lambda x: functional.layer_norm(x, x.shape[2:])),
    "group_norm": Calls(lambda x: functional.group_norm(x, 2)),
    "instance_norm": nn.InstanceNorm2d(4),
}


@pytest.mark.parametrize("name", SAME_RESULT)
def test_what_has_no_weights_computes_what_torch_computes(name):
    """Axes and modes are those of the graph."""
    values = torch.rand(1, 4, 6, 6, generator=torch.Generator().manual_seed(0)) + 0.5
    expected = SAME_RESULT[name](values)
    (found,) = run(to_onnx(trace(SAME_RESULT[name], values)), values.numpy())
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-4)


def _written_into(x):
    y = x.exp()
    y[:, :2].add_(1)
    return y


class Branches(nn.Module):
    """Convolutions of every form whose padding the sizes determine, with a sum and a product."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, (3, 5), stride=2, padding=(1, 2))
        self.deep = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8)
        self.wide = nn.Conv2d(8, 8, 1, bias=False)
        self.up = nn.ConvTranspose2d(8, 6, 2, stride=2)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.head = nn.Linear(6, 4)

    def forward(self, x):
        x = functional.relu6(self.stem(x))
        x = functional.silu(self.deep(x)) + self.wide(x)
        x = self.pool(self.up(x)[:, :, :13, :17])
        return torch.softmax(self.head(x.mean((2, 3))), -1)


def test_a_network_with_the_weights_of_the_file_computes_what_torch_computes():
    """Odd sizes: there the halved padding that the file has is the one torch has."""
    network, image = Branches().eval(), torch.rand(1, 3, 13, 17)
    content = to_onnx(trace(network, image))
    floats = [x for x in constants(content) if x.dtype == np.float32 and x.ndim]
    with torch.no_grad():
        for parameter, values in zip(network.parameters(), floats, strict=True):
            parameter.copy_(torch.tensor(values))
        expected = network(image).numpy()
    assert expected.std() > 0.01
    np.testing.assert_allclose(run(content, image.numpy())[0], expected, rtol=1e-4, atol=1e-6)


def test_activations_neither_grow_nor_fade_in_a_deep_network():
    """Numbers below 1e-38 would slow the processor down."""
    layers = [layer for _ in range(40) for layer in (nn.Conv2d(16, 16, 3, padding=1), nn.ReLU())]
    (found,) = run(to_onnx(trace(nn.Sequential(*layers), torch.zeros(1, 16, 8, 8))))
    assert 1e-3 < found.std() < 1e3


def test_one_seed_gives_the_same_bytes_and_another_only_other_weights():
    graph = trace(nn.Conv2d(8, 8, 3), torch.zeros(1, 8, 8, 8))
    assert to_onnx(graph, 0) == to_onnx(graph, 0)
    assert to_onnx(graph, 0) != to_onnx(graph, 1)
    assert len(to_onnx(graph, 0)) == len(to_onnx(graph, 1))


@pytest.mark.parametrize(
    ("network", "shape", "rule"),
    [
        (nn.AdaptiveAvgPool2d(3), (1, 4, 8, 8), r"'avg_pool' has a window \(2, 2\)"),
        (Calls(lambda x: x.prod(1)), (1, 4, 5), "'mean' reduces by 'other'"),
        (Calls(lambda x: torch.var_mean(x, 1)), (1, 4, 5), "'mean' gives two results"),
        (Calls(_written_into), (1, 4, 5), "'concat' writes into a part of a tensor"),
        (Calls(lambda x: x[:, [2, 0]]), (1, 4, 5), "'gather' gathers from something else"),
        (Calls(lambda x: torch.ones(3, 4) @ x), (1, 4, 5), "'matmul' multiplies from the left"),
        (Calls(lambda x: functional.conv1d(x, x)), (1, 4, 5), "takes its weights from another"),
    ],
    ids=[
        "uneven_pool",
        "product_of_all",
        "two_results",
        "written_into",
        "index",
        "left_product",
        "weights_computed",
    ],
)
def test_what_cannot_be_written_is_refused_by_its_name(network, shape, rule):
    graph = trace(network, torch.zeros(shape))
    with pytest.raises(MeasureError, match=rule):
        to_onnx(graph)


@pytest.mark.filterwarnings("ignore::nas_ray.graph.UnknownOperatorWarning")
def test_an_operator_outside_the_vocabulary_is_refused_by_its_name():
    graph = trace(Calls(lambda x: x.cumsum(1)), torch.zeros(1, 4))
    with pytest.raises(MeasureError, match="of kind 'unknown' has no ONNX form"):
        to_onnx(graph)


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)  # what Python itself does for "not installed"
    with pytest.raises(MeasureError, match=r"pip install 'nas-ray\[onnx\]'"):
        to_onnx(trace(nn.ReLU(), torch.zeros(1, 4)))
