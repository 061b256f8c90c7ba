"""Blocks of well-known networks, a few of each between a stem and a classifier."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import nn

from .excitation import excitation
from .joining import Partial, Scaled
from .layers import Apply, Branches, Residual, conv, depthwise, head
from .normalising import OverChannels
from .resizing import Resize
from .specimen import Specimen, specimen, together


def _ghost(before: int, after: int) -> nn.Module:
    """Half of the features are made cheaply from the other half (Han et al., 2020)."""
    half = after // 2
    cheap = Branches([nn.Identity(), depthwise(half)])
    return nn.Sequential(conv(before, half, 1), cheap)


def _ghost_bottleneck(channels: int, hidden: int) -> nn.Module:
    squeeze = excitation(hidden, hidden // 4, nn.Hardsigmoid)
    return Residual(nn.Sequential(_ghost(channels, hidden), squeeze, _ghost(hidden, channels)))


class Mixed(nn.Module):
    """Depthwise kernels that grow from group to group (Tan and Le, 2019)."""

    def __init__(self, channels: int, kernels: tuple[int, ...]) -> None:
        super().__init__()
        self.size = channels // len(kernels)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(self.size, self.size, kernel, padding=kernel // 2, groups=self.size)
            for kernel in kernels
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, C, H, W)` to the same shape."""
        parts = x.split(self.size, 1)
        pairs = zip(self.convolutions, parts, strict=True)
        return torch.cat([convolution(part) for convolution, part in pairs], 1)


def _mix_bottleneck(channels: int, hidden: int, kernels: tuple[int, ...]) -> nn.Module:
    return Residual(
        nn.Sequential(
            *(conv(channels, hidden, 1, activation=nn.SiLU), Mixed(hidden, kernels)),
            *(nn.BatchNorm2d(hidden), nn.SiLU(), conv(hidden, channels, 1, activation=None)),
        )
    )


class Resolutions(nn.Module):
    """Two resolutions side by side that exchange what they know (Sun et al., 2019)."""

    def __init__(self, fine: int, coarse: int) -> None:
        super().__init__()
        self.fine, self.coarse = conv(fine, fine), conv(coarse, coarse)
        self.down = conv(fine, coarse, 3, 2, activation=None)
        self.up = nn.Sequential(conv(coarse, fine, 1, activation=None), Resize("nearest", None, 2))

    def forward(
        self, fine: torch.Tensor, coarse: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Both maps, `coarse` with half the sides, to the same shapes."""
        fine, coarse = self.fine(fine), self.coarse(coarse)
        return torch.relu(fine + self.up(coarse)), torch.relu(coarse + self.down(fine))


class HighResolution(nn.Module):
    """Two exchanges between 16 and 32 channels or as many as given."""

    def __init__(self, fine: int, coarse: int) -> None:
        super().__init__()
        self.stem, self.split = conv(3, fine, 3, 2), conv(fine, coarse, 3, 2)
        self.exchanges = nn.ModuleList(Resolutions(fine, coarse) for _ in range(2))
        self.classifier = head(coarse)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, 3, H, W)` to `(N, 10)`."""
        fine: torch.Tensor = self.stem(x)
        coarse: torch.Tensor = self.split(fine)
        for exchange in self.exchanges:
            fine, coarse = exchange(fine, coarse)
        y: torch.Tensor = self.classifier(coarse)
        return y


def _rep(channels: int, *, has_identity: bool = True) -> nn.Module:
    """3x3, 1x1 and batch norm of the input, added: as trained, unfolded (Ding et al., 2021)."""
    branches: list[nn.Module] = [
        conv(channels, channels, 3, activation=None),
        conv(channels, channels, 1, activation=None),
    ]
    branches += [nn.BatchNorm2d(channels)] if has_identity else []

    def added(results: list[torch.Tensor]) -> torch.Tensor:
        return (
            torch.stack(results).sum(0)
            if not has_identity
            else results[0] + results[1] + results[2]
        )

    return nn.Sequential(Branches(branches, added), nn.ReLU())


def _faster(channels: int) -> nn.Module:
    """A 3x3 of a quarter of the channels, then an MLP of 1x1 (Chen et al., 2023)."""
    quarter = channels // 4
    spatial = Partial(
        [quarter, channels - quarter], nn.Conv2d(quarter, quarter, 3, padding=1, bias=False)
    )
    return Residual(
        nn.Sequential(
            spatial,
            conv(channels, 2 * channels, 1),
            nn.Conv2d(2 * channels, channels, 1, bias=False),
        )
    )


def _convnext(channels: int) -> nn.Module:
    """Depthwise 7x7, layer norm, two 1x1 with GELU, a scale (Liu et al., 2022)."""
    return Residual(
        nn.Sequential(
            nn.Conv2d(channels, channels, 7, padding=3, groups=channels),
            OverChannels(channels),
            *(
                nn.Conv2d(channels, 4 * channels, 1),
                nn.GELU(),
                nn.Conv2d(4 * channels, channels, 1),
            ),
            Scaled(channels),
        )
    )


class InceptionMixer(nn.Module):
    """Channels pass by, or a square, a wide or a high depthwise kernel (Yu et al., 2024)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        part = channels // 8
        self.sizes = [channels - 3 * part, part, part, part]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(part, part, (rows, columns), padding=(rows // 2, columns // 2), groups=part)
            for rows, columns in ((3, 3), (1, 11), (11, 1))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, C, H, W)` to the same shape."""
        passed, *parts = x.split(self.sizes, 1)
        pairs = zip(self.convolutions, parts, strict=True)
        return torch.cat([passed, *(convolution(part) for convolution, part in pairs)], 1)


def _inception_next(channels: int) -> nn.Module:
    return Residual(
        nn.Sequential(
            *(InceptionMixer(channels), nn.BatchNorm2d(channels)),
            *(
                nn.Conv2d(channels, 4 * channels, 1),
                nn.GELU(),
                nn.Conv2d(4 * channels, channels, 1),
            ),
        )
    )


def _star(channels: int) -> nn.Module:
    """Two 1x1 whose results are multiplied (Ma et al., 2024)."""
    wide = 3 * channels
    product = Branches(
        [nn.Sequential(nn.Conv2d(channels, wide, 1), nn.ReLU6()), nn.Conv2d(channels, wide, 1)],
        lambda two: two[0] * two[1],
    )
    return Residual(
        nn.Sequential(
            depthwise(channels, 7, activation=None),
            product,
            conv(wide, channels, 1, activation=None),
        )
    )


def _meta_former(channels: int) -> nn.Module:
    """A mean over 3x3 less the input, then an MLP (Yu et al., 2022)."""
    pooled = Branches(
        [nn.AvgPool2d(3, 1, 1, count_include_pad=False), nn.Identity()], lambda two: two[0] - two[1]
    )
    norm = nn.GroupNorm(1, channels)
    mlp = nn.Sequential(
        nn.Conv2d(channels, 4 * channels, 1), nn.GELU(), nn.Conv2d(4 * channels, channels, 1)
    )
    return nn.Sequential(Residual(nn.Sequential(norm, pooled)), Residual(mlp))


def _universal(channels: int) -> nn.Module:
    """Depthwise before and inside the expansion (Qin et al., 2024)."""
    return Residual(
        nn.Sequential(
            *(depthwise(channels, 5, activation=None), conv(channels, 3 * channels, 1)),
            *(depthwise(3 * channels), conv(3 * channels, channels, 1, activation=None)),
        )
    )


def _inception(channels: int) -> nn.Module:
    """1x1, 3x3, 5x5 and a pooling, concatenated (Szegedy et al., 2015)."""
    quarter = channels // 4
    return Branches(
        [
            conv(channels, quarter, 1),
            nn.Sequential(conv(channels, quarter, 1), conv(quarter, quarter, 3)),
            nn.Sequential(conv(channels, quarter // 2, 1), conv(quarter // 2, quarter, 5)),
            nn.Sequential(nn.MaxPool2d(3, 1, 1), conv(channels, quarter, 1)),
        ]
    )


#: Block by name, channels, side.
_BLOCKS: tuple[tuple[str, Callable[[int], nn.Module], int, int], ...] = (
    ("ghost", lambda c: _ghost_bottleneck(c, 3 * c), 24, 64),
    ("ghost", lambda c: _ghost_bottleneck(c, 2 * c), 40, 96),
    ("mixed kernels 3 and 5", lambda c: _mix_bottleneck(c, 4 * c, (3, 5)), 24, 64),
    ("mixed kernels 3 to 9", lambda c: _mix_bottleneck(c, 3 * c, (3, 5, 7, 9)), 40, 48),
    ("re-parameterised", _rep, 48, 64),
    ("re-parameterised without identity", partial(_rep, has_identity=False), 32, 96),
    ("partial convolution", _faster, 40, 96),
    ("partial convolution", _faster, 96, 48),
    ("ConvNeXt", _convnext, 40, 64),
    ("ConvNeXt", _convnext, 64, 96),
    ("Inception-NeXt", _inception_next, 40, 64),
    ("Inception-NeXt", _inception_next, 64, 96),
    ("star", _star, 24, 96),
    ("star", _star, 32, 64),
    ("pooling as mixer", _meta_former, 48, 64),
    ("universal bottleneck", _universal, 32, 96),
    ("Inception", _inception, 64, 64),
    ("Inception", _inception, 48, 96),
)


def _network(block: Callable[[int], nn.Module], channels: int) -> nn.Module:
    blocks = (block(channels), block(channels))
    return nn.Sequential(conv(3, channels, 3, 2), *blocks, Apply(torch.relu), head(channels))


def _networks() -> Iterator[Specimen]:
    for what, block, channels, side in _BLOCKS:
        build = partial(_network, block, channels)
        yield specimen("block", f"{what}, {channels} channels", build, (1, 3, side, side))
    for fine, coarse, side in ((16, 32, 64), (18, 36, 96)):
        what = f"two resolutions, {fine} and {coarse} channels"
        yield specimen("block", what, partial(HighResolution, fine, coarse), (1, 3, side, side))


SPECIMENS = together(_networks())
