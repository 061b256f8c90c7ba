"""Which calls of a running network are rectifiers, and which normalise.

Calls are watched, not modules: `F.relu`, `x.relu_()` and `nn.ReLU` are then one and the same.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

_RECTIFIERS = frozenset({
    "celu", "elu", "gelu", "hardswish", "hardtanh", "leaky_relu", "mish", "prelu", "relu", "relu6",
    "rrelu", "selu", "silu", "softplus",
})  # fmt: skip
_NORMALISATIONS = frozenset({
    "batch_norm", "group_norm", "instance_norm", "layer_norm", "local_response_norm", "rms_norm",
})  # fmt: skip


def is_rectifier(function: Any) -> bool:
    """Whether it lets positive inputs through and holds negative ones back.

    A sigmoid or hard sigmoid is a gate, not a rectifier: its sign says nothing.
    """
    return _name(function) in _RECTIFIERS


def is_normalisation(function: Any) -> bool:
    """Whether it divides its input by a statistic of the input."""
    return _name(function) in _NORMALISATIONS


def operand(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    """The tensor a rectifier or normalisation is applied to."""
    value: Tensor = args[0] if args else kwargs["input"]
    return value


def _name(function: Any) -> str:
    # In-place forms end with an underscore.
    return str(getattr(function, "__name__", "")).removesuffix("_")
