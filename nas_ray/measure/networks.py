"""Whole networks made of the blocks that are sampled: published ones, and random ones like them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from nas_ray.graph import Graph, trace
from nas_ray.measure import blocks

#: Images that published networks are scaled to, in pixels.
RESOLUTIONS = (224, 160, 96, 192, 128)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """`depth` inverted bottlenecks; the first of them has the stride."""

    expansion: int
    channels: int
    depth: int
    stride: int
    kernel: int = 3
    fused: bool = False


def _stages(*rows: tuple[int, int, int, int, int]) -> tuple[Stage, ...]:
    return tuple(
        Stage(expansion=e, channels=c, depth=n, stride=s, kernel=k) for e, c, n, s, k in rows
    )


#: Sandler et al. (2018), table 2; Tan & Le (2019), table 1.
MOBILENET_V2 = _stages(
    (1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 32, 3, 2, 3), (6, 64, 4, 2, 3),
    (6, 96, 3, 1, 3), (6, 160, 3, 2, 3), (6, 320, 1, 1, 3),
)  # fmt: skip
EFFICIENTNET_B0 = _stages(
    (1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5), (6, 192, 4, 2, 5), (6, 320, 1, 1, 3),
)  # fmt: skip
#: The same with the stages of large images fused, as networks for accelerators have them.
_EARLY = 3


def inverted(
    stages: tuple[Stage, ...],
    *,
    stem: int = 32,
    widened: int = 1280,
    classes: int = 1000,
    activation: str = "relu6",
    gate: bool = False,
) -> nn.Module:
    """Stem, stages of (fused) inverted bottlenecks, 1x1 convolution, head; images of 3 channels."""
    layers: list[nn.Module] = [
        blocks.convolution(3, stem, kernel=3, stride=2, activation=activation)
    ]
    channels = stem
    for stage in stages:
        for n in range(stage.depth):
            block = blocks.inverted_bottleneck(
                channels,
                stage.channels,
                kernel=stage.kernel,
                expansion=stage.expansion,
                stride=stage.stride if n == 0 else 1,
                activation=activation,
                fused=stage.fused,
                gate=gate,
            )
            layers.append(block)
            channels = stage.channels
    layers.append(blocks.convolution(channels, widened, kernel=1, stride=1, activation=activation))
    return nn.Sequential(*layers, blocks.head(widened, classes))


def _mobilenet_v1() -> nn.Module:
    """Howard et al. (2017), table 1."""
    widths = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)]
    layers: list[nn.Module] = [blocks.convolution(3, 32, kernel=3, stride=2, activation="relu6")]
    channels = 32
    for after, stride in [*widths, *5 * [(512, 1)], (1024, 2), (1024, 1)]:
        block = blocks.separable(
            channels,
            after,
            kernel=3,
            stride=stride,
            activation="relu6",
            last_activation="relu6",
        )
        layers.append(block)
        channels = after
    return nn.Sequential(*layers, blocks.head(channels, 1000))


def _resnet(*, deep: bool) -> nn.Module:
    """He et al. (2016), table 1: 18 layers, or 50 with bottlenecks; two blocks a stage."""
    layers: list[nn.Module] = [
        blocks.convolution(3, 64, kernel=7, stride=2, activation="relu"),
        nn.MaxPool2d(3, 2, 1),
    ]
    channels = 64
    for width, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        after = 4 * width if deep else width
        for s in (stride, 1):
            layers.append(
                blocks.bottleneck(channels, after, inner=width, stride=s)
                if deep
                else blocks.basic(channels, after, stride=s)
            )
            channels = after
    return nn.Sequential(*layers, blocks.head(channels, 1000))


def _fused_early(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
    return tuple(replace(stage, fused=n < _EARLY) for n, stage in enumerate(stages))


_PUBLISHED: tuple[Callable[[], nn.Module], ...] = (
    lambda: inverted(MOBILENET_V2),
    lambda: inverted(_fused_early(MOBILENET_V2)),
    lambda: inverted(EFFICIENTNET_B0),
    lambda: inverted(EFFICIENTNET_B0, activation="silu", gate=True),
    _mobilenet_v1,
    lambda: _resnet(deep=False),
    lambda: _resnet(deep=True),
)


def published_networks() -> Iterator[Graph]:
    """MobileNets, an EfficientNet and ResNets for each of `RESOLUTIONS`."""
    for side in RESOLUTIONS:
        for make in _PUBLISHED:
            yield _traced(make, side)


def random_network(rng: np.random.Generator, channel_multiple: int) -> Graph:
    """A classifier of four stages of inverted bottlenecks, plain or fused, for 32-224 pixels."""

    def channels(low: int, high: int) -> int:
        value = np.exp(rng.uniform(np.log(low), np.log(high)))
        return max(1, round(float(value) / channel_multiple)) * channel_multiple

    stages = tuple(
        Stage(
            expansion=int(rng.choice([2, 4, 6])),
            channels=channels(*widths),
            depth=int(rng.integers(1, 4)),
            stride=2 if n else 1,
            kernel=int(rng.choice([3, 5])),
            fused=bool(rng.random() < 0.4),
        )
        for n, widths in enumerate([(16, 40), (24, 64), (40, 112), (80, 192)])
    )
    stem, widened = channels(16, 32), channels(160, 1280)
    side = int(rng.choice([32, 64, 96, 128, 160, 224]))
    return _traced(lambda: inverted(stages, stem=stem, widened=widened, classes=100), side)


def _traced(make: Callable[[], nn.Module], side: int) -> Graph:
    with torch.device("meta"):
        return trace(make(), torch.empty(1, 3, side, side))
