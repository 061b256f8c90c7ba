"""Shapes of results, where torch's own shape code is slow and the case is a plain one.

On the meta device torch works shapes out in Python; convolutions and residual sums took a third of
the time of tracing. What is not plain (and what is wrong) is left to torch.
"""

from collections.abc import Sequence

import torch


def convolution_shape(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    _: Sequence[int],
    groups: int,
) -> tuple[int, ...]:
    """Shape of the result of `aten.convolution`; empty where torch has to look at it itself."""
    axes = x.ndim - 2
    sound = (
        not transposed
        and weight.ndim == x.ndim
        and len(stride) == len(padding) == len(dilation) == axes
        and x.shape[1] == weight.shape[1] * groups
        and weight.shape[0] % groups == 0
        and x.dtype == weight.dtype
        and x.is_contiguous()
        and weight.is_contiguous()
        and (bias is None or (bias.shape == weight.shape[:1] and bias.dtype == x.dtype))
    )
    if not sound:
        return ()
    shape = [
        (x.shape[n + 2] + 2 * padding[n] - dilation[n] * (weight.shape[n + 2] - 1) - 1) // stride[n]
        for n in range(axes)
    ]
    return (x.shape[0], weight.shape[0], *(n + 1 for n in shape)) if min(shape) >= 0 else ()


def are_alike(first: object, second: object) -> bool:
    """Whether both are contiguous float tensors of one shape and type, as in a residual sum."""
    return (
        isinstance(first, torch.Tensor)
        and isinstance(second, torch.Tensor)
        and first.shape == second.shape
        and first.dtype == second.dtype
        and first.is_floating_point()
        and first.is_contiguous()
        and second.is_contiguous()
    )
