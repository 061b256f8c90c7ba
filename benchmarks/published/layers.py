"""What the published networks share: convolution with batch norm, bottleneck, excitation, head."""

from collections.abc import Callable

import torch
from torch import nn

Activation = Callable[[], nn.Module]


def convolution(
    channels_in: int,
    channels_out: int,
    kernel: int = 1,
    stride: int = 1,
    groups: int = 1,
    activation: Activation | None = nn.ReLU,
) -> nn.Sequential:
    """Convolution with SAME-like padding, batch norm and `activation` (None: linear)."""
    layers: list[nn.Module] = [
        nn.Conv2d(
            channels_in,
            channels_out,
            kernel,
            stride,
            padding=kernel // 2,
            groups=groups,
            bias=False,
        ),
        nn.BatchNorm2d(channels_out),
    ]
    return nn.Sequential(*layers, *([] if activation is None else [activation()]))


def divisible(value: float, by: int = 8) -> int:
    """`value` rounded to a multiple of `by`, at most 10 % down (Sandler et al., 2018, code)."""
    rounded = max(by, int(value + by / 2) // by * by)
    return rounded if rounded >= 0.9 * value else rounded + by


class SqueezeExcitation(nn.Module):
    """Channels scaled by what their means say (Hu et al., 2018)."""

    def __init__(
        self,
        channels: int,
        squeezed: int,
        activation: Activation = nn.ReLU,
        gate: Activation = nn.Sigmoid,
    ) -> None:
        super().__init__()
        self.scale = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, squeezed, 1),
            activation(),
            nn.Conv2d(squeezed, channels, 1),
            gate(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, C, H, W)` to the same shape."""
        scaled: torch.Tensor = x * self.scale(x)
        return scaled


class InvertedBottleneck(nn.Module):
    """Expand, depthwise, project (Sandler et al., 2018); `excitation` stands before projecting.

    `hidden` equal to the channels in leaves the expansion out, unless `always_expands`.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        hidden: int,
        kernel: int = 3,
        stride: int = 1,
        activation: Activation = nn.ReLU6,
        excitation: nn.Module | None = None,
        always_expands: bool = False,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        if always_expands or hidden != channels_in:
            layers.append(convolution(channels_in, hidden, activation=activation))
        layers.append(
            convolution(hidden, hidden, kernel, stride, groups=hidden, activation=activation)
        )
        if excitation is not None:
            layers.append(excitation)
        layers.append(convolution(hidden, channels_out, activation=None))
        self.layers = nn.Sequential(*layers)
        self.adds = stride == 1 and channels_in == channels_out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, C, H, W)` to `(N, C', H/s, W/s)`."""
        y: torch.Tensor = self.layers(x)
        return x + y if self.adds else y


def head(channels: int, classes: int = 1000) -> nn.Sequential:
    """Global mean and a linear classifier."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))
