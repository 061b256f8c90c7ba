"""What every operator needs to be written as TFLite: tensors, constants, activations, padding.

Tensors have their channels last (`Tensor.stored_shape`); a signal `(1, C, T)` becomes an image of
height 1, and channels in groups `(1, G, C, H, W)` become `(1, H * W, G, C)`. Weights are Gaussian
with a standard deviation of 32 int8 steps and a fixed seed, because a compiler that compresses
weights makes latency depend on their distribution.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from nas_ray.errors import MeasureError
from nas_ray.graph import Graph, Operator, Tensor
from nas_ray.measure.tflite.flatbuffer import TfliteWriter
from nas_ray.measure.window import explicit_padding, is_same, is_valid

Fields = dict[str, int | float | bool]

WEIGHT_SIGMA = 32.0
_WEIGHT_SCALE = 0.02
_ACTIVATION_SCALE = 0.05
_FUSED = {"": "NONE", "relu": "RELU", "relu6": "RELU6"}
#: Enumerations of the schema: ActivationFunctionType and Padding.
_ACTIVATION_CODE = {"NONE": 0, "RELU": 1, "RELU6": 3}
SAME, VALID = 0, 1
#: What a builtin promises about its output: 1/256 from -128 for values in [0, 1], and so on.
_OWN_OUTPUT = {"LOGISTIC": (1 / 256, -128), "SOFTMAX": (1 / 256, -128), "TANH": (1 / 128, 0)}
_LOOKUP = {
    "sigmoid": ("LOGISTIC", ""),
    "tanh": ("TANH", ""),
    "hardswish": ("HARD_SWISH", "HardSwishOptions"),
    "leaky_relu": ("LEAKY_RELU", "LeakyReluOptions"),
    "elu": ("ELU", ""),
    "gelu": ("GELU", "GeluOptions"),
    "relu": ("RELU", ""),
    "relu6": ("RELU6", ""),
    "exp": ("EXP", ""),
    "log": ("LOG", ""),
    "rsqrt": ("RSQRT", ""),
    "abs": ("ABS", ""),
    "neg": ("NEG", "NegOptions"),
}
#: Builtins whose output has the number format of their input.
_SAME_NUMBERS = frozenset(
    {
        *("RESHAPE", "TRANSPOSE", "SLICE", "STRIDED_SLICE", "TILE", "REVERSE_V2"),
        *("DEPTH_TO_SPACE", "SPACE_TO_DEPTH", "MIRROR_PAD"),
    }
)
#: Builtins that converters make an activation of, each from the result of the one before.
_CHAINS = {"softplus": ("exp", "+", "log"), "mish": ("exp", "+", "log", "tanh", "*")}
_CHAINS["log_sigmoid"] = ("neg", "exp", "+", "log", "neg")


class Lowering:
    """A model in the making; `index` maps tensors of `graph` to tensors of the file."""

    def __init__(self, graph: Graph, seed: int) -> None:
        self.graph = graph
        self.writer = TfliteWriter()
        self.rng = np.random.default_rng(seed)
        self.index: dict[int, int] = {}

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Return the shape of a tensor of the graph in the file."""
        return file_shape(self.graph.tensors[tensor])

    def new(self, shape: tuple[int, ...], code: str = "") -> int:
        """A new activation tensor, in the number format that builtin `code` promises."""
        scale, zero_point = _OWN_OUTPUT.get(code, (_ACTIVATION_SCALE, 0))
        return self.writer.activation(shape, scale, zero_point)

    def weights(self, shape: tuple[int, ...]) -> int:
        """A constant of Gaussian weights."""
        values = np.rint(self.rng.normal(0.0, WEIGHT_SIGMA, shape)).clip(-127, 127)
        return self.writer.constant(values.astype(np.int8), _WEIGHT_SCALE)

    def bias(self, elements: int) -> int:
        """A constant of biases; -1, which stands for an absent input, for none."""
        if not elements:
            return -1
        return self.writer.constant(
            self.rng.integers(-1000, 1000, elements, dtype=np.int32),
            _WEIGHT_SCALE * _ACTIVATION_SCALE,
        )

    def constant(self, shape: tuple[int, ...]) -> int:
        """A constant operand of an elementwise operator."""
        values = self.rng.integers(1, 100, shape).astype(np.int8)
        return self.writer.constant(values, _ACTIVATION_SCALE)

    def integers(self, values: object) -> int:
        """A constant of shapes, axes or paddings."""
        return self.writer.constant(np.asarray(values, dtype=np.int32))

    def emit(
        self,
        code: str,
        inputs: list[int],
        shape: tuple[int, ...],
        options: str = "",
        fields: Mapping[str, int | float | bool] | None = None,
    ) -> int:
        """One operator with one new output tensor of `shape`; returns that tensor."""
        is_moved = code in _SAME_NUMBERS
        output = self.writer.like(inputs[0], shape) if is_moved else self.new(shape, code)
        self.writer.operator(code, inputs, [output], options, fields)
        return output

    def hosted(
        self,
        operator: Operator,
        code: str,
        inputs: list[int],
        options: str,
        fields: Fields,
    ) -> None:
        """`operator` with its activation: fused where TFLite can, else as its own operator."""
        shape = self.shape(operator.outputs[0])
        fused = _FUSED.get(operator.activation, "NONE")
        fields = fields | {"FusedActivationFunction": _ACTIVATION_CODE[fused]}
        result = self.emit(code, inputs, shape, options, fields)
        if operator.activation not in _FUSED:
            result = self.activate(operator, result)
        self.index[operator.outputs[0]] = result

    def activate(self, operator: Operator, tensor: int) -> int:
        """Return the tensor after `operator.activation`, itself where there is none."""
        shape, name = self.shape(operator.outputs[0]), operator.activation
        if not name:
            return tensor
        if name == "silu":
            gate = self.emit("LOGISTIC", [tensor], shape)
            return self.emit("MUL", [tensor, gate], shape, "MulOptions")
        if name == "hardsigmoid":  # relu6(x + 3) / 6, as converters write it
            fields: Fields = {"FusedActivationFunction": _ACTIVATION_CODE["RELU6"]}
            shifted = self.emit("ADD", [tensor, self.constant((1,))], shape, "AddOptions", fields)
            return self.emit("MUL", [shifted, self.constant((1,))], shape, "MulOptions")
        if name == "prelu":
            return self.emit("PRELU", [tensor, self.constant((1, 1, shape[-1]))], shape)
        if name in _CHAINS:
            return self._chained(_CHAINS[name], tensor, shape)
        if name not in _LOOKUP:
            raise cannot(operator, f"has activation {name!r}, which has no int8 TFLite form here")
        code, options = _LOOKUP[name]
        return self.emit(code, [tensor], shape, options)

    def _chained(self, steps: tuple[str, ...], tensor: int, shape: tuple[int, ...]) -> int:
        """Emit `steps` one after the other; `*` multiplies by what came in."""
        result = tensor
        for step in steps:
            if step == "+":
                inputs = [result, self.constant((1,))]
                result = self.emit("ADD", inputs, shape, "AddOptions")
            elif step == "*":
                result = self.emit("MUL", [tensor, result], shape, "MulOptions")
            else:
                code, options = _LOOKUP[step]
                result = self.emit(code, [result], shape, options)
        return result

    def reshaped(self, tensor: int, before: tuple[int, ...], after: tuple[int, ...]) -> int:
        """Return `tensor` of shape `before` as one of shape `after`; itself if they are equal."""
        if before == after:
            return tensor
        return self.emit("RESHAPE", [tensor, self.integers(after)], after, "ReshapeOptions")

    def transposed(self, tensor: int, after: tuple[int, ...], order: Sequence[int]) -> int:
        """Return `tensor` with its axes in `order`, then of shape `after`.

        One that only moves axes of one is a reshape.
        """
        if list(order) == sorted(order):
            return tensor
        long = [n for n, size in zip(order, after, strict=True) if size > 1]
        if long == sorted(long):
            return self.emit("RESHAPE", [tensor, self.integers(after)], after, "ReshapeOptions")
        inputs = [tensor, self.integers(order)]
        return self.emit("TRANSPOSE", inputs, after, "TransposeOptions")

    def windowed(self, operator: Operator, kernel: tuple[int, int]) -> tuple[int, Fields]:
        """The (padded) input of a convolution or pooling, and its padding and stride options."""
        source, shape = self.index[operator.inputs[0]], self.shape(operator.inputs[0])
        before, after = shape[1:3], self.shape(operator.outputs[0])[1:3]
        padding = VALID
        if is_same(before, after, operator.stride):
            padding = SAME
        elif not is_valid(before, after, kernel, operator.stride):
            rows, columns = explicit_padding(before, after, kernel, operator.stride)
            grown = (1, shape[1] + sum(rows), shape[2] + sum(columns), shape[3])
            pads = self.integers([(0, 0), rows, columns, (0, 0)])
            source = self.emit("PAD", [source, pads], grown, "PadOptions")
        height, width = operator.stride
        return source, {"Padding": padding, "StrideH": height, "StrideW": width}


def file_shape(tensor: Tensor) -> tuple[int, ...]:
    """Return the shape of `tensor` in a file: channels last, a signal as an image of height 1."""
    stored = tensor.stored_shape
    if len(stored) == 3 and tensor.channel_axes == 1:
        return (stored[0], 1, *stored[1:])
    if len(stored) == 5 and tensor.channel_axes == 2:
        return (stored[0], stored[1] * stored[2], *stored[3:])
    return stored


def file_axis(tensor: Tensor, axis: int) -> int:
    """Return where in a file the torch axis `axis` of `tensor` lies."""
    place = tensor.order.index(axis)
    if len(tensor.shape) == 3 and tensor.channel_axes == 1:
        return place + (place > 0)
    if len(tensor.shape) == 5 and tensor.channel_axes == 2:
        return place - (place > 1)
    return place


def cannot(operator: Operator, reason: str) -> MeasureError:
    """What to raise for an operator that cannot be written."""
    return MeasureError(
        f"operator {operator.name or operator.kind!r} of kind {operator.kind!r} {reason}. Replace "
        "it in the network, or leave it to the estimate, which is a guess there."
    )
