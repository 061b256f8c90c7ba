"""How networks begin: patches, large steps, images folded into channels. Compilers unroll them."""

import torch
from torch import nn

from nas_ray.measure.families.sample import Sample
from nas_ray.measure.layers import Apply, convolved, depthwise
from nas_ray.measure.sizes import Sizes


def _colours(sizes: Sizes) -> int:
    """Images have one to four channels, mostly three; some stems read more."""
    return sizes.pick(1, 3, 4, 6, 12, p=(0.12, 0.7, 0.08, 0.05, 0.05))


def _output_side(sizes: Sizes) -> int:
    return sizes.log_uniform(2, 32 if sizes.chance(0.95) else 48)


def patches(sizes: Sizes) -> Sample:
    """Windows as large as their step, from images or from maps in between."""
    step = sizes.pick(2, 4, 8, 16, 7, 14, 3, 5, p=(0.15, 0.3, 0.2, 0.15, 0.05, 0.05, 0.05, 0.05))
    inside = step <= 4 and sizes.chance(0.35)
    channels = sizes.channels(8, 256) if inside else _colours(sizes)
    after = sizes.channels(16, 384)
    side = min(_output_side(sizes), max(2, int((120e6 / (step**2 * channels * after)) ** 0.5)))
    rows = _output_side(sizes) if sizes.chance(0.15) and not inside else side
    norm = sizes.chance(0.5)
    block = convolved(
        *(channels, after, step),
        stride=step,
        padded=False,
        norm=norm,
        activation=sizes.activation() if norm else "",
    )
    rest = sizes.pick(0, 1) if sizes.chance(0.1) else 0
    return block, (1, channels, rows * step + rest, side * step + rest)


def large_steps(sizes: Sizes) -> Sample:
    """Steps of three or more with windows larger, now and then smaller, than the step."""
    step = sizes.pick(3, 4, 5, 6, 8, 16, p=(0.2, 0.4, 0.06, 0.06, 0.18, 0.1))
    kernel = sizes.pick(1, 3) if sizes.chance(0.2) else sizes.pick(3, 5, 7, 9, 11)
    if kernel < step and sizes.chance(0.6):
        kernel = min(16, step + sizes.pick(1, 2, 3))
    inside, by_channel = sizes.chance(0.4), sizes.chance(0.3)
    channels = sizes.channels(8, 128) if inside or by_channel else _colours(sizes)
    after = channels if by_channel else sizes.channels(8, 192)
    each = 1 if by_channel else channels
    side = min(_output_side(sizes), max(2, int((120e6 / (kernel**2 * each * after)) ** 0.5)))
    block = convolved(
        *(channels, after, kernel),
        stride=step,
        groups=channels if by_channel else 1,
        activation=sizes.activation(),
        padded=sizes.chance(0.75),
    )
    side = max(kernel, side * step + sizes.pick(0, 1))
    return block, (1, channels, side, side)


def folded_image(sizes: Sizes) -> Sample:
    """Pixels of a square become channels, by rearrangement or by strided slices, then a conv."""
    colours, fold = _colours(sizes), sizes.pick(2, 4, p=(0.75, 0.25))
    side = fold * sizes.log_uniform(4, 64 // fold)
    after, activation = sizes.channels(16, 96), sizes.activation()
    last = convolved(colours * fold**2, after, sizes.pick(1, 3), activation=activation)
    if sizes.chance(0.5):
        return nn.Sequential(nn.PixelUnshuffle(fold), last), (1, colours, side, side)

    def sliced(x: torch.Tensor) -> torch.Tensor:
        parts = [x[..., row::fold, column::fold] for row in range(fold) for column in range(fold)]
        return torch.cat(parts, dim=1)

    return nn.Sequential(Apply(sliced), last), (1, colours, side, side)


def deep_stem(sizes: Sizes) -> Sample:
    """Two or three small convolutions at the beginning, sometimes a pooling behind them."""
    colours, channels = _colours(sizes), sizes.channels(8, 64)
    side, activation = sizes.log_uniform(24, 160), sizes.activation()
    layers: list[nn.Module] = [
        convolved(colours, channels, sizes.pick(3, 5, 7), stride=2, activation=activation)
    ]
    if sizes.chance(0.4):
        layers.append(depthwise(channels, 3, activation=activation))
        layers.append(convolved(channels, channels, 1))
    else:
        after = sizes.channels(8, 64)
        stride = sizes.pick(1, 2)
        layers.append(convolved(channels, after, 3, stride=stride, activation=activation))
    if sizes.chance(0.4):
        layers.append(nn.MaxPool2d(3, 2, 1))
    return nn.Sequential(*layers), (1, colours, side, side)
