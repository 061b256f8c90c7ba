"""Blocks of mobile and residual networks: inverted bottlenecks above all."""

from torch import nn

from nas_ray.measure import blocks
from nas_ray.measure.families.sample import Sample
from nas_ray.measure.sizes import Sizes


def _wide(sizes: Sizes, *, fused: bool) -> Sample:
    """An (almost) plain block with any numbers at all: nothing is rounded to a multiple."""
    channels, side = sizes.log_uniform(8, 240), sizes.log_uniform(3, 112)
    block = blocks.inverted_bottleneck(
        channels,
        channels if sizes.chance(0.15) else sizes.log_uniform(8, 240),
        kernel=sizes.pick(3, 5),
        expansion=sizes.pick(1, 2, 3, 4, 5, 6, p=(0.05, 0.19, 0.19, 0.19, 0.19, 0.19)),
        stride=sizes.pick(1, 2, p=(0.67, 0.33)),
        activation="relu" if sizes.chance(0.5) else "relu6",
        fused=fused,
    )
    return block, (1, channels, side, side)


def wide_plain(sizes: Sizes) -> Sample:
    """An inverted bottleneck of any sizes."""
    return _wide(sizes, fused=False)


def wide_fused(sizes: Sizes) -> Sample:
    """A fused inverted bottleneck of any sizes."""
    return _wide(sizes, fused=True)


def inverted_bottleneck(sizes: Sizes, *, fused: bool = False, gate: bool = False) -> Sample:
    """An inverted bottleneck with sizes and activations as networks have them."""
    height, width = sizes.image()
    channels, stride = sizes.channels(), sizes.pick(1, 2, p=(0.7, 0.3))
    block = blocks.inverted_bottleneck(
        channels,
        sizes.channels_after(channels, stride),
        kernel=sizes.pick(3, 5, 7, p=(0.6, 0.28, 0.12)),
        expansion=sizes.pick(1, 2, 3, 4, 5, 6, p=(0.08, 0.2, 0.2, 0.22, 0.1, 0.2)),
        stride=stride,
        activation=sizes.activation(),
        residual=sizes.chance(0.85),
        fused=fused,
        gate=gate,
    )
    return block, (1, channels, height, width)


def fused(sizes: Sizes) -> Sample:
    """The same with its expansion fused into one convolution."""
    return inverted_bottleneck(sizes, fused=True)


def gated(sizes: Sizes) -> Sample:
    """The same with squeeze-and-excitation."""
    return inverted_bottleneck(sizes, gate=True)


def separable(sizes: Sizes) -> Sample:
    """A depthwise convolution and a 1x1 convolution."""
    height, width = sizes.image()
    channels, stride = sizes.channels(high=512), sizes.pick(1, 2)
    block = blocks.separable(
        channels,
        sizes.channels_after(channels, stride),
        kernel=sizes.pick(3, 5, 7, p=(0.6, 0.3, 0.1)),
        stride=stride,
        activation=sizes.activation(),
        last_activation=sizes.activation() if sizes.chance(0.6) else "",
    )
    return block, (1, channels, height, width)


def stem(sizes: Sizes) -> Sample:
    """The first convolution of a network."""
    side = sizes.log_uniform(16, 112 if sizes.chance(0.7) else 224)
    channels = sizes.pick(1, 2, 3, 4, p=(0.35, 0.05, 0.55, 0.05))
    block = blocks.convolution(
        channels,
        sizes.channels(8, 64),
        kernel=sizes.pick(3, 5, 7, p=(0.7, 0.1, 0.2)),
        stride=sizes.pick(1, 2, p=(0.3, 0.7)),
        activation=sizes.activation(),
    )
    return block, (1, channels, side, side)


def convolution(sizes: Sizes) -> Sample:
    """One convolution of all channels."""
    height, width = sizes.image()
    channels, stride = sizes.channels(), sizes.pick(1, 2, p=(0.75, 0.25))
    block = blocks.convolution(
        channels,
        sizes.channels_after(channels, stride),
        kernel=sizes.pick(1, 3, 5, p=(0.55, 0.4, 0.05)),
        stride=stride,
        activation=sizes.activation() if sizes.chance(0.8) else "",
    )
    return block, (1, channels, height, width)


def grouped(sizes: Sizes) -> Sample:
    """Groups of several channels (Xie et al., 2017)."""
    height, width = sizes.image()
    groups, each = sizes.pick(2, 4, 8), sizes.pick(4, 8, 16, 32)
    channels, stride = groups * each, sizes.pick(1, 2, p=(0.75, 0.25))
    block = blocks.convolution(
        channels, channels, kernel=3, stride=stride, activation=sizes.activation(), groups=groups
    )
    return block, (1, channels, height, width)


def residual_pair(sizes: Sizes) -> Sample:
    """Blocks of residual networks: their channels are 64-512, or 64-2048 around a bottleneck."""
    side, stride = sizes.log_uniform(4, 56), sizes.pick(1, 2, p=(0.7, 0.3))
    if sizes.chance(0.6):
        channels = sizes.channels(16, 512)
        after = channels if stride == 1 else min(512, 2 * channels)
        block = blocks.basic(channels, after, stride=stride)
    else:
        channels = sizes.channels(32, 1024)
        after = channels if stride == 1 else min(2048, 2 * channels)
        block = blocks.bottleneck(channels, after, inner=max(8, after // 4), stride=stride)
    return block, (1, channels, side, side)


def fire(sizes: Sizes) -> Sample:
    """A squeeze and two expansions side by side."""
    height, width = sizes.image()
    channels, squeezed = sizes.channels(16, 512), sizes.channels(8, 96)
    block = blocks.Fire(channels, squeezed, sizes.channels(32, 256))
    return block, (1, channels, height, width)


def shuffled(sizes: Sizes) -> Sample:
    """Half of the channels convolved, both halves interleaved."""
    height, width = sizes.image()
    channels, stride = 2 * sizes.channels(8, 256), sizes.pick(1, 2, p=(0.75, 0.25))
    after = channels if stride == 1 else 2 * (sizes.channels_after(channels, stride) // 2)
    kernel = sizes.pick(3, 5, p=(0.8, 0.2))
    block = blocks.Shuffle(channels, after, kernel=kernel, stride=stride)
    return block, (1, channels, height, width)


def dense(sizes: Sizes) -> Sample:
    """One to three layers that each read everything before them."""
    height, width = sizes.image()
    channels, growth = sizes.channels(16, 512), sizes.pick(8, 12, 16, 24, 32)
    return blocks.Dense(channels, sizes.pick(1, 2, 3), growth), (1, channels, height, width)


def hourglass(sizes: Sizes) -> Sample:
    """Down, up and a skip beside it: the innermost step of a segmentation network."""
    side, channels = 2 * sizes.log_uniform(2, 56), sizes.channels(8, 128)
    block = blocks.Hourglass(channels, sizes.channels(8, 160), sizes.activation())
    return block, (1, channels, side, side)


def upsampling(sizes: Sizes) -> Sample:
    """Twice the image, bilinear."""
    height, width = sizes.image()
    return blocks.upsampling(), (1, sizes.channels(), max(1, height // 2), max(1, width // 2))


def pooling(sizes: Sizes) -> Sample:
    """Half the image."""
    height, width = sizes.image()
    kernel = sizes.pick(2, 3)
    pool = nn.MaxPool2d if sizes.chance(0.5) else nn.AvgPool2d
    return pool(kernel, stride=2, padding=kernel // 2), (1, sizes.channels(), height, width)


def head(sizes: Sizes) -> Sample:
    """Mean over the image and a linear layer."""
    side, channels = sizes.log_uniform(1, 14), sizes.channels(16, 2048)
    classes = sizes.pick(2, 10, 10, 20, 35, 100, 1000)
    return blocks.head(channels, classes), (1, channels, side, side)


def widening(sizes: Sizes) -> Sample:
    """The 1x1 convolution in front of a head."""
    side, channels = sizes.log_uniform(2, 14), sizes.channels(16, 480)
    after = sizes.channels(64, 1280)
    block = blocks.convolution(channels, after, kernel=1, stride=1, activation=sizes.activation())
    return block, (1, channels, side, side)


def signal(sizes: Sizes) -> Sample:
    """A separable convolution over time, as speech networks have."""
    channels, stride = sizes.channels(), sizes.pick(1, 2)
    block = blocks.signal(
        channels,
        sizes.channels_after(channels, stride),
        kernel=sizes.pick(3, 5, 9, 11, 13),
        stride=stride,
        activation=sizes.activation(),
    )
    return block, (1, channels, sizes.log_uniform(16, 256))
