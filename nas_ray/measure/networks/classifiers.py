"""Classifiers of images: a stem, stages of one kind, a head."""

from collections.abc import Callable

import torch
from torch import nn

from nas_ray.measure import blocks
from nas_ray.measure.families.sample import Sample
from nas_ray.measure.layers import Apply, convolved
from nas_ray.measure.networks.stages import Stage
from nas_ray.measure.sizes import Sizes

#: Builds a stem for so many colours: its modules, the channels it makes and its step.
Stem = Callable[[Sizes, int, str], tuple[list[nn.Module], int, int]]
Head = Callable[[Sizes, int], list[nn.Module]]


def classifier(sizes: Sizes, stage: Stage) -> Sample:
    """Two to five stages behind a convolution of step two, for square images of 16 to 192."""
    side, colours = sizes.log_uniform(16, 192), sizes.pick(1, 3)
    activation = sizes.activation()
    channels = sizes.channels(8, 48)
    stem = blocks.convolution(
        colours, channels, kernel=sizes.pick(3, 7, p=(0.9, 0.1)), stride=2, activation=activation
    )
    layers, channels = staged(sizes, stage, channels, -(-side // 2))
    if sizes.chance(0.7):
        wide = sizes.channels(64, 640)
        layers.append(blocks.convolution(channels, wide, kernel=1, stride=1, activation=activation))
        channels = wide
    head = blocks.head(channels, sizes.pick(2, 10, 35, 100, 1000))
    return nn.Sequential(stem, *layers, head), (1, colours, side, side)


def light_classifier(sizes: Sizes, stage: Stage) -> Sample:
    """The same with any stem, any head and images that need not be square."""
    height, colours = sizes.log_uniform(24, 192), sizes.pick(1, 3, 3, 4)
    width = sizes.log_uniform(24, 192) if sizes.chance(0.2) else height
    activation = sizes.activation()
    stem, channels, step = any_stem(sizes, colours, activation)
    layers, channels = staged(sizes, stage, channels, min(height, width) // step)
    if sizes.chance(0.4):
        wide = sizes.channels(64, 640)
        layers.append(convolved(channels, wide, 1, activation=activation))
        channels = wide
    head = any_head(sizes, channels)
    return nn.Sequential(*stem, *layers, *head), (
        1,
        colours,
        height - height % 4,
        width - width % 4,
    )


def staged(sizes: Sizes, stage: Stage, channels: int, side: int) -> tuple[list[nn.Module], int]:
    """Two to five stages for a map of `side`, and the channels of the last."""
    layers: list[nn.Module] = []
    for _ in range(sizes.pick(2, 3, 4, 5)):
        stride = 2 if side >= 4 and sizes.chance(0.75) else 1
        after = sizes.channels(max(8, int(0.8 * channels)), min(320, int(2.3 * channels) + 2))
        layers += stage(sizes, channels, after, stride, sizes.pick(1, 2, 3))
        channels, side = after, side // stride
    return layers, channels


def any_stem(sizes: Sizes, colours: int, activation: str) -> tuple[list[nn.Module], int, int]:
    """A first convolution: a window, a patch, a fold of pixels, or a window and a pooling.

    Its modules, the channels it makes and its step, which divides sides that four divides.
    """
    channels = sizes.channels(8, 48)
    form = sizes.pick(0, 1, 2, 3, p=(0.55, 0.25, 0.1, 0.1))
    if form == 0:
        kernel = sizes.pick(3, 3, 5, 7)
        return [convolved(colours, channels, kernel, stride=2, activation=activation)], channels, 2
    if form == 1:
        step = sizes.pick(2, 4, 4)
        patch = convolved(colours, channels, step, stride=step, padded=False)
        return [patch], channels, step
    if form == 2:
        folded = convolved(4 * colours, channels, 3, activation=activation)
        return [nn.PixelUnshuffle(2), folded], channels, 2
    first = convolved(colours, channels, 7, stride=2, activation=activation)
    return [first, nn.MaxPool2d(3, 2, 1)], channels, 4


def any_head(sizes: Sizes, channels: int) -> list[nn.Module]:
    """Mean or maximum over the map, then a norm or a layer more, or neither, and the classes."""
    classes = sizes.pick(2, 10, 35, 100, 1000)
    form = sizes.pick(0, 1, 2, p=(0.5, 0.3, 0.2))
    if form == 0:
        pool = nn.AdaptiveMaxPool2d(1) if sizes.chance(0.15) else nn.AdaptiveAvgPool2d(1)
        return [pool, nn.Flatten(), nn.Linear(channels, classes)]
    mean = Apply(_mean_of_map)
    if form == 1:
        inner = sizes.channels(64, 512)
        return [mean, nn.Linear(channels, inner), nn.Hardswish(), nn.Linear(inner, classes)]
    return [mean, nn.LayerNorm(channels), nn.Linear(channels, classes)]


def _mean_of_map(x: torch.Tensor) -> torch.Tensor:
    return x.mean((2, 3))
