"""Written models, read back with the schema classes of the compiler's own wheel."""

from collections import namedtuple
from importlib import import_module
from math import prod

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("ethosu", reason="the schema classes are in the wheel of ethos-u-vela")

from ethosu.vela.tflite import BuiltinOperator, BuiltinOptions, Model, TensorType

from nas_ray.errors import MeasureError
from nas_ray.graph import Tensor, trace
from nas_ray.measure import blocks
from nas_ray.measure.families import MOBILE
from nas_ray.measure.sampling import sample_subgraphs
from nas_ray.measure.tflite import to_tflite
from nas_ray.measure.tflite.lowering import WEIGHT_SIGMA, file_shape

Written = namedtuple("Written", "code inputs outputs options")
CODES = {number: name for name, number in vars(BuiltinOperator.BuiltinOperator).items()}
TYPES = {number: name for name, number in vars(TensorType.TensorType).items()}
OPTIONS = {number: name for name, number in vars(BuiltinOptions.BuiltinOptions).items()}
SAME, VALID = 0, 1
RELU6 = 3


class Reader:
    """Operators, shapes, types and constants of the bytes of a model."""

    def __init__(self, data: bytes) -> None:
        assert Model.Model.ModelBufferHasIdentifier(data, 0)
        self.model = Model.Model.GetRootAs(data)
        self.graph = self.model.Subgraphs(0)
        rows = (self.graph.Operators(n) for n in range(self.graph.OperatorsLength()))
        self.operators = [self._operator(row) for row in rows]

    def _operator(self, row):
        code = CODES[self.model.OperatorCodes(row.OpcodeIndex()).BuiltinCode()]
        inputs, outputs = row.InputsAsNumpy().tolist(), row.OutputsAsNumpy().tolist()
        return Written(code, inputs, outputs, row)

    def codes(self):
        return [operator.code for operator in self.operators]

    def shape(self, index):
        return tuple(self.graph.Tensors(index).ShapeAsNumpy().tolist())

    def kind(self, index):
        return TYPES[self.graph.Tensors(index).Type()]

    def values(self, index, dtype):
        buffer = self.model.Buffers(self.graph.Tensors(index).Buffer())
        return np.frombuffer(buffer.DataAsNumpy().tobytes(), dtype)

    def options(self, operator):
        """The operator's options as an object of their own class."""
        name = OPTIONS[operator.options.BuiltinOptionsType()]
        module = import_module(f"ethosu.vela.tflite.{name}")
        options = getattr(module, name)()
        table = operator.options.BuiltinOptions()
        options.Init(table.Bytes, table.Pos)
        return options

    def macs(self):
        """Counted from the shapes in the file alone."""
        total = 0
        for operator in self.operators:
            if operator.code in {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}:
                weights = self.shape(operator.inputs[1])
                per_output = prod(weights[1:3] if operator.code[0] == "D" else weights[1:])
                total += prod(self.shape(operator.outputs[0])) * per_output
        return total


def written(model, shape=(1, 8, 8, 8), seed=0):
    with torch.device("meta"):
        return Reader(to_tflite(trace(model.to("meta"), torch.empty(shape)), seed).content)


def test_a_strided_convolution_field_by_field():
    model = nn.Sequential(nn.Conv2d(3, 16, (3, 5), stride=2, padding=(1, 2)), nn.ReLU6())
    file = written(model, (1, 3, 8, 12))
    (conv,) = file.operators
    assert conv.code == "CONV_2D"
    assert [file.shape(index) for index in (*conv.inputs, *conv.outputs)] == [
        (1, 8, 12, 3),
        (16, 3, 5, 3),
        (16,),
        (1, 4, 6, 16),
    ]
    assert [file.kind(index) for index in (*conv.inputs, *conv.outputs)] == [
        "INT8",
        "INT8",
        "INT32",
        "INT8",
    ]
    options = file.options(conv)
    assert (options.StrideH(), options.StrideW(), options.Padding()) == (2, 2, SAME)
    assert options.FusedActivationFunction() == RELU6
    assert file.graph.InputsAsNumpy().tolist() == conv.inputs[:1]
    assert file.graph.OutputsAsNumpy().tolist() == conv.outputs


def test_a_depthwise_convolution_keeps_its_channels_last():
    file = written(nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8))
    (conv,) = file.operators
    assert (conv.code, file.shape(conv.inputs[1])) == ("DEPTHWISE_CONV_2D", (1, 3, 3, 8))
    options = file.options(conv)
    assert (options.DilationHFactor(), options.DepthMultiplier()) == (2, 1)


@pytest.mark.parametrize(
    ("layer", "codes", "padding"),
    [
        (nn.Conv2d(8, 8, 3, padding=1), ["CONV_2D"], SAME),
        (nn.Conv2d(8, 8, 3), ["CONV_2D"], VALID),
        (nn.Conv2d(8, 8, 3, padding=2), ["PAD", "CONV_2D"], VALID),
        (nn.MaxPool2d(3, stride=2, padding=1), ["MAX_POOL_2D"], SAME),
    ],
    ids=["same", "valid", "more_than_same_needs_a_pad", "pooling"],
)
def test_padding_is_written_in_the_form_that_fits(layer, codes, padding):
    file = written(layer)
    assert file.codes() == codes
    assert file.options(file.operators[-1]).Padding() == padding


@pytest.mark.parametrize(
    ("layer", "codes"),
    [
        (nn.ReLU(), ["CONV_2D"]),
        (nn.ReLU6(), ["CONV_2D"]),
        (nn.Hardswish(), ["CONV_2D", "HARD_SWISH"]),
        (nn.Sigmoid(), ["CONV_2D", "LOGISTIC"]),
        (nn.SiLU(), ["CONV_2D", "LOGISTIC", "MUL"]),
        (nn.Hardsigmoid(), ["CONV_2D", "ADD", "MUL"]),
    ],
    ids=["relu_fused", "relu6_fused", "hardswish", "sigmoid", "silu=x*sigmoid", "hardsigmoid"],
)
def test_an_activation_is_fused_where_tflite_can_and_else_on_its_own(layer, codes):
    assert written(nn.Sequential(nn.Conv2d(8, 8, 1), layer)).codes() == codes


def test_the_head_is_pooling_reshape_and_fully_connected():
    file = written(blocks.head(8, 10))
    assert file.codes() == ["AVERAGE_POOL_2D", "RESHAPE", "FULLY_CONNECTED"]
    assert file.shape(file.operators[-1].inputs[1]) == (10, 8)


@pytest.mark.parametrize(
    ("shape", "channel_axes", "expected"),
    [
        ((1, 3, 4, 5), 1, (1, 4, 5, 3)),
        ((1, 3, 5), 1, (1, 1, 5, 3)),
        ((1, 3), 0, (1, 3)),
        ((1, 49, 64), 0, (1, 49, 64)),
        ((1, 2, 3, 4, 5), 2, (1, 20, 2, 3)),
    ],
    ids=["image", "signal_is_an_image_of_height_1", "vector", "tokens", "channels_in_groups"],
)
def test_channels_are_last(shape, channel_axes, expected):
    assert file_shape(Tensor(shape=shape, storage=0, channel_axes=channel_axes)) == expected


def test_weights_are_gaussian_with_a_sigma_of_32_steps():
    """36,864 draws: the standard error of the mean is 0.17, of the deviation 0.12."""
    file = written(nn.Conv2d(64, 64, 3, bias=False), (1, 64, 8, 8))
    values = file.values(file.operators[0].inputs[1], np.int8).astype(float)
    assert values.size == 64 * 64 * 9
    assert abs(values.mean()) < 0.7
    assert abs(values.std() - WEIGHT_SIGMA) < 0.5
    assert abs(values).max() <= 127
    assert np.mean(abs(values) <= WEIGHT_SIGMA) == pytest.approx(0.690, abs=0.01)  # |z| <= 32.5/32


def test_one_seed_gives_the_same_bytes_and_another_only_other_weights():
    graph = trace(nn.Conv2d(8, 8, 3), torch.zeros(1, 8, 8, 8))
    assert to_tflite(graph, 0) == to_tflite(graph, 0)
    first, second = to_tflite(graph, 0), to_tflite(graph, 1)
    assert first != second
    assert len(first.content) == len(second.content)


def test_random_subgraphs_keep_their_shapes_and_arithmetic():
    for graph in sample_subgraphs(60, np.random.default_rng(2), families=MOBILE):
        file = Reader(to_tflite(graph).content)
        (end,) = graph.outputs
        assert file.macs() == graph.macs
        assert file.shape(file.graph.OutputsAsNumpy()[0]) == file_shape(graph.tensors[end])


class Swap(nn.Module):
    """Height and width change places."""

    def forward(self, x):
        return torch.relu(x).transpose(2, 3)


def test_a_transposition_is_of_the_stored_axes():
    file = written(Swap(), (1, 8, 4, 5))
    assert file.codes() == ["RELU", "TRANSPOSE"]
    assert file.values(file.operators[1].inputs[1], np.int32).tolist() == [0, 2, 1, 3]
    assert file.shape(file.operators[1].outputs[0]) == (1, 5, 4, 8)


def test_channels_brought_last_for_a_linear_layer_move_nothing():
    """(1, C, H, W) is stored as (1, H, W, C), which is what the layer reads."""

    class Permuted(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.linear = nn.Conv2d(3, 8, 3), nn.Linear(8, 5)

        def forward(self, x):
            return self.linear(self.first(x).permute(0, 2, 3, 1))

    file = written(Permuted(), (1, 3, 6, 6))
    assert file.codes() == ["CONV_2D", "FULLY_CONNECTED"]
    assert file.shape(file.operators[1].outputs[0]) == (1, 4, 4, 5)


def test_a_channel_shuffle_moves_groups_and_nothing_else():
    """Channels last, a shuffle of 2 x 4 channels is a transposition of the innermost two axes."""

    class Shuffle(nn.Module):
        def forward(self, x):
            groups = torch.relu(x).view(1, 2, 4, 6, 5).transpose(1, 2)
            return groups.reshape(1, 8, 6, 5)

    file = written(Shuffle(), (1, 8, 6, 5))
    assert file.codes() == ["RELU", "RESHAPE", "TRANSPOSE", "RESHAPE"]
    shapes = [file.shape(operator.outputs[0]) for operator in file.operators]
    assert shapes[1:3] == [(1, 30, 2, 4), (1, 30, 4, 2)]
    assert shapes[-1] == (1, 6, 5, 8)
    assert file.values(file.operators[2].inputs[1], np.int32).tolist() == [0, 1, 3, 2]


@pytest.mark.parametrize(
    "layer",
    [
        nn.ConvTranspose2d(8, 4, 2, stride=2),
        nn.ConvTranspose2d(8, 4, 4, stride=2, padding=1),
        nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1),
    ],
    ids=["2", "4", "3"],
)
def test_a_transposed_convolution_doubles_the_image(layer):
    file = written(layer, (1, 8, 5, 6))
    (operator,) = file.operators
    assert operator.code == "TRANSPOSE_CONV"
    assert file.values(operator.inputs[0], np.int32).tolist() == [1, 10, 12, 4]
    assert file.shape(operator.inputs[1]) == (4, *layer.kernel_size, 8)
    assert file.shape(operator.inputs[2]) == (1, 5, 6, 8)
    options = file.options(operator)
    assert (options.StrideH(), options.StrideW(), options.Padding()) == (2, 2, SAME)


@pytest.mark.parametrize(
    ("model", "shape", "rule"),
    [
        (nn.LayerNorm([4, 8]), (1, 3, 4, 8), "is taken over several axes"),
        (nn.Softshrink(), (1, 8, 8, 8), "activation 'softshrink', which has no int8 TFLite form"),
        (nn.Upsample(scale_factor=2, mode="bicubic"), (1, 8, 8, 8), "resizes by 'bicubic'"),
        (nn.ReplicationPad2d(1), (1, 8, 8, 8), "pads by 'replicate'"),
        (nn.ConvTranspose2d(8, 8, 2, stride=2, groups=2), (1, 8, 8, 8), "has groups or a dilation"),
        (
            nn.ConvTranspose2d(8, 8, 3, stride=2, output_padding=1),
            (1, 8, 8, 8),
            r"makes \(18, 18\) of \(8, 8\), more than the \(17, 17\)",
        ),
    ],
    ids=[
        *("norm_of_two_axes", "softshrink", "bicubic", "replicated", "transposed_groups"),
        "transposed_too_large",
    ],
)
def test_what_cannot_be_written_is_refused_by_its_name(model, shape, rule):
    graph = trace(model, torch.zeros(shape))
    with pytest.raises(MeasureError, match=rule):
        to_tflite(graph)
