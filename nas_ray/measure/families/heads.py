"""What networks end in, other than a classifier: boxes, masks, points; and what merges scales."""

import torch
from torch import nn

from nas_ray.measure.families.sample import Sample
from nas_ray.measure.layers import Apply, Beside, convolved, depthwise, pointwise
from nas_ray.measure.sizes import Sizes


def detection_branches(
    channels: int, inner: int, outputs: tuple[int, ...], activation: str, *, separable: bool
) -> list[nn.Module]:
    """One branch for each output: a few convolutions and a last one without activation."""
    branches: list[nn.Module] = []
    for count in outputs:
        first = (
            nn.Sequential(depthwise(channels, 3), pointwise(channels, inner, activation))
            if separable
            else convolved(channels, inner, 3, activation=activation)
        )
        branches.append(nn.Sequential(first, nn.Conv2d(inner, count, 1)))
    return branches


def detection_head(sizes: Sizes) -> Sample:
    """Boxes and classes of one map, as several outputs or joined."""
    channels, inner = sizes.channels(16, 160), sizes.channels(16, 96)
    classes = sizes.pick(1, 2, 20, 80)
    separable = sizes.chance(0.4)
    outputs = ((4, classes), (4, 1, classes), (64, classes))[sizes.pick(0, 1, 2)]
    work = len(outputs) * inner * (channels if separable else 9 * channels)
    height, width = sizes.light_image(work, high=48)
    activation = sizes.name("silu", "silu", "relu", "relu6", "hardswish")
    branches = detection_branches(channels, inner, outputs, activation, separable=separable)
    if sizes.chance(0.4):
        return Beside(*branches), (1, channels, height, width)
    every = Apply(lambda x: tuple(branch(x) for branch in branches), *branches)
    return every, (1, channels, height, width)


def anchors_head(sizes: Sizes) -> Sample:
    """Predictions of a map as `(1, positions * anchors, numbers)`, scores through a sigmoid."""
    channels, anchors = sizes.channels(16, 256), sizes.pick(1, 2, 3, 6)
    numbers = sizes.pick(4, 5, 6, 25, 85)
    height, width = sizes.light_image(channels * anchors * numbers, high=40)
    last = convolved(channels, anchors * numbers, sizes.pick(1, 3), norm=False)
    scored = sizes.chance(0.5)

    def predict(x: torch.Tensor) -> torch.Tensor:
        found = last(x).permute(0, 2, 3, 1).flatten(1).unflatten(1, (-1, numbers))
        result: torch.Tensor = found.sigmoid() if scored else found
        return result

    return Apply(predict, last), (1, channels, height, width)


def distances_head(sizes: Sizes) -> Sample:
    """Distances as expectations of a softmax over bins (Li et al., 2020)."""
    bins, positions = sizes.pick(8, 16, 17), sizes.log_uniform(16, 1600)
    expect = nn.Conv2d(bins, 1, 1, bias=False)

    def decode(x: torch.Tensor) -> torch.Tensor:
        shares = x.unflatten(1, (4, bins)).transpose(1, 2).softmax(1)
        result: torch.Tensor = expect(shares).flatten(1, 2)
        return result

    return Apply(decode, expect), (1, 4 * bins, positions)


def mask_head(sizes: Sizes) -> Sample:
    """Scores of classes at each position, resized to the image."""
    channels, classes = sizes.channels(8, 160), sizes.pick(1, 2, 5, 11, 19, 21)
    scale = sizes.pick(2, 4, 8)
    height, width = sizes.light_image(10 * channels**2, high=128 // scale)
    first = convolved(channels, channels, 3, groups=channels if sizes.chance(0.5) else 1)
    resize = nn.Upsample(scale_factor=scale, mode=sizes.name("bilinear", "bilinear", "nearest"))
    layers = [first, nn.ReLU(), nn.Conv2d(channels, classes, 1), resize]
    if sizes.chance(0.3):
        layers.append(nn.Softmax(1) if classes > 1 else nn.Sigmoid())
    return nn.Sequential(*layers), (1, channels, height, width)


def weighted_merge(sizes: Sizes) -> Sample:
    """Two or three maps times learned weights, added, convolved by depth (Tan et al., 2020)."""
    channels, count = sizes.channels(8, 160), sizes.pick(2, 3)
    height, width = sizes.light_image(channels**2 + 9 * channels, high=64)
    activation = sizes.activation()
    last = nn.Sequential(depthwise(channels, 3), pointwise(channels, channels, activation))

    def merge(*maps: torch.Tensor) -> torch.Tensor:
        total = maps[0] * 0.4
        for other in maps[1:]:
            total = total + other * 0.3
        result: torch.Tensor = last(total)
        return result

    return Apply(merge, last), *[(1, channels, height, width)] * count


def exchanged_scales(sizes: Sizes) -> Sample:
    """Two resolutions, each added to the other (Sun et al., 2019); two inputs, two outputs."""
    fine, coarse = sizes.channels(8, 96), sizes.channels(16, 160)
    height, width = sizes.light_image(9 * fine * coarse, high=48)
    down = convolved(fine, coarse, 3, stride=2)
    up = nn.Sequential(pointwise(coarse, fine), nn.Upsample(scale_factor=2, mode="nearest"))

    def exchange(large: torch.Tensor, small: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return (large + up(small)).relu(), (small + down(large)).relu()

    shapes = (1, fine, 2 * height, 2 * width), (1, coarse, height, width)
    return Apply(exchange, down, up), *shapes


def matched_maps(sizes: Sizes) -> Sample:
    """Positions of two maps compared by a matrix product, as trackers and stereo networks do."""
    channels, side, small = (
        sizes.channels(8, 128),
        sizes.log_uniform(4, 24),
        sizes.log_uniform(2, 8),
    )

    def match(image: torch.Tensor, template: torch.Tensor) -> torch.Tensor:
        scores = template.flatten(2).transpose(1, 2) @ image.flatten(2)
        result: torch.Tensor = scores.unflatten(2, (side, side))
        return result

    return Apply(match), (1, channels, side, side), (1, channels, small, small)
