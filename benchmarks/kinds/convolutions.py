"""Convolutions of other kernels, rates and groups than 3x3, dense or depthwise."""

from collections.abc import Iterator
from functools import partial

from torch import nn

from .layers import Apply, Branches, Size, conv, depthwise, head
from .specimen import Specimen, specimen, together

#: Kernel, rate, channels, whether depthwise, height, width.
_DILATED = (
    (3, 2, 24, False, 96, 96),
    (3, 3, 40, False, 64, 96),
    (3, 4, 64, True, 64, 64),
    (3, 6, 20, False, 66, 66),
    (3, 12, 96, False, 64, 64),
    (3, 18, 32, False, 128, 128),
    (5, 2, 16, True, 80, 48),
    (5, 3, 48, False, 48, 48),
    (7, 3, 32, True, 64, 64),
    (3, 8, 36, False, 40, 112),
)
#: Rates and channels, then the image.
_ASPP = (((2, 4, 8), 32, 48, 80), ((6, 12, 18), 64, 64, 64), ((3, 6), 24, 128, 128))
#: Kernel, channels, whether depthwise, side.
_KERNELS = (
    (1, 128, False, 32),
    (2, 32, False, 64),
    (4, 24, False, 64),
    (5, 36, False, 80),
    (6, 16, False, 48),
    (7, 48, False, 64),
    (8, 20, False, 40),
    (9, 32, False, 64),
    (10, 12, False, 96),
    (11, 16, False, 64),
    (7, 96, True, 64),
    (9, 48, True, 96),
    (11, 64, True, 64),
    (4, 40, True, 48),
)
#: Kernels one after the other, channels, whether depthwise, height, width.
_ASYMMETRIC = (
    (((1, 7), (7, 1)), 64, False, 34, 34),
    (((1, 3), (3, 1)), 48, False, 64, 64),
    (((5, 1), (1, 5)), 20, False, 48, 96),
    (((3, 5),), 32, False, 64, 64),
    (((1, 11), (11, 1)), 64, True, 64, 64),
    (((7, 1),), 96, True, 98, 40),
    (((9, 3), (1, 2)), 24, False, 98, 40),
)
#: Groups, channels in and out, kernel, stride, side.
_GROUPED = (
    (2, 48, 48, 3, 1, 64),
    (4, 64, 128, 3, 2, 64),
    (8, 96, 96, 3, 1, 48),
    (6, 48, 96, 1, 1, 64),
    (32, 128, 128, 3, 1, 32),
    (20, 40, 40, 3, 1, 64),
    (64, 128, 128, 5, 1, 32),
    (3, 36, 60, 5, 2, 96),
    (16, 256, 256, 1, 1, 16),
)
#: Channels, multiplier, kernel, stride, side.
_MULTIPLIED = ((24, 2, 3, 1, 64), (16, 4, 3, 2, 96), (20, 3, 5, 1, 48), (64, 2, 7, 2, 32))


def _dilated(kernel: int, rate: int, channels: int, is_depthwise: bool) -> nn.Module:
    groups = channels if is_depthwise else 1
    return nn.Sequential(
        conv(3, channels, 3, 2),
        conv(channels, channels, kernel, dilation=rate, groups=groups),
        conv(channels, channels, 1),
        conv(channels, channels, kernel, dilation=rate, groups=groups),
        head(channels),
    )


def _pooled(channels: int, height: int, width: int) -> nn.Module:
    """The image level of DeepLab: a mean, spread over the map again."""
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(1),
        conv(channels, channels, 1),
        Apply(lambda x: nn.functional.interpolate(x, (height, width), mode="bilinear")),
    )


def _aspp(rates: tuple[int, ...], channels: int, height: int, width: int) -> nn.Module:
    branches = [conv(channels, channels, dilation=rate) for rate in rates]
    pooled = _pooled(channels, height // 4, width // 4)
    return nn.Sequential(
        conv(3, channels, 3, 2),
        conv(channels, channels, 3, 2),
        Branches([conv(channels, channels, 1), *branches, pooled]),
        conv((len(rates) + 2) * channels, channels, 1),
        nn.Conv2d(channels, 21, 1),
    )


def _kernels(kernel: int, channels: int, is_depthwise: bool) -> nn.Module:
    groups = channels if is_depthwise else 1
    return nn.Sequential(
        conv(3, channels, 3, 2),
        conv(channels, channels, kernel, groups=groups),
        conv(channels, channels, kernel, groups=groups, activation=nn.ReLU6),
        head(channels),
    )


def _asymmetric(kernels: tuple[Size, ...], channels: int, is_depthwise: bool) -> nn.Module:
    groups = channels if is_depthwise else 1
    middle = (conv(channels, channels, kernel, groups=groups) for kernel in 2 * kernels)
    return nn.Sequential(conv(3, channels, 3, 2), *middle, head(channels))


def _grouped(groups: int, before: int, after: int, kernel: int, stride: int) -> nn.Module:
    return nn.Sequential(
        conv(3, before, 3, 2),
        conv(before, after, kernel, stride, groups=groups),
        conv(after, after, kernel, groups=groups),
        head(after),
    )


def _multiplied(channels: int, multiplier: int, kernel: int, stride: int) -> nn.Module:
    wide = channels * multiplier
    return nn.Sequential(
        conv(3, channels, 3, 2),
        conv(channels, wide, kernel, stride, groups=channels),
        conv(wide, channels, 1),
        depthwise(channels),
        head(channels),
    )


def _dilations() -> Iterator[Specimen]:
    for kernel, rate, channels, is_depthwise, height, width in _DILATED:
        which = "depthwise " if is_depthwise else ""
        yield specimen(
            "dilated convolution",
            f"{which}{kernel}x{kernel} rate {rate} on {channels} channels",
            partial(_dilated, kernel, rate, channels, is_depthwise),
            (1, 3, height, width),
        )
    for rates, channels, height, width in _ASPP:
        yield specimen(
            "dilated convolution",
            f"pyramid of rates {rates} on {channels} channels",
            partial(_aspp, rates, channels, height, width),
            (1, 3, height, width),
        )


def _kernel_sizes() -> Iterator[Specimen]:
    for kernel, channels, is_depthwise, side in _KERNELS:
        which = "depthwise " if is_depthwise else ""
        yield specimen(
            "kernel size",
            f"{which}{kernel}x{kernel} on {channels} channels",
            partial(_kernels, kernel, channels, is_depthwise),
            (1, 3, side, side),
        )
    for kernels, channels, is_depthwise, height, width in _ASYMMETRIC:
        which = "depthwise " if is_depthwise else ""
        sizes = " and ".join(f"{rows}x{columns}" for rows, columns in kernels)
        yield specimen(
            "asymmetric kernel",
            f"{which}{sizes} on {channels} channels",
            partial(_asymmetric, kernels, channels, is_depthwise),
            (1, 3, height, width),
        )


def _groups() -> Iterator[Specimen]:
    for groups, before, after, kernel, stride, side in _GROUPED:
        yield specimen(
            "grouped convolution",
            f"{kernel}x{kernel} stride {stride} in {groups} groups, {before} to {after} channels",
            partial(_grouped, groups, before, after, kernel, stride),
            (1, 3, side, side),
        )
    for channels, multiplier, kernel, stride, side in _MULTIPLIED:
        yield specimen(
            "channel multiplier",
            f"{kernel}x{kernel} stride {stride}, {channels} channels times {multiplier}",
            partial(_multiplied, channels, multiplier, kernel, stride),
            (1, 3, side, side),
        )


SPECIMENS = together(_dilations(), _kernel_sizes(), _groups())
