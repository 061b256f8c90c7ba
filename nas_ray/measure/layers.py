"""The few forms that blocks are put together from: side by side, in parts, permuted, gated.

`convolved` is a convolution with every attribute; `blocks.convolution` is the usual one.
"""

from collections.abc import Callable, Sequence

import torch
from torch import nn

from nas_ray.measure.blocks import ACTIVATIONS

Pair = tuple[int, int]


class Apply(nn.Module):
    """A function of tensors as a module; it holds the modules that the function calls."""

    def __init__(self, function: Callable[..., object], *called: nn.Module) -> None:
        super().__init__()
        self.function, self.called = function, nn.ModuleList(called)

    def forward(self, *inputs: torch.Tensor) -> object:
        """What the function returns."""
        return self.function(*inputs)


class Beside(nn.Module):
    """Branches that read the same tensor; their results are concatenated along `axis`."""

    def __init__(self, *branches: nn.Module, axis: int = 1) -> None:
        super().__init__()
        self.branches, self.axis = nn.ModuleList(branches), axis

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, ...)` to the branches' results side by side."""
        return torch.cat([branch(x) for branch in self.branches], dim=self.axis)


class Summed(nn.Module):
    """Branches that read the same tensor; their results are added, then activated."""

    def __init__(self, *branches: nn.Module, activation: str = "") -> None:
        super().__init__()
        self.branches, self.activation = nn.ModuleList(branches), ACTIVATIONS[activation]()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The sum of the branches' results."""
        first, *others = [branch(x) for branch in self.branches]
        for other in others:
            first = first + other
        result: torch.Tensor = self.activation(first)
        return result


class InParts(nn.Module):
    """Channels in parts of `sizes`, one branch for each; the results are concatenated."""

    def __init__(self, sizes: Sequence[int], branches: Sequence[nn.Module]) -> None:
        super().__init__()
        self.sizes, self.branches = list(sizes), nn.ModuleList(branches)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, C, ...)` with C the sum of the sizes."""
        parts = zip(self.branches, x.split(self.sizes, dim=1), strict=True)
        return torch.cat([branch(part) for branch, part in parts], dim=1)


class Permuted(nn.Module):
    """A module that reads its input with permuted axes; the result is permuted back."""

    def __init__(self, inner: nn.Module, order: Sequence[int]) -> None:
        super().__init__()
        self.inner, self.order = inner, tuple(order)
        self.back = tuple(self.order.index(axis) for axis in range(len(self.order)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The same axes as `x`."""
        result: torch.Tensor = self.inner(x.permute(self.order))
        return result.permute(self.back)


class Gated(nn.Module):
    """`x`, or `branch(x)`, times what `weigh` makes of `x`; the shapes may broadcast."""

    def __init__(self, weigh: nn.Module, branch: nn.Module | None = None) -> None:
        super().__init__()
        self.weigh, self.branch = weigh, branch or nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The product."""
        product: torch.Tensor = self.branch(x) * self.weigh(x)
        return product


class Scaled(nn.Module):
    """`x` times a parameter a channel, as layer scale does (Touvron et al., 2021)."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(shape))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The product; the parameter broadcasts."""
        return x * self.scale


def convolved(
    channels: int,
    after: int,
    kernel: int | Pair,
    *,
    stride: int | Pair = 1,
    dilation: int | Pair = 1,
    groups: int = 1,
    activation: str = "",
    padded: bool = True,
    norm: bool = True,
) -> nn.Sequential:
    """Convolution, batch norm, activation; padded so that stride 1 keeps an odd kernel's image."""
    (rows, columns), (down, across) = _pair(kernel), _pair(dilation)
    padding = (down * (rows - 1) // 2, across * (columns - 1) // 2) if padded else (0, 0)
    layers: list[nn.Module] = [
        nn.Conv2d(
            *(channels, after, (rows, columns)),
            stride=stride,
            padding=padding,
            dilation=(down, across),
            groups=groups,
            bias=not norm,
        )
    ]
    if norm:
        layers.append(nn.BatchNorm2d(after))
    if activation:
        layers.append(ACTIVATIONS[activation]())
    return nn.Sequential(*layers)


def depthwise(
    channels: int, kernel: int | Pair, *, stride: int = 1, activation: str = ""
) -> nn.Sequential:
    """A padded depthwise convolution with batch norm."""
    return convolved(
        channels, channels, kernel, stride=stride, groups=channels, activation=activation
    )


def pointwise(channels: int, after: int, activation: str = "") -> nn.Sequential:
    """A 1x1 convolution with batch norm."""
    return convolved(channels, after, 1, activation=activation)


def flat_tokens(x: torch.Tensor) -> torch.Tensor:
    """`(N, C, H, W)` to `(N, H * W, C)`."""
    return x.flatten(2).transpose(1, 2)


def _pair(value: int | Pair) -> Pair:
    return (value, value) if isinstance(value, int) else value
