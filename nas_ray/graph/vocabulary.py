"""From torch's ATen operators to the operator kinds that accelerators know.

One table line per plain operator; a function for those whose attributes matter for their cost.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Call:
    """One ATen call: shapes of the activations and constants it reads and of what it returns."""

    arguments: Sequence[Any]
    activations: tuple[Shape, ...]
    constants: tuple[Shape, ...]
    result: Shape


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """What a call is to an accelerator: its kind and the attributes `Operator` has for it."""

    kind: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


POINTWISE = {
    "relu": "relu", "relu_": "relu", "hardtanh": "relu6", "hardtanh_": "relu6",
    "clamp": "relu6", "clamp_min": "relu", "relu6": "relu6",
    "hardswish": "hardswish", "hardswish_": "hardswish",
    "hardsigmoid": "hardsigmoid", "hardsigmoid_": "hardsigmoid",
    "sigmoid": "sigmoid", "sigmoid_": "sigmoid", "silu": "silu", "silu_": "silu",
    "gelu": "gelu", "tanh": "tanh", "tanh_": "tanh", "elu": "elu", "elu_": "elu",
    "leaky_relu": "leaky_relu", "leaky_relu_": "leaky_relu", "_prelu_kernel": "prelu",
    "mish": "mish", "softplus": "softplus", "exp": "exp", "log": "log", "sqrt": "sqrt",
    "rsqrt": "rsqrt", "abs": "abs", "neg": "neg", "erf": "erf",
    "gelu_": "gelu", "mish_": "mish", "celu": "elu", "celu_": "elu", "clamp_": "relu6",
    "clamp_max": "relu6", "threshold": "relu", "threshold_": "relu", "hardshrink": "hardshrink",
    "softshrink": "softshrink", "sign": "sign", "sin": "sin", "cos": "cos", "floor": "floor",
    "ceil": "ceil", "round": "round", "reciprocal": "reciprocal", "log1p": "log", "expm1": "exp",
    "exp_": "exp", "sqrt_": "sqrt", "neg_": "neg", "abs_": "abs",
}  # fmt: skip
"""ATen name to activation name: one input, one output of the same shape."""

ELEMENTWISE = {
    "add": "add", "add_": "add", "sub": "sub", "sub_": "sub", "rsub": "sub",
    "mul": "mul", "mul_": "mul", "div": "mul", "div_": "mul",
    "maximum": "maximum", "minimum": "minimum", "pow": "mul",
    "gt": "maximum", "ge": "maximum", "lt": "maximum", "le": "maximum", "eq": "maximum",
    "ne": "maximum", "where": "mul", "masked_fill": "mul", "masked_fill_": "mul", "tril": "mul",
    "triu": "mul", "lerp": "add", "addcmul": "add", "addcdiv": "add", "glu": "mul",
    "pow_": "mul", "logical_and": "mul", "bitwise_and": "mul", "logical_or": "maximum",
    "bitwise_or": "maximum", "rsub_": "sub", "floor_divide": "mul", "remainder": "mul",
}  # fmt: skip

PLAIN = {
    "max_pool2d_with_indices": "max_pool", "avg_pool2d": "avg_pool", "max_pool1d": "max_pool",
    "cat": "concat", "stack": "concat", "constant_pad_nd": "pad", "reflection_pad2d": "pad",
    "upsample_bilinear2d": "resize", "upsample_nearest2d": "resize", "pixel_shuffle": "resize",
    "_upsample_bilinear2d_aa": "resize", "upsample_nearest1d": "resize",
    "_softmax": "softmax", "_safe_softmax": "softmax", "_log_softmax": "softmax",
    "native_layer_norm": "layer_norm", "native_group_norm": "layer_norm",
    "mean": "mean", "sum": "mean", "amax": "mean", "max": "mean",
    "permute": "transpose", "transpose": "transpose", "t": "transpose", "transpose_": "transpose",
    "slice": "slice", "select": "slice", "split": "slice", "split_with_sizes": "slice",
    "unbind": "slice", "unsafe_split": "slice", "narrow": "slice", "chunk": "slice",
    "view": "reshape", "_unsafe_view": "reshape", "reshape": "reshape", "squeeze": "reshape",
    "unsqueeze": "reshape", "expand": "reshape", "clone": "reshape", "detach": "reshape",
    "alias": "reshape", "flatten": "reshape", "_to_copy": "reshape", "_reshape_alias": "reshape",
    "copy_": "reshape", "fill_": "reshape", "zero_": "reshape", "lift_fresh": "reshape",
    "reflection_pad1d": "pad", "replication_pad1d": "pad", "replication_pad2d": "pad",
    "upsample_bicubic2d": "resize", "upsample_linear1d": "resize", "pixel_unshuffle": "resize",
    "channel_shuffle": "transpose", "native_channel_shuffle": "transpose", "flip": "transpose",
    "roll": "concat", "repeat": "concat", "im2col": "gather", "col2im": "gather",
    "_fused_rms_norm": "layer_norm", "amin": "mean", "min": "mean", "argmax": "mean",
    "argmin": "mean", "var": "mean", "std": "mean", "var_mean": "mean", "prod": "mean",
    "logsumexp": "mean", "linalg_vector_norm": "mean",
    "embedding": "gather", "index_select": "gather", "index": "gather", "gather": "gather",
}  # fmt: skip


SHAPE_ONLY = frozenset(
    f"{kind}_like" for kind in ("empty", "zeros", "ones", "full", "rand", "randn", "randint")
) | {"new_empty", "new_zeros", "new_ones", "new_full", "new_empty_strided"}
"""They make a constant and read nothing but the shape of their argument."""

SAME_VALUES = frozenset(
    {
        "fake_quantize_per_tensor_affine_cachemask",
        "fake_quantize_per_channel_affine_cachemask",
        "_fake_quantize_per_tensor_affine_cachemask_tensor_qparams",
        "_fused_moving_avg_obs_fq_helper",
    }
)
"""Rounding in quantisation-aware training: on an accelerator the numbers are rounded anyway."""


def meaning(name: str, call: Call) -> Meaning:
    """The meaning of ATen operator `name`; kind `unknown` where the vocabulary has no entry."""
    if name in _WITH_ATTRIBUTES:
        return _WITH_ATTRIBUTES[name](call)
    if name in POINTWISE:
        return Meaning(kind="activation", attributes={"activation": POINTWISE[name]})
    kind = ELEMENTWISE.get(name) or PLAIN.get(name) or "unknown"
    return Meaning(kind=kind, attributes={"weight_elements": _elements(call)})


def _elements(call: Call) -> int:
    return sum(prod(shape) for shape in call.constants)


def _pair(value: Sequence[int] | int, default: int = 1) -> tuple[int, int]:
    """`(height, width)` of an argument given for one or two axes; one axis is the width."""
    axes = [value] if isinstance(value, int) else list(value)
    if not axes:
        return default, default
    return (default, axes[0]) if len(axes) == 1 else (axes[0], axes[1])


def _window(axes: Sequence[int]) -> tuple[int, int]:
    """`(height, width)` of one to three axes; depth counts as height."""
    return prod(axes[:-1]), axes[-1]


def _convolution(call: Call) -> Meaning:
    _, _, bias, stride, _, dilation, transposed, _, groups = call.arguments[:9]
    weight = call.constants[0] if call.constants else call.activations[1]
    channels_in = call.activations[0][1]
    positions = prod(call.activations[0][2:] if transposed else call.result[2:])
    kind = "depthwise_conv" if 1 < groups == channels_in == call.result[1] else "conv"
    return Meaning(
        kind="transposed_conv" if transposed else kind,
        attributes={
            "kernel": _window(weight[2:]),
            "stride": _window(stride),
            "dilation": _window(dilation),
            "groups": groups,
            "macs": prod(weight) * positions,
            "weight_elements": prod(weight),
            "bias_elements": call.result[1] if isinstance(bias, torch.Tensor) else 0,
        },
    )


def _batch_norm(call: Call) -> Meaning:
    """A scale and a shift a channel; folded into a convolution only the shift is left.

    One that computes its statistics from the input (an instance norm) cannot be folded.
    """
    uses_input = next((a for a in call.arguments if isinstance(a, bool)), False)
    if uses_input:
        return Meaning(kind="layer_norm", attributes={"weight_elements": _elements(call)})
    return Meaning(kind="batch_norm", attributes={"bias_elements": call.result[1]})


def _addmm(call: Call) -> Meaning:
    return _matrix_product(call, bias=call.result[-1])


def _matrix_product(call: Call, bias: int = 0) -> Meaning:
    weight = next((shape for shape in reversed(call.constants) if len(shape) == 2), None)
    inner = call.activations[0][-1]
    macs = prod(call.result) * inner
    if weight is None or len(call.activations) > 1:
        return Meaning(kind="matmul", attributes={"macs": macs})
    attributes = {"macs": macs, "weight_elements": prod(weight), "bias_elements": bias}
    return Meaning(kind="linear", attributes=attributes)


def _added_product(call: Call) -> Meaning:
    """`baddbmm` and its like: the first argument is added to the product of the other two."""
    second = call.activations[-2] if len(call.activations) > 1 else call.activations[0]
    return Meaning(kind="matmul", attributes={"macs": prod(call.result) * second[-1]})


def _log_sigmoid(_: Call) -> Meaning:
    return Meaning(kind="activation", attributes={"activation": "log_sigmoid"})


def _pool(kind: str) -> Callable[[Call], Meaning]:
    def describe(call: Call) -> Meaning:
        volume = len(call.result) > 4
        kernel = _window(call.arguments[1]) if volume else _pair(call.arguments[1])
        given = call.arguments[2] if len(call.arguments) > 2 else []
        stride = (_window if volume else _pair)(given) if given else (0, 0)
        return Meaning(
            kind=kind, attributes={"kernel": kernel, "stride": stride if any(stride) else kernel}
        )

    return describe


def _adaptive_pool(call: Call) -> Meaning:
    height, width = call.activations[0][-2:]
    rows, columns = call.result[-2:]
    if rows == columns == 1:
        return Meaning(kind="mean")
    window = (height // rows, width // columns)
    return Meaning(kind="avg_pool", attributes={"kernel": window, "stride": window})


def _adaptive_max_pool(call: Call) -> Meaning:
    found = _adaptive_pool(call)
    return found if found.kind == "mean" else Meaning(kind="max_pool", attributes=found.attributes)


_WITH_ATTRIBUTES: dict[str, Callable[[Call], Meaning]] = {
    "convolution": _convolution,
    "native_batch_norm": _batch_norm,
    "_native_batch_norm_legit_no_training": _batch_norm,
    "_native_batch_norm_legit": _batch_norm,
    "addmm": _addmm,
    "mm": _matrix_product,
    "bmm": _matrix_product,
    "baddbmm": _added_product,
    "log_sigmoid_forward": _log_sigmoid,
    "max_pool2d_with_indices": _pool("max_pool"),
    "max_pool3d_with_indices": _pool("max_pool"),
    "avg_pool2d": _pool("avg_pool"),
    "avg_pool3d": _pool("avg_pool"),
    "adaptive_max_pool2d": _adaptive_max_pool,
    "_adaptive_avg_pool2d": _adaptive_pool,
}
