"""Large and asymmetric strides, poolings of many windows, and explicit padding."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import nn
from torch.nn import functional

from .layers import Apply, Size, conv, depthwise, head, pair
from .specimen import Specimen, specimen, together

#: Kernel and stride of the stem, channels, height, width.
_STEMS = (
    (4, 4, 32, 64, 64),
    (8, 8, 64, 96, 96),
    (16, 16, 192, 128, 128),
    (7, 4, 48, 128, 96),
    (5, 3, 24, 81, 81),
    (11, 4, 64, 127, 127),
    (3, 3, 40, 96, 48),
    (9, 8, 128, 128, 128),
    (2, 2, 16, 64, 64),
)
#: Kernel, stride, channels, whether depthwise, side: inside a network.
_INSIDE = (
    (1, 2, 64, False, 64),
    (2, 2, 48, False, 64),
    (3, 4, 32, False, 96),
    (7, 4, 64, True, 64),
    (5, 3, 36, True, 96),
    (4, 4, 32, False, 64),
)
#: Kernel, stride, channels, height, width.
_ASYMMETRIC = (
    (3, (2, 1), 32, 64, 64),
    (3, (1, 2), 24, 40, 98),
    ((5, 3), (4, 1), 16, 128, 40),
    ((3, 7), (1, 3), 20, 32, 128),
    (3, (3, 2), 64, 96, 64),
)
#: Max or mean, window, stride, padding, channels, height, width.
_POOLS = (
    ("max", 2, 2, 0, 32, 64, 64),
    ("max", 3, 2, 1, 24, 96, 96),
    ("max", 3, 1, 1, 64, 32, 32),
    ("max", 5, 1, 2, 40, 48, 48),
    ("max", 9, 1, 4, 32, 40, 40),
    ("max", 4, 4, 0, 20, 64, 64),
    ("max", (1, 3), (1, 2), 0, 16, 40, 98),
    ("max", 7, 3, 0, 48, 64, 64),
    ("mean", 2, 2, 0, 64, 64, 64),
    ("mean", 3, 1, 1, 36, 48, 48),
    ("mean", 4, 4, 0, 24, 96, 64),
    ("mean", 5, 2, 2, 32, 64, 64),
    ("mean", 8, 8, 0, 16, 128, 128),
    ("mean", 9, 3, 4, 20, 64, 64),
    ("mean", (4, 1), (4, 1), 0, 40, 64, 40),
)
#: What is done to the map, by name, with channels and side.
_PADS: tuple[tuple[str, Callable[[torch.Tensor], torch.Tensor], int, int], ...] = (
    ("zeros, 1 all around", lambda x: functional.pad(x, (1, 1, 1, 1)), 32, 64),
    ("zeros, below and right", lambda x: functional.pad(x, (0, 1, 0, 1)), 24, 96),
    ("zeros, 3 on one side", lambda x: functional.pad(x, (3, 0, 0, 0)), 48, 48),
    ("zeros, 2 channels", lambda x: functional.pad(x, (0, 0, 0, 0, 1, 1)), 30, 40),
    ("reflected, 1 all around", lambda x: functional.pad(x, (1, 1, 1, 1), mode="reflect"), 36, 64),
    ("reflected, 3 all around", lambda x: functional.pad(x, (3, 3, 3, 3), mode="reflect"), 16, 128),
    (
        "replicated, 2 left and right",
        lambda x: functional.pad(x, (2, 2, 0, 0), mode="replicate"),
        40,
        64,
    ),
)


def _stem(kernel: int, stride: int, channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, channels, kernel, stride, padding=max(0, (kernel - stride) // 2)),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        depthwise(channels),
        conv(channels, channels, 1),
        head(channels),
    )


def _inside(kernel: Size, stride: Size, channels: int, is_depthwise: bool) -> nn.Module:
    groups = channels if is_depthwise else 1
    return nn.Sequential(
        conv(3, channels, 3),
        conv(channels, channels, kernel, stride, groups=groups),
        conv(channels, 2 * channels, 1),
        head(2 * channels),
    )


def _pool(how: str, window: Size, stride: Size, padding: int, channels: int) -> nn.Module:
    made = nn.MaxPool2d(window, stride, padding)
    mean = nn.AvgPool2d(window, stride, padding)
    return nn.Sequential(
        conv(3, channels, 3),
        made if how == "max" else mean,
        conv(channels, channels, 1),
        head(channels),
    )


def _padded(pad: Callable[[torch.Tensor], torch.Tensor], channels: int) -> nn.Module:
    with torch.device("meta"):
        grown = pad(torch.empty(1, channels, 16, 16)).shape[1]
    return nn.Sequential(
        conv(3, channels, 3, 2),
        Apply(pad),
        nn.Conv2d(grown, channels, 3),
        nn.ReLU(),
        head(channels),
    )


def _strides() -> Iterator[Specimen]:
    for kernel, stride, channels, height, width in _STEMS:
        yield specimen(
            "large stride",
            f"stem of kernel {kernel} and stride {stride}, {channels} channels",
            partial(_stem, kernel, stride, channels),
            (1, 3, height, width),
        )
    for kernel, stride, channels, is_depthwise, side in _INSIDE:
        which = "depthwise " if is_depthwise else ""
        yield specimen(
            "large stride",
            f"{which}kernel {kernel} and stride {stride} on {channels} channels",
            partial(_inside, kernel, stride, channels, is_depthwise),
            (1, 3, side, side),
        )


def _asymmetric_strides() -> Iterator[Specimen]:
    for kernel, steps, channels, height, width in _ASYMMETRIC:
        size = "x".join(map(str, pair(kernel)))
        yield specimen(
            "asymmetric stride",
            f"kernel {size} and stride {steps[0]}x{steps[1]} on {channels} channels",
            partial(_inside, kernel, steps, channels, False),
            (1, 3, height, width),
        )


def _pools() -> Iterator[Specimen]:
    for how, window, stride, padding, channels, height, width in _POOLS:
        size, step = ("x".join(map(str, pair(one))) for one in (window, stride))
        yield specimen(
            "pooling",
            f"{how} of {size}, stride {step}, on {channels} channels",
            partial(_pool, how, window, stride, padding, channels),
            (1, 3, height, width),
        )


def _paddings() -> Iterator[Specimen]:
    for what, pad, channels, side in _PADS:
        yield specimen(
            "padding",
            f"{what}, {channels} channels",
            partial(_padded, pad, channels),
            (1, 3, side, side),
        )


SPECIMENS = together(_strides(), _asymmetric_strides(), _pools(), _paddings())
