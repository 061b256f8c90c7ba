"""How often a call multiplies and accumulates, by the shapes it was called with."""

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

from torch import Tensor


def macs(function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> int:
    """Multiply-accumulates of one call for the whole batch; 0 for what is no matrix product."""
    count = _COUNTS.get(getattr(function, "__name__", ""))
    if count is None:
        return 0
    tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
    return count(tensors, result)


def _convolution(tensors: list[Tensor], result: Tensor) -> int:
    # A weight is `(C_out, C_in / groups, kernel...)`.
    return result.numel() * prod(tensors[1].shape[1:])


def _transposed(tensors: list[Tensor], _: Tensor) -> int:
    # A weight is `(C_in, C_out / groups, kernel...)`, and every input meets all of its slice.
    return tensors[0].numel() * prod(tensors[1].shape[1:])


def _product(tensors: list[Tensor], result: Tensor) -> int:
    return result.numel() * tensors[0].shape[-1]


def _added_product(tensors: list[Tensor], result: Tensor) -> int:
    return result.numel() * tensors[1].shape[-1]


def _attention(tensors: list[Tensor], _: Tensor) -> int:
    query, key, value = tensors[:3]
    return prod(query.shape[:-1]) * key.shape[-2] * (query.shape[-1] + value.shape[-1])


def _multi_head(tensors: list[Tensor], _: Any) -> int:
    # `(tokens, N, width)`: four projections, and per sample two products of tokens with tokens.
    query, key = tensors[:2]
    (asked, samples, width), known = query.shape, key.shape[0]
    return samples * (2 * (asked + known) * width**2 + 2 * asked * known * width)


_COUNTS: dict[str, Callable[[list[Tensor], Any], int]] = {
    "conv1d": _convolution,
    "conv2d": _convolution,
    "conv3d": _convolution,
    "conv_transpose1d": _transposed,
    "conv_transpose2d": _transposed,
    "conv_transpose3d": _transposed,
    "linear": _product,
    "matmul": _product,
    "__matmul__": _product,
    "mm": _product,
    "bmm": _product,
    "addmm": _added_product,
    "baddbmm": _added_product,
    "scaled_dot_product_attention": _attention,
    "multi_head_attention_forward": _multi_head,
}
