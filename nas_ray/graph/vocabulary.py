"""From torch's ATen operators to the operator kinds that accelerators know.

One table line per plain operator; a function for those whose attributes matter for their cost.
"""

from collections.abc import Callable
from math import prod

from nas_ray.graph import axes, products, windows
from nas_ray.graph.call import Call, Meaning

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
    "mul": "mul", "mul_": "mul", "div": "div", "div_": "div",
    "maximum": "maximum", "minimum": "minimum", "pow": "mul",
    "gt": "maximum", "ge": "maximum", "lt": "maximum", "le": "maximum", "eq": "maximum",
    "ne": "maximum", "where": "mul", "masked_fill": "mul", "masked_fill_": "mul", "tril": "mul",
    "triu": "mul", "lerp": "add", "addcmul": "add", "addcdiv": "add", "glu": "mul",
    "pow_": "mul", "logical_and": "mul", "bitwise_and": "mul", "logical_or": "maximum",
    "bitwise_or": "maximum", "rsub_": "sub", "floor_divide": "mul", "remainder": "mul",
}  # fmt: skip

PLAIN = {
    "view": "reshape", "_unsafe_view": "reshape", "reshape": "reshape", "squeeze": "reshape",
    "unsqueeze": "reshape", "clone": "reshape", "detach": "reshape", "alias": "reshape",
    "flatten": "reshape", "_to_copy": "reshape", "_reshape_alias": "reshape", "copy_": "reshape",
    "fill_": "reshape", "zero_": "reshape", "lift_fresh": "reshape",
    "pixel_shuffle": "depth_to_space", "pixel_unshuffle": "space_to_depth",
    "im2col": "gather", "col2im": "gather", "embedding": "gather", "index_select": "gather",
    "index": "gather", "gather": "gather",
}  # fmt: skip
"""Operators without attributes that matter for their cost."""


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
    """Return the meaning of ATen operator `name`; kind `unknown` without an entry here."""
    if name in _WITH_ATTRIBUTES:
        return _WITH_ATTRIBUTES[name](call)
    if name in POINTWISE:
        return Meaning(kind="activation", attributes={"activation": POINTWISE[name]})
    kind = ELEMENTWISE.get(name) or PLAIN.get(name) or "unknown"
    if kind == "div" and len(call.activations) == 1:
        kind = "mul"  # by the reciprocal of a constant
    mode = "glu" if name == "glu" else ""
    weights = sum(map(prod, call.constants))
    return Meaning(kind=kind, attributes={"mode": mode, "weight_elements": weights})


def _log_sigmoid(_: Call) -> Meaning:
    return Meaning(kind="activation", attributes={"activation": "log_sigmoid"})


_WITH_ATTRIBUTES: dict[str, Callable[[Call], Meaning]] = {
    "convolution": windows.convolution,
    "max_pool1d": windows.pool("max_pool"),
    "max_pool2d_with_indices": windows.pool("max_pool"),
    "max_pool3d_with_indices": windows.pool("max_pool"),
    "avg_pool2d": windows.pool("avg_pool"),
    "avg_pool3d": windows.pool("avg_pool"),
    "adaptive_max_pool2d": windows.adaptive_max_pool,
    "_adaptive_avg_pool2d": windows.adaptive_pool,
    "addmm": products.addmm,
    "mm": products.matrix_product,
    "bmm": products.matrix_product,
    "baddbmm": products.added_product,
    "native_batch_norm": axes.batch_norm,
    "_native_batch_norm_legit_no_training": axes.batch_norm,
    "_native_batch_norm_legit": axes.batch_norm,
    "native_layer_norm": axes.layer_norm,
    "_fused_rms_norm": axes.rms_norm,
    "native_group_norm": axes.group_norm,
    "log_sigmoid_forward": _log_sigmoid,
    "_softmax": axes.softmax,
    "_safe_softmax": axes.softmax,
    "_log_softmax": axes.softmax,
    "mean": axes.reduction(""),
    "sum": axes.reduction("sum"),
    **dict.fromkeys(("amax", "amin", "max", "min"), axes.reduction("max")),
    **dict.fromkeys(("argmax", "argmin"), axes.reduction("argmax")),
    **dict.fromkeys(("var", "std", "var_mean"), axes.reduction("var")),
    **dict.fromkeys(("prod", "logsumexp"), axes.reduction("other")),
    "linalg_vector_norm": axes.reduction("other", place=2),
    "cat": axes.concatenation,
    "stack": axes.stack,
    "roll": axes.roll,
    **dict.fromkeys(("slice", "select", "unbind", "narrow"), axes.slicing(1)),
    **dict.fromkeys(("split", "split_with_sizes", "unsafe_split", "chunk"), axes.slicing(2)),
    "permute": axes.permutation,
    **dict.fromkeys(("transpose", "transpose_", "t"), axes.transposition),
    **dict.fromkeys(("channel_shuffle", "native_channel_shuffle"), axes.shuffle),
    "flip": axes.flip,
    **dict.fromkeys(("expand", "repeat"), axes.expansion),
    **dict.fromkeys(("upsample_nearest1d", "upsample_nearest2d"), axes.resize("nearest")),
    **dict.fromkeys(("upsample_linear1d", "upsample_bilinear2d"), axes.resize("")),
    "_upsample_bilinear2d_aa": axes.resize("antialiased"),
    "upsample_bicubic2d": axes.resize("bicubic"),
    "constant_pad_nd": axes.padding(""),
    **dict.fromkeys(("reflection_pad1d", "reflection_pad2d"), axes.padding("reflect")),
    **dict.fromkeys(("replication_pad1d", "replication_pad2d"), axes.padding("replicate")),
}
