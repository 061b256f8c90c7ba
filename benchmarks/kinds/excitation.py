"""Maps scaled by what they say themselves: channels, positions, kernels."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import nn

from .layers import Apply, Branches, Residual, conv, depthwise, gated, head
from .specimen import Specimen, specimen, together


class SelectiveKernel(nn.Module):
    """Two kernels, mixed channel by channel by a softmax over both (Li et al., 2019)."""

    def __init__(self, channels: int, reduced: int) -> None:
        super().__init__()
        self.small, self.large = conv(channels, channels), conv(channels, channels, dilation=2)
        self.squeeze = conv(channels, reduced, 1)
        self.select = nn.Conv2d(reduced, 2 * channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, C, H, W)` to the same shape."""
        both = torch.stack([self.small(x), self.large(x)], 1)
        mean = both.sum(1).mean((2, 3), keepdim=True)
        weights = self.select(self.squeeze(mean))
        weights = weights.view(len(x), 2, x.shape[1], 1, 1).softmax(1)
        y: torch.Tensor = (both * weights).sum(1)
        return y


class Coordinates(nn.Module):
    """Rows and columns excited apart (Hou et al., 2021)."""

    def __init__(self, channels: int, reduced: int) -> None:
        super().__init__()
        self.shared = conv(channels, reduced, 1, activation=nn.Hardswish)
        self.rows, self.columns = nn.Conv2d(reduced, channels, 1), nn.Conv2d(reduced, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, C, H, W)` to the same shape."""
        height, width = x.shape[2:]
        down = x.mean(3, keepdim=True)
        across = x.mean(2, keepdim=True).permute(0, 1, 3, 2)
        rows, columns = self.shared(torch.cat([down, across], 2)).split([height, width], 2)
        gates = self.columns(columns.permute(0, 1, 3, 2)).sigmoid()
        y: torch.Tensor = x * self.rows(rows).sigmoid() * gates
        return y


class Context(nn.Module):
    """Add a mean of the map, weighted by a softmax over positions (Cao et al., 2019)."""

    def __init__(self, channels: int, reduced: int) -> None:
        super().__init__()
        self.where = nn.Conv2d(channels, 1, 1)
        self.transform = nn.Sequential(
            nn.Conv2d(channels, reduced, 1), nn.ReLU(), nn.Conv2d(reduced, channels, 1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, C, H, W)` to the same shape."""
        weights = self.where(x).flatten(2).softmax(-1).transpose(1, 2)
        context = (x.flatten(2) @ weights).unsqueeze(-1)
        y: torch.Tensor = x + self.transform(context)
        return y


def excitation(channels: int, reduced: int, gate: Callable[[], nn.Module] = nn.Sigmoid) -> Branches:
    """Squeeze and excitation (Hu et al., 2018)."""
    return gated(
        nn.Sequential(
            *(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, reduced, 1), nn.ReLU()),
            *(nn.Conv2d(reduced, channels, 1), gate()),
        )
    )


def _linear_excitation(channels: int, reduced: int) -> nn.Module:
    """As the first code had it: linear layers on a vector, viewed as a map again."""
    return gated(
        nn.Sequential(
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, reduced), nn.ReLU()),
            *(nn.Linear(reduced, channels), nn.Sigmoid(), nn.Unflatten(1, (channels, 1, 1))),
        )
    )


def _efficient(kernel: int) -> nn.Module:
    """A convolution over the channels of the mean (Wang et al., 2020)."""
    return gated(
        nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            Apply(lambda x: x.squeeze(-1).transpose(1, 2)),
            nn.Conv1d(1, 1, kernel, padding=kernel // 2, bias=False),
            Apply(lambda x: x.transpose(1, 2).unsqueeze(-1)),
            nn.Sigmoid(),
        )
    )


def _spatial(kernel: int) -> nn.Module:
    """Mean and maximum over channels, one convolution, a gate a position (Woo et al., 2018)."""
    both = Branches(
        [Apply(lambda x: x.mean(1, keepdim=True)), Apply(lambda x: x.amax(1, keepdim=True))]
    )
    return gated(nn.Sequential(both, nn.Conv2d(2, 1, kernel, padding=kernel // 2), nn.Sigmoid()))


def _double(channels: int, reduced: int) -> nn.Module:
    """Mean and maximum of each channel through the same layers (Woo et al., 2018)."""
    shared = nn.Sequential(
        nn.Conv2d(channels, reduced, 1), nn.ReLU(), nn.Conv2d(reduced, channels, 1)
    )
    mean, largest = nn.AdaptiveAvgPool2d(1), nn.AdaptiveMaxPool2d(1)
    summed = Branches(
        [nn.Sequential(mean, shared), nn.Sequential(largest, shared)], lambda two: two[0] + two[1]
    )
    return nn.Sequential(gated(nn.Sequential(summed, nn.Sigmoid())), _spatial(7))


#: What, channels, how to build it, side.
_EXCITED: tuple[tuple[str, int, Callable[[], nn.Module], int], ...] = (
    ("squeeze to 8", 32, partial(excitation, 32, 8), 64),
    ("squeeze to 20, hard", 80, partial(excitation, 80, 20, nn.Hardsigmoid), 32),
    ("squeeze to 4, linear", 24, partial(_linear_excitation, 24, 4), 96),
    ("squeeze to 48", 192, partial(excitation, 192, 48), 24),
    ("over neighbouring channels", 64, partial(_efficient, 5), 48),
    ("positions, 7x7", 32, partial(_spatial, 7), 64),
    ("positions, 3x3", 48, partial(_spatial, 3), 96),
    ("channels, then positions", 40, partial(_double, 40, 8), 64),
    ("selected kernels", 32, partial(SelectiveKernel, 32, 16), 64),
    ("selected kernels", 48, partial(SelectiveKernel, 48, 24), 40),
    ("rows and columns", 32, partial(Coordinates, 32, 8), 64),
    ("context", 64, partial(Context, 64, 16), 48),
)


def _excited(channels: int, how: Callable[[], nn.Module]) -> nn.Module:
    body = nn.Sequential(depthwise(channels), how(), conv(channels, channels, 1, activation=None))
    return nn.Sequential(conv(3, channels, 3, 2), Residual(body), head(channels))


def _excitations() -> Iterator[Specimen]:
    for what, channels, how, side in _EXCITED:
        build = partial(_excited, channels, how)
        yield specimen("excitation", f"{what}, {channels} channels", build, (1, 3, side, side))


SPECIMENS = together(_excitations())
