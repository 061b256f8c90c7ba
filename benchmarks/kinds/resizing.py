"""Maps made larger and smaller: resize, pixel shuffle, transposed convolution."""

from collections.abc import Iterator
from functools import partial

import torch
from torch import nn
from torch.nn import functional

from .layers import Size, conv, pair
from .specimen import Specimen, specimen, together

#: Mode, whether corners are aligned, factor, channels, height, width before resizing.
_RESIZES = (
    ("nearest", None, 2.0, 32, 32, 32),
    ("nearest", None, 3.0, 20, 24, 40),
    ("nearest", None, 4.0, 16, 32, 32),
    ("nearest", None, 1.5, 24, 32, 32),
    ("nearest", None, 0.5, 48, 64, 64),
    ("bilinear", False, 2.0, 40, 32, 32),
    ("bilinear", False, 2.0, 64, 20, 30),
    ("bilinear", False, 3.0, 16, 24, 24),
    ("bilinear", False, 4.0, 21, 32, 32),
    ("bilinear", False, 1.5, 24, 32, 48),
    ("bilinear", False, 0.5, 32, 64, 64),
    ("bilinear", False, 8.0, 12, 16, 16),
    ("bilinear", True, 2.0, 24, 32, 32),
    ("bilinear", True, 4.0, 16, 24, 24),
    ("bilinear", True, 0.5, 24, 48, 48),
)
#: Factor, channels, height, width of the smaller map.
_SHUFFLES = ((2, 32, 32, 32), (3, 3, 40, 40), (4, 3, 32, 32), (2, 12, 24, 64))
_UNSHUFFLES = ((2, 3, 64, 64), (4, 3, 32, 32), (2, 32, 24, 32))
#: Kernel, stride, padding, output padding, channels in and out, height, width.
_TRANSPOSED: tuple[tuple[Size, int, int, int, int, int, int, int], ...] = (
    (2, 2, 0, 0, 64, 32, 32, 32),
    (3, 2, 1, 1, 32, 32, 24, 40),
    (4, 2, 1, 0, 64, 32, 16, 16),
    (4, 2, 1, 0, 20, 12, 48, 48),
    (3, 3, 0, 0, 32, 16, 20, 20),
    (3, 1, 1, 0, 48, 48, 32, 32),
    (4, 4, 0, 0, 64, 16, 16, 16),
    (5, 2, 2, 1, 24, 24, 32, 32),
    (3, 2, 0, 0, 32, 32, 16, 16),
)


class Resize(nn.Module):
    """`functional.interpolate` by a factor."""

    def __init__(self, mode: str, aligned: bool | None, factor: float) -> None:
        super().__init__()
        self.mode, self.aligned, self.factor = mode, aligned, factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, C, H, W)` to `(N, C, factor * H, factor * W)`."""
        size = [int(side * self.factor) for side in x.shape[2:]]
        return functional.interpolate(x, size, mode=self.mode, align_corners=self.aligned)


def _resized(mode: str, aligned: bool | None, factor: float, channels: int) -> nn.Module:
    return nn.Sequential(
        conv(16, channels, 3),
        Resize(mode, aligned, factor),
        conv(channels, channels, 3),
        nn.Conv2d(channels, 4, 1),
    )


def _shuffled(factor: int, channels: int) -> nn.Module:
    return nn.Sequential(
        conv(16, 32, 3),
        nn.Conv2d(32, channels * factor**2, 3, padding=1),
        nn.PixelShuffle(factor),
        nn.Conv2d(channels, 3, 3, padding=1),
    )


def _unshuffled(factor: int, channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, channels, 3, padding=1),
        nn.PixelUnshuffle(factor),
        conv(channels * factor**2, 32, 3),
        nn.Conv2d(32, 8, 1),
    )


def _transposed(
    kernel: Size, stride: int, padding: int, added: int, before: int, after: int
) -> nn.Module:
    return nn.Sequential(
        conv(16, before, 3),
        nn.ConvTranspose2d(before, after, kernel, stride, padding, added),
        nn.BatchNorm2d(after),
        nn.ReLU(),
        nn.Conv2d(after, 4, 1),
    )


def _grouped_transposed(channels: int) -> nn.Module:
    return nn.Sequential(
        conv(16, channels, 3),
        nn.ConvTranspose2d(channels, channels, 4, 2, 1, groups=channels),
        nn.Conv2d(channels, 4, 1),
    )


def _resizes() -> Iterator[Specimen]:
    for mode, aligned, factor, channels, height, width in _RESIZES:
        corners = ", corners aligned" if aligned else ""
        yield specimen(
            "resize",
            f"{mode} by {factor:g}{corners}, {channels} channels",
            partial(_resized, mode, aligned, factor, channels),
            (1, 16, height, width),
        )


def _shuffles() -> Iterator[Specimen]:
    for factor, channels, height, width in _SHUFFLES:
        what = f"by {factor} to {channels} channels"
        build = partial(_shuffled, factor, channels)
        yield specimen("pixel shuffle", what, build, (1, 16, height, width))
    for factor, channels, height, width in _UNSHUFFLES:
        what = f"back by {factor} from {channels} channels"
        build = partial(_unshuffled, factor, channels)
        yield specimen("pixel shuffle", what, build, (1, 3, factor * height, factor * width))


def _transposes() -> Iterator[Specimen]:
    for kernel, stride, padding, added, before, after, height, width in _TRANSPOSED:
        size = "x".join(map(str, pair(kernel)))
        yield specimen(
            "transposed convolution",
            f"{size} stride {stride} padding {padding}, {before} to {after} channels",
            partial(_transposed, kernel, stride, padding, added, before, after),
            (1, 16, height, width),
        )
    what = "4x4 stride 2 of each of 32 channels alone"
    build = partial(_grouped_transposed, 32)
    yield specimen("transposed convolution", what, build, (1, 16, 24, 24))


SPECIMENS = together(_resizes(), _shuffles(), _transposes())
