"""U-Net (Ronneberger et al., 2015) with padding, batch norm and a quarter of the width."""

import torch
from torch import nn

from .layers import convolution

_WIDTHS = (16, 32, 64, 128, 256)


class UNet(nn.Module):
    """Down and up again; every level of the way down is concatenated on the way up."""

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        ends = list(zip((3, *_WIDTHS), _WIDTHS, strict=False))
        self.down = nn.ModuleList(_double(before, after) for before, after in ends)
        pairs = list(zip(_WIDTHS[:0:-1], _WIDTHS[-2::-1], strict=True))
        self.grow = nn.ModuleList(nn.ConvTranspose2d(low, high, 2, 2) for low, high in pairs)
        self.up = nn.ModuleList(_double(2 * high, high) for _, high in pairs)
        self.last = nn.Conv2d(_WIDTHS[0], classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, 3, H, W)` to `(N, classes, H, W)`; both sides divisible by 16."""
        skipped: list[torch.Tensor] = []
        for n, level in enumerate(self.down):
            x = level(x if n == 0 else nn.functional.max_pool2d(x, 2))
            skipped.append(x)
        for grow, level, higher in zip(self.grow, self.up, skipped[-2::-1], strict=True):
            x = level(torch.cat([higher, grow(x)], dim=1))
        y: torch.Tensor = self.last(x)
        return y


def unet() -> nn.Module:
    """Two classes."""
    return UNet()


def _double(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        convolution(channels_in, channels_out, 3), convolution(channels_out, channels_out, 3)
    )
