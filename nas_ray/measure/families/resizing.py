"""What makes an image larger or smaller without a dense convolution of stride two."""

import torch
from torch import nn

from nas_ray.measure.blocks import ACTIVATIONS
from nas_ray.measure.families.sample import Sample
from nas_ray.measure.layers import Apply, convolved, depthwise, pointwise
from nas_ray.measure.sizes import Sizes

#: Twice the image is by far the commonest.
_SCALES = (2.0, 2.0, 2.0, 3.0, 4.0, 4.0, 8.0, 1.5, 0.5, 0.25, 0.75)
#: The largest number of elements that is made of a tensor.
_LARGEST = 1_500_000


def _resize(sizes: Sizes, scale: float) -> nn.Module:
    mode = sizes.name("nearest", "bilinear")
    aligned = False if mode == "bilinear" and sizes.chance(0.15) else None
    return nn.Upsample(scale_factor=scale, mode=mode, align_corners=aligned)


def _image(sizes: Sizes, channels: int, scale: float, work: float = 0.0) -> tuple[int, int]:
    """A map that is neither too large after scaling nor too much work before."""
    most = int((_LARGEST / channels) ** 0.5 / scale)
    return sizes.light_image(work, high=max(4, min(112, most, int(160 / scale))))


def resized(sizes: Sizes) -> Sample:
    """A resize alone: nearest or bilinear, larger or smaller, now and then to any size."""
    scale = _SCALES[sizes.pick(*range(len(_SCALES)))]
    channels = sizes.channels(2, 256)
    height, width = _image(sizes, channels, max(1.0, scale))
    if sizes.chance(0.15):
        after = (sizes.log_uniform(height, 2 * height), sizes.log_uniform(width, 2 * width))
        return nn.Upsample(size=after, mode=sizes.name("nearest", "bilinear")), (
            *(1, channels, height, width),
        )
    return _resize(sizes, scale), (1, channels, height, width)


def resized_after(sizes: Sizes) -> Sample:
    """A convolution and a resize of its result, as at the end of a segmentation network."""
    scale = _SCALES[sizes.pick(*range(len(_SCALES)))]
    channels, after, kernel = sizes.channels(8, 256), sizes.channels(2, 128), sizes.pick(1, 3)
    work = kernel**2 * channels * after
    height, width = _image(sizes, max(channels, after), max(1.0, scale), work)
    first = convolved(channels, after, kernel, activation=sizes.activation())
    resize = _resize(sizes, scale)
    last = depthwise(after, 3, activation=sizes.activation())
    layers = [first, resize, last] if sizes.chance(0.4) else [first, resize]
    return nn.Sequential(*layers), (1, channels, height, width)


def merged_resize(sizes: Sizes) -> Sample:
    """A small map resized and added to, or concatenated with, a larger one (Lin et al., 2017)."""
    scale = sizes.pick(2, 2, 2, 4, 3, 8)
    channels, is_sum = sizes.channels(8, 192), sizes.chance(0.5)
    other = channels if is_sum else sizes.channels(8, 192)
    after = sizes.channels(8, 192)
    kernel = sizes.pick(1, 3)
    work = kernel**2 * (channels if is_sum else channels + other) * after * scale**2
    height, width = _image(sizes, channels, scale, work)
    resize, last = (
        _resize(sizes, scale),
        convolved(
            *(channels if is_sum else channels + other, after, kernel),
            activation=sizes.activation(),
        ),
    )

    def merge(small: torch.Tensor, large: torch.Tensor) -> torch.Tensor:
        grown = resize(small)
        result: torch.Tensor = last(grown + large if is_sum else torch.cat([grown, large], 1))
        return result

    shapes = (1, channels, height, width), (1, other, height * scale, width * scale)
    return Apply(merge, resize, last), *shapes


def pixel_shuffle(sizes: Sizes) -> Sample:
    """A convolution whose channels become pixels (Shi et al., 2016), or the shuffle alone."""
    fold = sizes.pick(2, 2, 3, 4)
    after = sizes.pick(1, 3) if sizes.chance(0.3) else sizes.channels(2, 64)
    if sizes.chance(0.35):
        height, width = _image(sizes, after, fold)
        return nn.PixelShuffle(fold), (1, after * fold**2, height, width)
    channels = sizes.channels(8, 128)
    height, width = _image(sizes, after, fold, 9 * channels * after * fold**2)
    first = convolved(channels, after * fold**2, sizes.pick(1, 3), norm=sizes.chance(0.5))
    return nn.Sequential(first, nn.PixelShuffle(fold)), (1, channels, height, width)


def pixel_unshuffle(sizes: Sizes) -> Sample:
    """Pixels become channels, then a 1x1 convolution or nothing."""
    fold, channels = sizes.pick(2, 2, 3, 4), sizes.channels(3, 96)
    after = sizes.channels(8, 192)
    height, width = sizes.light_image(channels * fold**2 * after, low=2, high=112 // fold)
    layers: list[nn.Module] = [nn.PixelUnshuffle(fold)]
    if sizes.chance(0.6):
        layers.append(pointwise(channels * fold**2, after, sizes.activation()))
    return nn.Sequential(*layers), (1, channels, height * fold, width * fold)


def transposed(sizes: Sizes) -> Sample:
    """A transposed convolution; half of them make exactly `stride` times the image."""
    stride = sizes.pick(1, 2, 3, p=(0.1, 0.7, 0.2))
    kernel = sizes.pick(2, 3, 4, 5)
    channels, after = sizes.channels(8, 256), sizes.channels(2, 128)
    groups = 1
    if sizes.chance(0.15):
        groups = after = channels
    height, width = sizes.light_image(kernel**2 * channels * after / groups, low=2, high=64)
    padding, more = 0, 0
    if sizes.chance(0.6):
        padding = max(0, kernel - stride + 1) // 2
        more = min(stride - 1, max(0, stride + 2 * padding - kernel))
    layer = nn.ConvTranspose2d(
        *(channels, after, kernel, stride),
        padding=padding,
        output_padding=more,
        groups=groups,
        bias=sizes.chance(0.5),
    )
    activation = ACTIVATIONS[sizes.any_activation()]()
    last = [nn.BatchNorm2d(after), activation] if sizes.chance(0.5) else []
    return nn.Sequential(layer, *last), (1, channels, height, width)


def hourglass_step(sizes: Sizes) -> Sample:
    """Down, some work, up and a skip: the inside of a U-Net (Ronneberger et al., 2015)."""
    channels, inner = sizes.channels(8, 96), sizes.channels(8, 128)
    height, width = sizes.light_image(9 * (channels * inner + inner * channels) / 2, high=48)
    activation, is_sum = sizes.activation(), sizes.chance(0.4)
    down = nn.Sequential(
        *([nn.MaxPool2d(2)] if sizes.chance(0.6) else [nn.AvgPool2d(2)]),
        convolved(channels, inner, 3, activation=activation),
    )
    up: nn.Module = nn.ConvTranspose2d(inner, channels, 2, 2)
    if sizes.chance(0.5):
        up = nn.Sequential(_resize(sizes, 2.0), pointwise(inner, channels, activation))
    last = convolved(channels if is_sum else 2 * channels, channels, 3, activation=activation)

    def step(x: torch.Tensor) -> torch.Tensor:
        small = up(down(x))
        result: torch.Tensor = last(x + small if is_sum else torch.cat([x, small], 1))
        return result

    return Apply(step, down, up, last), (1, channels, 2 * height, 2 * width)
