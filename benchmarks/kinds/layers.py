"""What the specimens are made of: convolution with batch norm, branches, residuals, functions."""

from collections.abc import Callable, Sequence

import torch
from torch import nn

Size = int | tuple[int, int]
Activation = Callable[[], nn.Module]


def conv(
    channels_in: int,
    channels_out: int,
    kernel: Size = 3,
    stride: Size = 1,
    *,
    dilation: Size = 1,
    groups: int = 1,
    activation: Activation | None = nn.ReLU,
) -> nn.Sequential:
    """Convolution that keeps the size at stride 1 and odd kernels, batch norm, `activation`."""
    (rows, columns), (down, across) = pair(kernel), pair(dilation)
    padding = (down * (rows - 1) // 2, across * (columns - 1) // 2)
    layers: list[nn.Module] = [
        nn.Conv2d(channels_in, channels_out, kernel, stride, padding, dilation, groups, bias=False),
        nn.BatchNorm2d(channels_out),
    ]
    return nn.Sequential(*layers, *([] if activation is None else [activation()]))


def pair(size: Size) -> tuple[int, int]:
    """`(height, width)` of a size given once or twice."""
    return (size, size) if isinstance(size, int) else size


def depthwise(
    channels: int,
    kernel: Size = 3,
    stride: Size = 1,
    *,
    dilation: Size = 1,
    activation: Activation | None = nn.ReLU,
) -> nn.Sequential:
    """A convolution of each channel alone."""
    return conv(
        *(channels, channels, kernel, stride),
        dilation=dilation,
        groups=channels,
        activation=activation,
    )


def head(channels: int, classes: int = 10) -> nn.Sequential:
    """Global mean and a linear classifier."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


class Apply(nn.Module):
    """A function of one tensor as a module."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Whatever the function makes of `x`."""
        return self.function(x)


class Branches(nn.Module):
    """Branches that read the same tensor; `merge` makes one of their results."""

    def __init__(
        self,
        branches: Sequence[nn.Module],
        merge: Callable[[list[torch.Tensor]], torch.Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.merge = merge or (lambda results: torch.cat(results, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Results of the branches, concatenated by channel where nothing else is said."""
        return self.merge([branch(x) for branch in self.branches])


class Residual(nn.Module):
    """`body` beside a skip, `after` on the sum."""

    def __init__(self, body: nn.Module, after: nn.Module | None = None) -> None:
        super().__init__()
        self.body, self.after = body, after

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x` plus what the body makes of it."""
        summed: torch.Tensor = x + self.body(x)
        return summed if self.after is None else self.after(summed)


def gated(gate: nn.Module) -> Branches:
    """The input times what `gate` makes of it."""
    return Branches([nn.Identity(), gate], lambda both: both[0] * both[1])


def tokens(x: torch.Tensor) -> torch.Tensor:
    """`(N, C, H, W)` to `(N, H * W, C)`."""
    return x.flatten(2).transpose(1, 2)
