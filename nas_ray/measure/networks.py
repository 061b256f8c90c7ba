"""Random classifiers made of the blocks that are sampled: what a block costs among its neighbours.

Seven styles, as published networks have them: inverted bottlenecks (Sandler et al., 2018),
separable convolutions (Howard et al., 2017), residual blocks (He et al., 2016), the same with
groups (Xie et al., 2017), fire modules (Iandola et al., 2016), shuffled halves (Ma et al., 2018)
and dense blocks (Huang et al., 2017). Sizes are drawn; none is a published network.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from nas_ray.graph import Graph, trace
from nas_ray.measure import blocks
from nas_ray.measure.sizes import Sizes

#: A compiler needs seconds for more.
_MACS_LIMIT = 600_000_000
_WEIGHT_LIMIT = 6_000_000
_TRIES = 1_000
#: Builds one stage: sizes, channels in, channels out, stride of the first block, blocks.
_Stage = Callable[[Sizes, int, int, int, int], list[nn.Module]]


def random_network(rng: np.random.Generator, channel_multiple: int) -> Graph:
    """A classifier of two to five stages for images of 16 to 192 pixels."""
    sizes = Sizes(rng=rng, channel_multiple=channel_multiple)
    for _ in range(_TRIES):
        graph = _drawn(sizes)
        if graph.macs <= _MACS_LIMIT and graph.weight_elements <= _WEIGHT_LIMIT:
            return graph
    return graph


def _drawn(sizes: Sizes) -> Graph:
    side, colours = sizes.log_uniform(16, 192), sizes.pick(1, 3)
    names = list(_STYLES)
    style = names[int(sizes.rng.choice(len(names), p=list(_STYLES.values())))]
    with torch.device("meta"):
        return trace(_network(sizes, style, colours, side), torch.empty(1, colours, side, side))


def _network(sizes: Sizes, style: _Stage, colours: int, side: int) -> nn.Module:
    activation = sizes.activation()
    channels = sizes.channels(8, 48)
    stem = blocks.convolution(
        colours, channels, kernel=sizes.pick(3, 7, p=(0.9, 0.1)), stride=2, activation=activation
    )
    layers: list[nn.Module] = [stem]
    side = -(-side // 2)
    for _ in range(sizes.pick(2, 3, 4, 5)):
        stride = 2 if side >= 4 and sizes.chance(0.75) else 1
        after = sizes.channels(max(8, int(0.8 * channels)), min(320, int(2.3 * channels) + 2))
        layers += style(sizes, channels, after, stride, sizes.pick(1, 2, 3))
        channels, side = after, -(-side // stride)
    if sizes.chance(0.7):
        wide = sizes.channels(64, 640)
        layers.append(blocks.convolution(channels, wide, kernel=1, stride=1, activation=activation))
        channels = wide
    return nn.Sequential(*layers, blocks.head(channels, sizes.pick(2, 10, 35, 100, 1000)))


def _inverted(sizes: Sizes, channels: int, after: int, stride: int, depth: int) -> list[nn.Module]:
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


def _separable(sizes: Sizes, channels: int, after: int, stride: int, depth: int) -> list[nn.Module]:
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


def _residual(sizes: Sizes, channels: int, after: int, stride: int, depth: int) -> list[nn.Module]:
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


def _grouped(sizes: Sizes, channels: int, after: int, stride: int, depth: int) -> list[nn.Module]:
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


def _fire(sizes: Sizes, channels: int, after: int, stride: int, depth: int) -> list[nn.Module]:
    half, ratio = max(8, after // 2), sizes.pick(4, 8)
    layers: list[nn.Module] = [nn.MaxPool2d(3, 2, 1)] if stride == 2 else []
    layers += [
        blocks.Fire(channels if n == 0 else 2 * half, max(8, after // ratio), half)
        for n in range(depth)
    ]
    return [*layers, blocks.convolution(2 * half, after, kernel=1, stride=1, activation="relu")]


def _shuffled(sizes: Sizes, channels: int, after: int, stride: int, depth: int) -> list[nn.Module]:
    kernel, even = sizes.pick(3, 5, p=(0.85, 0.15)), 2 * max(4, after // 2)
    first: nn.Module = (
        blocks.Shuffle(channels, even, kernel=kernel, stride=2)
        if stride == 2
        else blocks.convolution(channels, even, kernel=1, stride=1, activation="relu")
    )
    more = [blocks.Shuffle(even, even, kernel=kernel, stride=1) for _ in range(depth)]
    last = blocks.convolution(even, after, kernel=1, stride=1, activation="relu")
    return [first, *more] if even == after else [first, *more, last]


def _dense(sizes: Sizes, channels: int, after: int, stride: int, depth: int) -> list[nn.Module]:
    layers, growth = depth + sizes.pick(1, 2, 3), sizes.pick(8, 12, 16, 24, 32)
    grown = channels + layers * growth
    return [
        blocks.Dense(channels, layers, growth),
        *blocks.normed(grown),
        nn.Conv2d(grown, after, 1, bias=False),
        *([nn.AvgPool2d(2)] if stride == 2 else []),
    ]


#: How often each style is drawn.
_STYLES: dict[_Stage, float] = {
    _inverted: 0.54,
    _separable: 0.1,
    _residual: 0.1,
    _grouped: 0.07,
    _fire: 0.05,
    _shuffled: 0.08,
    _dense: 0.06,
}
