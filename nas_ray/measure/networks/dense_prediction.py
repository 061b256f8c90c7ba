"""Networks whose results are maps: masks, boxes at several scales, larger images."""

from itertools import pairwise

import torch
from torch import nn

from nas_ray.measure.families.heads import detection_branches
from nas_ray.measure.families.sample import Sample
from nas_ray.measure.layers import Apply, Beside, convolved, depthwise, pointwise
from nas_ray.measure.networks import light_stages, stages
from nas_ray.measure.networks.stages import Stage
from nas_ray.measure.sizes import Sizes

_BACKBONES: tuple[Stage, ...] = (
    *(light_stages.split, light_stages.split, light_stages.gated_bottlenecks),
    *(light_stages.branches, light_stages.extra_depthwise, light_stages.partial),
    *(stages.inverted, stages.residual, stages.separable, light_stages.plain),
)


def _backbone(sizes: Sizes, levels: int) -> tuple[nn.Module, list[nn.Sequential], list[int]]:
    """A stem of step two, one stage of step two a level, and their channels with the stem's."""
    stage, channels = _BACKBONES[sizes.pick(*range(len(_BACKBONES)))], sizes.channels(8, 32)
    stem = convolved(3, channels, 3, stride=2, activation=sizes.activation())
    counts, parts = [channels], []
    for _ in range(levels):
        after = sizes.channels(counts[-1], min(256, 2 * counts[-1] + 2))
        parts.append(nn.Sequential(*stage(sizes, counts[-1], after, 2, sizes.pick(1, 2))))
        counts.append(after)
    return stem, parts, counts


def _up(sizes: Sizes, scale: int = 2) -> nn.Module:
    return nn.Upsample(scale_factor=scale, mode=sizes.name("nearest", "bilinear"))


def detector(sizes: Sizes) -> Sample:
    """A backbone, a pyramid of two or three scales, heads with outputs for each (YOLO and FPN)."""
    levels = sizes.pick(2, 3)
    stem, parts, counts = _backbone(sizes, 1 + levels)
    width, activation = sizes.channels(16, 96), sizes.name("silu", "silu", "relu", "hardswish")
    is_sum, up = sizes.chance(0.5), _up(sizes)
    used = counts[-levels:]
    lateral = [pointwise(count, width, activation) for count in used]
    merge = [
        convolved(width if is_sum else 2 * width, width, 3, activation=activation) for _ in used[1:]
    ]
    outputs = ((4, sizes.pick(1, 20, 80)), (64, sizes.pick(1, 80)))[sizes.pick(0, 1)]
    separable = sizes.chance(0.4)
    heads = [
        nn.ModuleList(detection_branches(width, width, outputs, activation, separable=separable))
        for _ in used
    ]

    def detect(x: torch.Tensor) -> list[torch.Tensor]:
        x = stem(x)
        maps = []
        for part in parts:
            x = part(x)
            maps.append(x)
        maps = [layer(found) for layer, found in zip(lateral, maps[-levels:], strict=True)]
        for n in reversed(range(levels - 1)):
            grown = up(maps[n + 1])
            maps[n] = merge[n](maps[n] + grown if is_sum else torch.cat([maps[n], grown], 1))
        pairs = zip(heads, maps, strict=True)
        return [branch(found) for branches, found in pairs for branch in branches]

    side = 2 ** (2 + levels) * sizes.log_uniform(1, 10)
    called = (stem, *parts, *lateral, *merge, *heads, up)
    return Apply(detect, *called), (1, 3, side, side)


def encoder_decoder(sizes: Sizes) -> Sample:
    """Down and up again, with skips (Ronneberger et al., 2015) or as an autoencoder without."""
    levels, channels = sizes.pick(2, 3, 4), sizes.channels(8, 32)
    colours, activation = sizes.pick(1, 3, 3), sizes.activation()
    has_skips, is_transposed = sizes.chance(0.8), sizes.chance(0.5)
    counts = [channels]
    for _ in range(levels):
        counts.append(sizes.channels(counts[-1], min(160, 2 * counts[-1] + 2)))
    first = convolved(colours, channels, 3, activation=activation)
    downs = [
        nn.Sequential(nn.MaxPool2d(2), convolved(before, after, 3, activation=activation))
        if sizes.chance(0.5)
        else convolved(before, after, 3, stride=2, activation=activation)
        for before, after in pairwise(counts)
    ]
    ups, joins = [], []
    for after, before in reversed(list(pairwise(counts))):
        grow = nn.Sequential(_up(sizes), pointwise(before, after, activation))
        ups.append(nn.ConvTranspose2d(before, after, 2, 2) if is_transposed else grow)
        joins.append(convolved(after * (1 + has_skips), after, 3, activation=activation))
    last = nn.Conv2d(channels, colours if not has_skips else sizes.pick(1, 2, 5, 19), 1)

    def run(x: torch.Tensor) -> torch.Tensor:
        skips = [first(x)]
        for down in downs:
            skips.append(down(skips[-1]))
        x = skips.pop()
        for up, join in zip(ups, joins, strict=True):
            grown, skip = up(x), skips.pop()
            x = join(torch.cat([skip, grown], 1) if has_skips else grown)
        result: torch.Tensor = last(x)
        return result

    side = 2**levels * sizes.log_uniform(2, 12)
    return Apply(run, first, *downs, *ups, *joins, last), (1, colours, side, side)


def atrous_segmenter(sizes: Sizes) -> Sample:
    """A backbone, dilated convolutions side by side, a decoder to the image (Chen et al., 2018)."""
    stem, parts, counts = _backbone(sizes, 3)
    inner, activation = sizes.channels(16, 96), sizes.activation()
    rates = ((2, 4, 6), (6, 12, 18), (3, 6))[sizes.pick(0, 1, 2)]
    separable, has_skip = sizes.chance(0.3), sizes.chance(0.6)
    branches = [pointwise(counts[-1], inner, activation)]
    for rate in rates:
        groups = counts[-1] if separable else 1
        after = counts[-1] if separable else inner
        layer = convolved(
            *(counts[-1], after, 3), dilation=rate, groups=groups, activation=activation
        )
        branches.append(nn.Sequential(layer, pointwise(after, inner, activation)))
    pyramid = nn.Sequential(Beside(*branches), pointwise(len(branches) * inner, inner, activation))
    skip = pointwise(counts[1], 16, activation)
    last = nn.Sequential(
        depthwise(inner + 16 * has_skip, 3, activation=activation),
        nn.Conv2d(inner + 16 * has_skip, sizes.pick(1, 2, 19, 21), 1),
    )
    up, to_image = _up(sizes, 4), _up(sizes, 4)

    def segment(x: torch.Tensor) -> torch.Tensor:
        shallow = parts[0](stem(x))
        deep = up(pyramid(parts[2](parts[1](shallow))))
        joined = torch.cat([deep, skip(shallow)], 1) if has_skip else deep
        result: torch.Tensor = to_image(last(joined))
        return result

    side = 16 * sizes.log_uniform(2, 12)
    called = (stem, *parts, pyramid, skip, last, up, to_image)
    return Apply(segment, *called), (1, 3, side, side)


def parallel_resolutions(sizes: Sizes) -> Sample:
    """Two resolutions side by side that read each other, then a map (Sun et al., 2019)."""
    fine, coarse = sizes.channels(8, 48), sizes.channels(16, 96)
    activation = sizes.activation()
    stem = convolved(3, fine, 3, stride=2, activation=activation)
    start = convolved(fine, coarse, 3, stride=2, activation=activation)
    rounds = sizes.pick(1, 2, 3)
    large = [nn.Sequential(*stages.residual(sizes, fine, fine, 1, 1)) for _ in range(rounds)]
    small = [nn.Sequential(*stages.residual(sizes, coarse, coarse, 1, 1)) for _ in range(rounds)]
    down = [convolved(fine, coarse, 3, stride=2) for _ in range(rounds)]
    up = [nn.Sequential(pointwise(coarse, fine), _up(sizes)) for _ in range(rounds)]
    resize, last = _up(sizes), nn.Conv2d(fine + coarse, sizes.pick(1, 17, 19), 1)

    def run(x: torch.Tensor) -> torch.Tensor:
        wide = stem(x)
        narrow = start(wide)
        for n in range(rounds):
            wide, narrow = large[n](wide), small[n](narrow)
            wide, narrow = (wide + up[n](narrow)).relu(), (narrow + down[n](wide)).relu()
        result: torch.Tensor = last(torch.cat([wide, resize(narrow)], 1))
        return result

    side = 4 * sizes.log_uniform(6, 40)
    called = (stem, start, *large, *small, *down, *up, resize, last)
    return Apply(run, *called), (1, 3, side, side)


def upscaler(sizes: Sizes) -> Sample:
    """Convolutions at the size of the image, then pixels of channels (Shi et al., 2016)."""
    channels, colours, fold = sizes.channels(8, 48), sizes.pick(1, 3), sizes.pick(2, 3, 4)
    activation = sizes.name("relu", "prelu", "leaky_relu", "tanh")
    layers = [convolved(colours, channels, sizes.pick(3, 5), activation=activation, norm=False)]
    layers += [
        convolved(channels, channels, 3, activation=activation, norm=False)
        for _ in range(sizes.pick(1, 2, 4))
    ]
    layers.append(convolved(channels, colours * fold**2, 3, norm=False))
    side = sizes.log_uniform(24, 96)
    return nn.Sequential(*layers, nn.PixelShuffle(fold)), (1, colours, side, side)
