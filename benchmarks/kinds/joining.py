"""Concatenations, splits, slices, broadcasts, residuals and shuffles of channels."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import nn

from .layers import Apply, Branches, Residual, conv, depthwise, head
from .specimen import Specimen, specimen, together

Function = Callable[[torch.Tensor], torch.Tensor]
Merge = Callable[[list[torch.Tensor]], torch.Tensor]


class Partial(nn.Module):
    """Some of the channels go through `body`, the others pass by (as in CSPNet, FasterNet)."""

    def __init__(self, sizes: list[int], body: nn.Module) -> None:
        super().__init__()
        self.sizes, self.body = sizes, body

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, C, H, W)` to the same shape."""
        first, *others = x.split(self.sizes, 1)
        return torch.cat([self.body(first), *others], 1)


def to_channels(x: torch.Tensor) -> torch.Tensor:
    """`(N, C, H, W)` to `(N, 4 * C, H / 2, W / 2)` by strided slices (YOLOv5's focus)."""
    corners = [x[..., row::2, column::2] for column in (0, 1) for row in (0, 1)]
    return torch.cat(corners, 1)


#: Axis and number of what is concatenated, channels, side.
_CONCATENATIONS = (
    (1, 2, 24, 64),
    (1, 3, 20, 48),
    (1, 6, 16, 64),
    (2, 2, 32, 48),
    (3, 2, 24, 64),
    (3, 4, 16, 32),
)
#: What is taken of a map of `channels` and a side; the result has so many channels.
_SLICES: tuple[tuple[str, Function, int, int, int], ...] = (
    ("half of the channels", lambda x: x[:, : x.shape[1] // 2], 48, 24, 64),
    ("last channels, unaligned", lambda x: x[:, 11:], 40, 29, 64),
    ("every second row and column", lambda x: x[:, :, ::2, ::2], 32, 32, 64),
    ("every second channel", lambda x: x[:, ::2], 32, 16, 48),
    ("the middle of the image", lambda x: x[:, :, 4:-4, 4:-4], 24, 24, 96),
    ("four corners of each 2x2", to_channels, 12, 48, 96),
    ("halves multiplied", lambda x: torch.mul(*x.chunk(2, 1)), 64, 32, 48),
    ("three thirds added", lambda x: sum(x.chunk(3, 1), torch.zeros(1, device="meta")), 48, 16, 64),
    ("one column", lambda x: x[:, :, :, -1:], 64, 64, 32),
)  # fmt: skip
#: What two maps of equal shape and something smaller make.
_BROADCASTS: tuple[tuple[str, Function, int, int], ...] = (
    ("times its mean of each channel", lambda x: x * x.mean((2, 3), keepdim=True), 32, 64),
    ("times its mean of each row", lambda x: x * x.mean(3, keepdim=True), 24, 64),
    ("less the mean over channels", lambda x: x - x.mean(1, keepdim=True), 40, 48),
    ("rows plus columns", lambda x: x.mean(3, keepdim=True) + x.mean(2, keepdim=True), 32, 48),
    ("divided by its largest", lambda x: x / (x.amax((1, 2, 3), keepdim=True) + 1), 16, 64),
    ("smaller of two", lambda x: torch.minimum(x, x.flip(3)), 24, 48),
    ("twice and squared", lambda x: (2 * x + 1) ** 2, 32, 64),
)
#: Groups, channels, side.
_SHUFFLES = ((2, 48, 64), (4, 64, 32), (3, 60, 48))


class Scaled(nn.Module):
    """Each channel times a learned factor, plus a learned constant (ResMLP, ConvNeXt)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.constant = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, C, H, W)` to the same shape."""
        return x * self.factor + self.constant


def shuffle(x: torch.Tensor, groups: int) -> torch.Tensor:
    """`(N, C, H, W)` with the channels of `groups` groups interleaved."""
    batch, channels, height, width = x.shape
    x = x.view(batch, groups, channels // groups, height, width).transpose(1, 2)
    return x.reshape(batch, channels, height, width)


def _concatenated(axis: int, count: int, channels: int) -> nn.Module:
    branches = [conv(channels, channels, 3 if n % 2 else 1) for n in range(count)]
    wide = channels * count if axis == 1 else channels
    return nn.Sequential(
        conv(3, channels, 3, 2),
        Branches(branches, lambda results: torch.cat(results, axis)),
        conv(wide, channels, 3),
        head(channels),
    )


def _nested(channels: int) -> nn.Module:
    """Each layer reads all before it (Huang et al., 2017), batch norm behind."""
    layers = [conv(3, channels, 3, 2)]
    for n in range(4):
        grown = nn.Sequential(conv(channels + 12 * n, 12, 3))
        layers.append(nn.Sequential(Branches([nn.Identity(), grown])))
    return nn.Sequential(*layers, head(channels + 48))


def _sliced(function: Function, channels: int, left: int) -> nn.Module:
    return nn.Sequential(conv(3, channels, 3, 2), Apply(function), conv(left, 32, 3), head(32))


def _broadcast(function: Function, channels: int) -> nn.Module:
    return nn.Sequential(
        conv(3, channels, 3, 2), Apply(function), conv(channels, channels), head(channels)
    )


def _scaled(channels: int) -> nn.Module:
    body = nn.Sequential(depthwise(channels), conv(channels, channels, 1), Scaled(channels))
    return nn.Sequential(conv(3, channels, 3, 2), Scaled(channels), Residual(body), head(channels))


def _shuffled(groups: int, channels: int) -> nn.Module:
    body = nn.Sequential(
        conv(channels, channels, 1, groups=groups),
        Apply(partial(shuffle, groups=groups)),
        depthwise(channels, activation=None),
        conv(channels, channels, 1, groups=groups, activation=None),
    )
    return nn.Sequential(conv(3, channels, 3, 2), Residual(body, nn.ReLU()), head(channels))


def _partial(sizes: list[int]) -> nn.Module:
    body = Partial(sizes, conv(sizes[0], sizes[0], 3))
    return nn.Sequential(conv(3, sum(sizes), 3, 2), body, conv(sum(sizes), 64, 1), head(64))


def _residuals(channels: int, merge: Merge) -> nn.Module:
    short = conv(channels, 2 * channels, 1, 2, activation=None)
    long = nn.Sequential(
        conv(channels, channels, 3, 2), conv(channels, 2 * channels, 3, activation=None)
    )
    body = nn.Sequential(conv(2 * channels, 2 * channels), conv(2 * channels, 2 * channels))
    return nn.Sequential(
        *(conv(3, channels, 3, 2), Branches([short, long], merge), nn.ReLU()),
        *(Residual(body), head(2 * channels)),
    )


def _concatenations() -> Iterator[Specimen]:
    for axis, count, channels, side in _CONCATENATIONS:
        what = f"{count} along axis {axis}, {channels} channels each"
        build = partial(_concatenated, axis, count, channels)
        yield specimen("concatenation", what, build, (1, 3, side, side))
    yield specimen("concatenation", "4 dense layers", partial(_nested, 24), (1, 3, 64, 64))


def _slices() -> Iterator[Specimen]:
    for what, function, channels, left, side in _SLICES:
        build = partial(_sliced, function, channels, left)
        yield specimen("slice", f"{what} of {channels} channels", build, (1, 3, side, side))
    for sizes, side in (([12, 36], 64), ([8, 8, 24], 48)):
        what = f"the first of {sizes} channels worked on"
        yield specimen("slice", what, partial(_partial, sizes), (1, 3, side, side))


def _others() -> Iterator[Specimen]:
    for what, function, channels, side in _BROADCASTS:
        build = partial(_broadcast, function, channels)
        yield specimen("broadcast", f"{what}, {channels} channels", build, (1, 3, side, side))
    yield specimen("broadcast", "channels scaled", partial(_scaled, 48), (1, 3, 64, 64))
    for groups, channels, side in _SHUFFLES:
        what = f"{channels} channels in {groups} groups"
        build = partial(_shuffled, groups, channels)
        yield specimen("channel shuffle", what, build, (1, 3, side, side))
    merges: tuple[tuple[str, Merge], ...] = (
        ("added", lambda two: two[0] + two[1]),
        ("subtracted", lambda two: two[0] - two[1]),
        ("larger of two", lambda two: torch.maximum(two[0], two[1])),
    )
    for n, (what, merge) in enumerate(merges):
        build = partial(_residuals, 24 + 8 * n, merge)
        yield specimen("residual", f"{what}, {24 + 8 * n} channels", build, (1, 3, 64, 64 + 32 * n))


SPECIMENS = together(_concatenations(), _slices(), _others())
