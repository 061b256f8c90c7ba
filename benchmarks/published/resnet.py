"""ResNet-18, ResNet-50 (He et al., 2016) and the small one of MLPerf Tiny."""

import torch
from torch import nn

from .layers import convolution, head


class Residual(nn.Module):
    """`relu(body(x) + shortcut(x))`; the shortcut is a 1x1 where the shapes differ."""

    def __init__(self, body: nn.Module, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.body = body
        changes = stride != 1 or channels_in != channels_out
        self.shortcut = (
            convolution(channels_in, channels_out, 1, stride, activation=None)
            if changes
            else nn.Identity()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, C, H, W)` to `(N, C', H/s, W/s)`."""
        return torch.relu(self.body(x) + self.shortcut(x))


def basic(channels_in: int, width: int, stride: int) -> Residual:
    """Two 3x3 convolutions."""
    body = nn.Sequential(
        convolution(channels_in, width, 3, stride), convolution(width, width, 3, activation=None)
    )
    return Residual(body, channels_in, width, stride)


def bottleneck(channels_in: int, width: int, stride: int) -> Residual:
    """1x1, 3x3 (with the stride, as in the reference code's V1.5), 1x1 to four times `width`."""
    body = nn.Sequential(
        convolution(channels_in, width),
        convolution(width, width, 3, stride),
        convolution(width, 4 * width, activation=None),
    )
    return Residual(body, channels_in, 4 * width, stride)


def resnet18() -> nn.Module:
    """2, 2, 2, 2 basic blocks."""
    channels, layers = 64, _stem()
    for width in (64, 128, 256, 512):
        for n in range(2):
            layers.append(basic(channels, width, 2 if n == 0 and width > 64 else 1))
            channels = width
    return nn.Sequential(*layers, head(512))


def resnet50() -> nn.Module:
    """3, 4, 6, 3 bottlenecks."""
    channels, layers = 64, _stem()
    for width, repeats in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for n in range(repeats):
            layers.append(bottleneck(channels, width, 2 if n == 0 and width > 64 else 1))
            channels = 4 * width
    return nn.Sequential(*layers, head(2048))


def resnet8() -> nn.Module:
    """Three basic blocks for 32 x 32 images of 10 classes (Banbury et al., 2021, MLPerf Tiny)."""
    return nn.Sequential(
        convolution(3, 16, 3), basic(16, 16, 1), basic(16, 32, 2), basic(32, 64, 2), head(64, 10)
    )


def _stem() -> list[nn.Module]:
    return [convolution(3, 64, 7, 2), nn.MaxPool2d(3, 2, padding=1)]
