"""Stages of mobile and residual classifiers; what they are made of is in `blocks`."""

from collections.abc import Callable

from torch import nn

from nas_ray.measure import blocks
from nas_ray.measure.sizes import Sizes

#: Builds one stage: sizes, channels in, channels out, stride of the first block, blocks.
Stage = Callable[[Sizes, int, int, int, int], list[nn.Module]]


def inverted(sizes: Sizes, channels: int, after: int, stride: int, depth: int) -> list[nn.Module]:
    """Inverted bottlenecks (Sandler et al., 2018), plain or fused."""
    kernel, expansion = sizes.pick(3, 5, p=(0.65, 0.35)), sizes.pick(1, 2, 3, 4, 5, 6)
    fused, gate, activation = sizes.chance(0.4), sizes.chance(0.12), sizes.activation()
    return [
        blocks.inverted_bottleneck(
            channels if n == 0 else after,
            after,
            kernel=kernel,
            expansion=expansion,
            stride=stride if n == 0 else 1,
            activation=activation,
            fused=fused,
            gate=gate,
        )
        for n in range(depth)
    ]


def separable(sizes: Sizes, channels: int, after: int, stride: int, depth: int) -> list[nn.Module]:
    """Separable convolutions (Howard et al., 2017)."""
    kernel, activation = sizes.pick(3, 5, p=(0.8, 0.2)), sizes.activation()
    return [
        blocks.separable(
            channels if n == 0 else after,
            after,
            kernel=kernel,
            stride=stride if n == 0 else 1,
            activation=activation,
            last_activation=activation,
        )
        for n in range(depth)
    ]


def residual(sizes: Sizes, channels: int, after: int, stride: int, depth: int) -> list[nn.Module]:
    """Residual blocks of two or three convolutions (He et al., 2016)."""
    if sizes.chance(0.5):
        return [
            blocks.basic(channels if n == 0 else after, after, stride=stride if n == 0 else 1)
            for n in range(depth)
        ]
    inner = max(8, after // sizes.pick(2, 4))
    return [
        blocks.bottleneck(
            channels if n == 0 else after, after, inner=inner, stride=stride if n == 0 else 1
        )
        for n in range(depth)
    ]


def grouped(sizes: Sizes, channels: int, after: int, stride: int, depth: int) -> list[nn.Module]:
    """Residual bottlenecks with groups (Xie et al., 2017)."""
    each = sizes.pick(8, 16, 24)
    inner = max(1, round(after / each)) * each
    return [
        blocks.bottleneck(
            channels if n == 0 else after,
            after,
            inner=inner,
            stride=stride if n == 0 else 1,
            groups=inner // each,
        )
        for n in range(depth)
    ]


def fire(sizes: Sizes, channels: int, after: int, stride: int, depth: int) -> list[nn.Module]:
    """Fire modules (Iandola et al., 2016)."""
    half, ratio = max(8, after // 2), sizes.pick(4, 8)
    layers: list[nn.Module] = [nn.MaxPool2d(3, 2, 1)] if stride == 2 else []
    layers += [
        blocks.Fire(channels if n == 0 else 2 * half, max(8, after // ratio), half)
        for n in range(depth)
    ]
    return [*layers, blocks.convolution(2 * half, after, kernel=1, stride=1, activation="relu")]


def shuffled(sizes: Sizes, channels: int, after: int, stride: int, depth: int) -> list[nn.Module]:
    """Shuffled halves (Ma et al., 2018)."""
    kernel, even = sizes.pick(3, 5, p=(0.85, 0.15)), 2 * max(4, after // 2)
    first: nn.Module = (
        blocks.Shuffle(channels, even, kernel=kernel, stride=2)
        if stride == 2
        else blocks.convolution(channels, even, kernel=1, stride=1, activation="relu")
    )
    more = [blocks.Shuffle(even, even, kernel=kernel, stride=1) for _ in range(depth)]
    last = blocks.convolution(even, after, kernel=1, stride=1, activation="relu")
    return [first, *more] if even == after else [first, *more, last]


def dense(sizes: Sizes, channels: int, after: int, stride: int, depth: int) -> list[nn.Module]:
    """A dense block (Huang et al., 2017) and its transition."""
    layers, growth = depth + sizes.pick(1, 2, 3), sizes.pick(8, 12, 16, 24, 32)
    grown = channels + layers * growth
    return [
        blocks.Dense(channels, layers, growth),
        *blocks.normed(grown),
        nn.Conv2d(grown, after, 1, bias=False),
        *([nn.AvgPool2d(2)] if stride == 2 else []),
    ]
