"""Labels of an operator: numbers without an order, each of which a table either holds or lacks."""

from collections.abc import Mapping, Sequence

from nas_ray.graph import Graph, Operator

#: How an activation is applied: on the way out; by a look-up; by a few operations of its own.
_ACTIVATIONS = {
    **dict.fromkeys(("", "relu", "relu6"), 0),
    "leaky_relu": 1,
    **dict.fromkeys(("sigmoid", "tanh", "hardswish", "gelu", "elu", "exp", "log", "rsqrt"), 2),
    **dict.fromkeys(("abs", "neg"), 3),
    "silu": 4,
    "hardsigmoid": 5,
    "prelu": 6,
    "softplus": 7,
    "mish": 8,
    "log_sigmoid": 9,
}
#: Variants of the kinds that have any; what is not here is one that no table can hold.
VARIANTS: Mapping[str, Sequence[str]] = {
    "resize": ("", "nearest", "bilinear_corners"),
    "norm": ("", "rms", "group", "instance", "batch_norm"),
    "pool": ("avg_pool", "max_pool", "mean"),
    "reduce": ("", "sum", "max", "argmax", "var"),
    "add": ("add", "sub"),
    "multiply": ("mul", "maximum", "minimum", "glu"),
    "pad": ("", "reflect", "replicate"),
    "concat": ("", "stack", "roll"),
    "depth_to_space": ("depth_to_space", "space_to_depth"),
}
_UNHEARD_OF = 99.0
WINDOWED = frozenset({"conv", "pointwise", "depthwise", "transposed_conv", "pool"})


def activation(operator: Operator) -> float:
    """Return the way in which the activation is applied."""
    return float(_ACTIVATIONS.get(operator.activation, _UNHEARD_OF))


def padding(
    kind: str, operator: Operator, before: tuple[int, ...], after: tuple[int, ...]
) -> float:
    """Return 0 without padding, 1 for as much as one output a stride needs, 2 for another one."""
    if kind not in WINDOWED:
        return 0.0
    window = zip(operator.kernel, operator.dilation, strict=True)
    reach = [(size - 1) * step + 1 for size, step in window]
    if kind == "transposed_conv":
        same = [side * step for side, step in zip(before, operator.stride, strict=False)]
        valid = [
            s + max(0, r - step) for s, r, step in zip(same, reach, operator.stride, strict=True)
        ]
        return 1.0 if list(after[:2]) == same else 2.0 * (list(after[:2]) != valid)
    sides = [*zip(before, after, reach, operator.stride, strict=False)]
    if all((b - r) // s + 1 == a for b, a, r, s in sides):
        return 0.0
    return 1.0 if all(a == -(-b // s) for b, a, _, s in sides) else 2.0


def variant(kind: str, operator: Operator) -> float:
    """Return the place of the operator's variant among those of `kind`."""
    names = VARIANTS.get(kind, ("",))
    own = operator.mode
    if kind in {"add", "multiply", "pool", "depth_to_space"} and not operator.mode:
        own = operator.kind
    if operator.kind == "batch_norm":
        own = "batch_norm"
    if kind == "transpose":
        return 1.0 if operator.kind == "reshape" else 2.0 * (own == "shuffle")
    return float(names.index(own)) if own in names else _UNHEARD_OF


def along_channels(graph: Graph, operator: Operator) -> float:
    """Return 1 where an operator along axes works along the stored channels; 2: and others."""
    tensor = graph.tensors[operator.inputs[0]]
    if operator.kind not in {"mean", "softmax", "concat", "slice", "layer_norm", "flip"}:
        return 0.0
    rank = len(tensor.shape)
    default = tuple(range(2, rank)) if operator.kind == "mean" else (1,)
    axes = operator.axes or ((rank - 1,) if operator.kind == "layer_norm" else default)
    channels = set(range(1, 1 + tensor.channel_axes)) or {rank - 1}
    touched = len(channels & set(axes)) > 0
    return float(touched) + float(touched and bool(set(axes) - channels))
