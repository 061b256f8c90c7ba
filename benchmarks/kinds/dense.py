"""Dense prediction and detection: U-Net, feature pyramids, YOLO-like heads."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import nn
from torch.nn import functional

from .layers import Branches, Residual, conv
from .specimen import Specimen, specimen, together


class UNet(nn.Module):
    """Three levels; the way up is by transposed convolution or by bilinear resizing."""

    def __init__(self, width: int, *, is_transposed: bool) -> None:
        super().__init__()
        widths = (width, 2 * width, 4 * width)
        self.down = nn.ModuleList(
            nn.Sequential(conv(a, b), conv(b, b))
            for a, b in zip((3, *widths), widths, strict=False)
        )
        self.grow = nn.ModuleList(
            nn.ConvTranspose2d(2 * w, w, 2, 2) if is_transposed else _bilinear(2 * w, w)
            for w in widths[-2::-1]
        )
        self.up = nn.ModuleList(conv(2 * w, w) for w in widths[-2::-1])
        self.last = nn.Conv2d(width, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, 3, H, W)` to `(N, 3, H, W)`; both sides divisible by 4."""
        skipped: list[torch.Tensor] = []
        for n, level in enumerate(self.down):
            x = level(functional.max_pool2d(x, 2) if n else x)
            skipped.append(x)
        for grow, level, higher in zip(self.grow, self.up, skipped[-2::-1], strict=True):
            x = level(torch.cat([higher, grow(x)], 1))
        y: torch.Tensor = self.last(x)
        return y


class Pyramid(nn.Module):
    """Top-down sums of three levels, a head on each (Lin et al., 2017)."""

    def __init__(self, width: int, lateral: int, mode: str) -> None:
        super().__init__()
        widths = [width * 2**n for n in range(3)]
        self.stages = nn.ModuleList(
            conv(a, b, 3, 2) for a, b in zip([3, *widths], widths, strict=False)
        )
        self.lateral = nn.ModuleList(nn.Conv2d(w, lateral, 1) for w in widths)
        self.smooth = nn.ModuleList(conv(lateral, lateral) for _ in widths)
        self.heads = nn.Conv2d(lateral, 6, 1)
        self.mode = mode

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """`(N, 3, H, W)` to three maps of 6 channels, the finest first."""
        maps = []
        for stage, lateral in zip(self.stages, self.lateral, strict=True):
            x = stage(x)
            maps.append(lateral(x))
        found: list[torch.Tensor] = []
        for n in (2, 1, 0):
            if n < 2:
                maps[n] = maps[n] + functional.interpolate(
                    maps[n + 1], maps[n].shape[2:], mode=self.mode
                )
            found.insert(0, self.heads(self.smooth[n](maps[n])))
        return found


class Detector(nn.Module):
    """Cross-stage blocks, pooling pyramid, and boxes and classes in rows, all with SiLU."""

    def __init__(self, width: int, classes: int, *, is_decoded: bool) -> None:
        super().__init__()
        self.stem = nn.Sequential(_silu(3, width, 3, 2), _silu(width, 2 * width, 3, 2))
        self.blocks = nn.Sequential(CrossStage(2 * width), Pools(2 * width))
        self.down = nn.Sequential(_silu(2 * width, 4 * width, 3, 2), CrossStage(4 * width))
        self.merge = CrossStage(6 * width, 2 * width)
        self.boxes = nn.ModuleList(nn.Conv2d(c, 4, 1) for c in (2 * width, 4 * width))
        self.classes = nn.ModuleList(nn.Conv2d(c, classes, 1) for c in (2 * width, 4 * width))
        self.is_decoded = is_decoded

    def forward(self, x: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        """`(N, 3, H, W)` to `(N, 4 + classes, positions)`, or to the four maps."""
        fine = self.blocks(self.stem(x))
        coarse = self.down(fine)
        fine = self.merge(torch.cat([fine, functional.interpolate(coarse, scale_factor=2.0)], 1))
        pairs = list(zip((fine, coarse), self.boxes, self.classes, strict=True))
        if not self.is_decoded:
            return [made(level) for level, *both in pairs for made in both]
        rows = [torch.cat([boxes(x), classes(x)], 1).flatten(2) for x, boxes, classes in pairs]
        distances, scores = torch.cat(rows, 2).split([4, rows[0].shape[1] - 4], 1)
        return torch.cat([distances, scores.sigmoid()], 1)


class CrossStage(nn.Module):
    """Half of the channels through bottlenecks, all of them concatenated (YOLOv8's C2f)."""

    def __init__(self, before: int, after: int = 0) -> None:
        super().__init__()
        after = after or before
        part = after // 2
        self.first, self.last = _silu(before, after, 1), _silu(3 * part, after, 1)
        self.body = Residual(nn.Sequential(_silu(part, part, 3), _silu(part, part, 3)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, C, H, W)` to `(N, C', H, W)`."""
        left, right = self.first(x).chunk(2, 1)
        y: torch.Tensor = self.last(torch.cat([left, right, self.body(right)], 1))
        return y


class Pools(nn.Module):
    """Maxima over 5x5, one after the other, concatenated (SPPF)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.last = _silu(channels, channels // 2, 1), _silu(2 * channels, channels, 1)
        self.pool = nn.MaxPool2d(5, 1, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, C, H, W)` to the same shape."""
        maps = [self.first(x)]
        for _ in range(3):
            maps.append(self.pool(maps[-1]))
        y: torch.Tensor = self.last(torch.cat(maps, 1))
        return y


def _silu(before: int, after: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return conv(before, after, kernel, stride, activation=nn.SiLU)


def _bilinear(before: int, after: int) -> nn.Module:
    return nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), conv(before, after, 1))


def _super_resolution(channels: int, factor: int) -> nn.Module:
    """Residual blocks at low resolution, then a pixel shuffle (Lim et al., 2017)."""
    blocks = (
        Residual(
            nn.Sequential(conv(channels, channels), nn.Conv2d(channels, channels, 3, padding=1))
        )
        for _ in range(2)
    )
    return nn.Sequential(
        nn.Conv2d(3, channels, 3, padding=1),
        *blocks,
        nn.Conv2d(channels, 3 * factor**2, 3, padding=1),
        nn.PixelShuffle(factor),
    )


def _levels(channels: int) -> nn.Module:
    """Means over grids of 1, 2 and 4, spread over the map (Zhao et al., 2017)."""

    def level(grid: int) -> nn.Module:
        return nn.Sequential(
            nn.AdaptiveAvgPool2d(grid),
            conv(channels, channels // 4, 1),
            nn.Upsample(size=(16, 16), mode="bilinear"),
        )

    branches = [nn.Identity(), *(level(grid) for grid in (1, 2, 4))]
    wide = channels + 3 * (channels // 4)
    return nn.Sequential(
        *(conv(3, channels, 3, 2), conv(channels, channels, 3, 2), Branches(branches)),
        *(conv(wide, channels, 3), nn.Conv2d(channels, 5, 1), nn.Upsample(scale_factor=4)),
    )


def _networks() -> Iterator[Specimen]:
    build: Callable[[], nn.Module]
    for width, is_transposed, side in (
        (8, True, 64),
        (16, True, 96),
        (12, False, 64),
        (16, False, 48),
    ):
        how = "transposed" if is_transposed else "bilinear"
        build = partial(UNet, width, is_transposed=is_transposed)
        yield specimen("U-Net", f"{how}, {width} channels", build, (1, 3, side, side))
    for width, lateral, mode, side in ((16, 32, "nearest", 96), (24, 40, "bilinear", 64)):
        build = partial(Pyramid, width, lateral, mode)
        what = f"{mode}, {width} and {lateral} channels"
        yield specimen("feature pyramid", what, build, (1, 3, side, side))
    for width, classes, is_decoded, side in (
        (8, 4, False, 96),
        (12, 20, True, 64),
        (16, 1, True, 128),
    ):
        how = "rows" if is_decoded else "maps"
        build = partial(Detector, width, classes, is_decoded=is_decoded)
        yield specimen(
            "detector", f"{how}, {width} channels, {classes} classes", build, (1, 3, side, side)
        )
    for channels, factor, side in ((16, 2, 48), (32, 3, 32)):
        build = partial(_super_resolution, channels, factor)
        yield specimen(
            "super-resolution", f"{channels} channels by {factor}", build, (1, 3, side, side)
        )
    yield specimen("pooling pyramid", "32 channels", partial(_levels, 32), (1, 3, 64, 64))


SPECIMENS = together(_networks())
