"""Random subgraphs of the kind real networks are made of: what a measurement table is filled with.

Each is built as a small module on the meta device and traced, so that a sampled subgraph has
exactly the form that `subgraphs(trace(network))` gives the same block inside a network.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from nas_ray.graph import Graph, signature, subgraphs, trace
from nas_ray.measure import blocks

#: Largest number of weights in one sampled subgraph; a compiler needs seconds for more.
WEIGHT_LIMIT = 2_500_000
_REJECTIONS_IN_A_ROW = 1_000


@dataclass(frozen=True, kw_only=True)
class _Draw:
    """Random sizes. Sizes are log-uniform: a network halves its image from stage to stage."""

    rng: np.random.Generator
    channel_multiple: int

    def log_uniform(self, low: int, high: int) -> int:
        return int(np.exp(self.rng.uniform(np.log(low), np.log(high + 1))))

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def pick(self, *options: int, p: tuple[float, ...] | None = None) -> int:
        return int(self.rng.choice(options, p=p))

    def side(self) -> int:
        """Height of an image inside a network: mostly 2-48, up to 112."""
        return self.log_uniform(2, 48 if self.chance(0.8) else 112)

    def image(self) -> tuple[int, int]:
        """Height and width; one in ten is not square."""
        height = self.side()
        return (height, self.side()) if self.chance(0.1) else (height, height)

    def channels(self, low: int = 8, high: int = 0) -> int:
        """Half of them multiples of what the accelerator runs in parallel."""
        value = self.log_uniform(low, high or (160 if self.chance(0.8) else 320))
        multiple = self.channel_multiple
        return max(multiple, round(value / multiple) * multiple) if self.chance(0.6) else value

    def channels_after(self, channels: int, stride: int) -> int:
        """Most blocks of stride 1 keep the channels; the others change them by up to 2.5."""
        if stride == 1 and self.chance(0.6):
            return channels
        low, high = max(8, int(channels * 0.6)), min(320, max(9, int(channels * 2.5)))
        return self.channels(min(low, high), high)

    def activation(self) -> str:
        return str(self.rng.choice(["relu", "relu6", "hardswish"], p=[0.45, 0.4, 0.15]))


_Sample = tuple[nn.Module, tuple[int, ...]]


def _inverted_bottleneck(draw: _Draw, *, fused: bool = False, gate: bool = False) -> _Sample:
    height, width = draw.image()
    channels, stride = draw.channels(), draw.pick(1, 2, p=(0.7, 0.3))
    block = blocks.inverted_bottleneck(
        channels,
        draw.channels_after(channels, stride),
        kernel=draw.pick(3, 5, 7, p=(0.6, 0.28, 0.12)),
        expansion=draw.pick(1, 2, 3, 4, 5, 6, p=(0.08, 0.2, 0.2, 0.22, 0.1, 0.2)),
        stride=stride,
        activation=draw.activation(),
        residual=draw.chance(0.85),
        fused=fused,
        gate=gate,
    )
    return block, (1, channels, height, width)


def _fused(draw: _Draw) -> _Sample:
    return _inverted_bottleneck(draw, fused=True)


def _gated(draw: _Draw) -> _Sample:
    return _inverted_bottleneck(draw, gate=True)


def _separable(draw: _Draw) -> _Sample:
    height, width = draw.image()
    channels, stride = draw.channels(), draw.pick(1, 2)
    block = blocks.separable(
        channels,
        draw.channels_after(channels, stride),
        kernel=draw.pick(3, 5, 7, p=(0.6, 0.3, 0.1)),
        stride=stride,
        activation=draw.activation(),
        last_activation=draw.activation() if draw.chance(0.6) else "",
    )
    return block, (1, channels, height, width)


def _stem(draw: _Draw) -> _Sample:
    side = draw.log_uniform(16, 112 if draw.chance(0.8) else 224)
    channels = draw.pick(1, 2, 3, 4, p=(0.35, 0.05, 0.55, 0.05))
    block = blocks.convolution(
        channels,
        draw.channels(8, 64),
        kernel=draw.pick(3, 5, 7, p=(0.8, 0.1, 0.1)),
        stride=draw.pick(1, 2, p=(0.35, 0.65)),
        activation=draw.activation(),
    )
    return block, (1, channels, side, side)


def _convolution(draw: _Draw) -> _Sample:
    height, width = draw.image()
    channels, stride = draw.channels(), draw.pick(1, 2, p=(0.75, 0.25))
    block = blocks.convolution(
        channels,
        draw.channels_after(channels, stride),
        kernel=draw.pick(1, 3, 5, p=(0.55, 0.4, 0.05)),
        stride=stride,
        activation=draw.activation() if draw.chance(0.8) else "",
    )
    return block, (1, channels, height, width)


def _residual_pair(draw: _Draw) -> _Sample:
    height, width = draw.image()
    channels, stride = draw.channels(), draw.pick(1, 2)
    after = draw.channels_after(channels, stride)
    if draw.chance(0.6):
        block = blocks.basic(channels, after, stride=stride)
    else:
        block = blocks.bottleneck(channels, after, inner=max(8, after // 4), stride=stride)
    return block, (1, channels, height, width)


def _pooling(draw: _Draw) -> _Sample:
    height, width = draw.image()
    kernel = draw.pick(2, 3)
    pool = nn.MaxPool2d if draw.chance(0.5) else nn.AvgPool2d
    return pool(kernel, stride=2, padding=kernel // 2), (1, draw.channels(), height, width)


def _head(draw: _Draw) -> _Sample:
    side, channels = draw.log_uniform(1, 14), draw.channels(16, 512)
    classes = draw.pick(2, 10, 10, 20, 35, 100, 1000)
    return blocks.head(channels, classes), (1, channels, side, side)


def _widening(draw: _Draw) -> _Sample:
    """The 1x1 convolution in front of a head."""
    side, channels = draw.log_uniform(2, 14), draw.channels(16, 320)
    after = draw.channels(64, 640)
    block = blocks.convolution(channels, after, kernel=1, stride=1, activation=draw.activation())
    return block, (1, channels, side, side)


def _signal(draw: _Draw) -> _Sample:
    """A separable convolution over time, as speech networks have."""
    channels, stride = draw.channels(), draw.pick(1, 2)
    block = blocks.signal(
        channels,
        draw.channels_after(channels, stride),
        kernel=draw.pick(3, 5, 9, 11, 13),
        stride=stride,
        activation=draw.activation(),
    )
    return block, (1, channels, draw.log_uniform(16, 256))


_KINDS: dict[Callable[[_Draw], _Sample], float] = {
    _inverted_bottleneck: 0.37,
    _fused: 0.33,
    _stem: 0.05,
    _gated: 0.04,
    _separable: 0.05,
    _convolution: 0.05,
    _residual_pair: 0.03,
    _head: 0.03,
    _widening: 0.02,
    _pooling: 0.01,
    _signal: 0.02,
}


def sample_subgraphs(
    count: int, rng: np.random.Generator, channel_multiple: int = 16
) -> Iterator[Graph]:
    """`count` different random subgraphs; 70 % are inverted bottlenecks, plain or fused.

    About half the channels are multiples of `channel_multiple`, the parallelism factor of the
    accelerator, and the other half anything. The sequence depends on `rng` alone: a longer one
    begins with a shorter one. Ends early where a thousand draws in a row bring nothing new.
    """
    draw = _Draw(rng=rng, channel_multiple=channel_multiple)
    kinds, weights = list(_KINDS), list(_KINDS.values())
    seen: set[str] = set()
    rejected = 0
    while len(seen) < count and rejected < _REJECTIONS_IN_A_ROW:
        rejected += 1
        for graph in _cut(*_made(draw, kinds[int(rng.choice(len(kinds), p=weights))])):
            key = signature(graph)
            if key not in seen and graph.weight_elements <= WEIGHT_LIMIT and len(seen) < count:
                seen.add(key)
                rejected = 0
                yield graph


def _made(draw: _Draw, kind: Callable[[_Draw], _Sample]) -> _Sample:
    with torch.device("meta"):
        return kind(draw)


def _cut(model: nn.Module, shape: tuple[int, ...]) -> tuple[Graph, ...]:
    return subgraphs(trace(model, torch.empty(shape, device="meta")))
