"""Stages of newer light classifiers, and of plain ones; see `families.light_blocks`."""

from torch import nn

from nas_ray.measure.blocks import Residual
from nas_ray.measure.families import gates, light_blocks
from nas_ray.measure.families.tokens import next_block
from nas_ray.measure.layers import convolved, depthwise, pointwise
from nas_ray.measure.sizes import Sizes


def _reduced(channels: int, after: int, stride: int, activation: str = "") -> list[nn.Module]:
    """A patch convolution between stages; nothing where nothing changes."""
    if stride == 1 and channels == after:
        return []
    return [convolved(channels, after, stride, stride=stride, padded=False, activation=activation)]


def permuted(sizes: Sizes, channels: int, after: int, stride: int, depth: int) -> list[nn.Module]:
    """Depthwise and an MLP over channels that are last (Liu et al., 2022)."""
    kernel, expansion = sizes.pick(3, 5, 7, 7, 9), sizes.pick(2, 3, 4)
    steps = [next_block(sizes, after, kernel, expansion) for _ in range(depth)]
    return [*_reduced(channels, after, stride), *steps]


def branches(sizes: Sizes, channels: int, after: int, stride: int, depth: int) -> list[nn.Module]:
    """Three branches as trained, or the convolutions they become (Ding et al., 2021)."""
    as_trained, activation = sizes.chance(0.4), sizes.name("relu", "relu", "silu")
    layers: list[nn.Module] = []
    for n in range(depth):
        before, step = (channels, stride) if n == 0 else (after, 1)
        if as_trained:
            layers.append(light_blocks.three_branches(before, step, after, activation))
        else:
            layers.append(
                convolved(before, after, 3, stride=step, activation=activation, norm=False)
            )
    return layers


def partial(sizes: Sizes, channels: int, after: int, stride: int, depth: int) -> list[nn.Module]:
    """Convolutions on a part of the channels (Chen et al., 2023)."""
    share, inner = sizes.pick(2, 4, 4), after * sizes.pick(2, 3)
    activation = sizes.name("relu", "gelu", "silu")
    steps = [light_blocks.partial(after, after // share, inner, activation) for _ in range(depth)]
    return [*_reduced(channels, after, stride), *steps]


def ghosts(sizes: Sizes, channels: int, after: int, stride: int, depth: int) -> list[nn.Module]:
    """Ghost bottlenecks, some with gates (Han et al., 2020)."""
    expansion, is_gated = sizes.pick(2, 3, 4), sizes.chance(0.4)
    activation, kernel, names = (
        sizes.name("relu", "relu", "silu"),
        sizes.pick(3, 5),
        ("relu", "hardsigmoid"),
    )
    layers: list[nn.Module] = []
    for n in range(depth):
        before, step = (channels, stride) if n == 0 else (after, 1)
        inner = before * expansion
        steps: list[nn.Module] = [light_blocks.ghost(before, inner, 1, 3, activation)]
        steps += [depthwise(inner, kernel, stride=step)] if step > 1 else []
        steps += [gates.channel_gate(inner, max(4, before // 4), *names)] if is_gated else []
        steps.append(light_blocks.ghost(inner, after, 1, 3, ""))
        block = nn.Sequential(*steps)
        layers.append(Residual(block) if step == 1 and before == after else block)
    return layers


def mixed_kernels(
    sizes: Sizes, channels: int, after: int, stride: int, depth: int
) -> list[nn.Module]:
    """Inverted bottlenecks with kernels of several sizes (Tan and Le, 2019)."""
    expansion, activation = sizes.pick(1, 2, 3, 4, 6), sizes.name("relu", "silu", "hardswish")
    kernels = ((3, 5), (3, 5, 7), (3, 5, 7, 9))[sizes.pick(0, 1, 2)]
    layers: list[nn.Module] = []
    for n in range(depth):
        before, step = (channels, stride) if n == 0 else (after, 1)
        inner = before * expansion
        block = nn.Sequential(
            pointwise(before, inner, activation),
            light_blocks.mixed_kernels(inner, kernels, step, activation),
            pointwise(inner, after),
        )
        layers.append(Residual(block) if step == 1 and before == after else block)
    return layers


def extra_depthwise(
    sizes: Sizes, channels: int, after: int, stride: int, depth: int
) -> list[nn.Module]:
    """Inverted bottlenecks with depthwise before, inside or both (Qin et al., 2024)."""
    expansion, activation = sizes.pick(2, 3, 4), sizes.activation()
    kernels = ((3, 3), (5, 5), (3, 5), (5, 3), (3, 0), (5, 0))
    return [
        light_blocks.extra_depthwise(
            *(channels if n == 0 else after, after, kernels[sizes.pick(*range(len(kernels)))]),
            expansion=expansion,
            stride=stride if n == 0 else 1,
            activation=activation,
        )
        for n in range(depth)
    ]


def gated_bottlenecks(
    sizes: Sizes, channels: int, after: int, stride: int, depth: int
) -> list[nn.Module]:
    """Inverted bottlenecks with SiLU and gates (Tan and Le, 2019)."""
    kernel, expansion = sizes.pick(3, 5), sizes.pick(1, 3, 4, 6)
    names = (sizes.name("silu", "silu", "hardswish"), *gates.gate_names(sizes))
    return [
        light_blocks.gated_bottleneck(
            *(channels if n == 0 else after, after),
            kernel=kernel,
            expansion=expansion,
            stride=stride if n == 0 else 1,
            names=names,
        )
        for n in range(depth)
    ]


def inception(sizes: Sizes, channels: int, after: int, stride: int, depth: int) -> list[nn.Module]:
    """Depthwise in parts with strips, then an MLP (Yu et al., 2023)."""
    part, strip, inner = max(2, after // 8), sizes.pick(7, 9, 11), after * sizes.pick(2, 3, 4)
    steps = [
        Residual(
            nn.Sequential(
                light_blocks.inception_parts(after, part, 3, strip),
                nn.BatchNorm2d(after),
                pointwise(after, inner, "gelu"),
                nn.Conv2d(inner, after, 1),
            )
        )
        for _ in range(depth)
    ]
    return [*_reduced(channels, after, stride), *steps]


def split(sizes: Sizes, channels: int, after: int, stride: int, depth: int) -> list[nn.Module]:
    """A convolution and a stage of split halves, as detectors have (YOLO)."""
    activation = sizes.name("silu", "silu", "silu", "hardswish", "relu")
    first = convolved(channels, after, 3, stride=stride, activation=activation)
    return [first, light_blocks.split_stage(after, after, min(2, depth), activation)]


def large_kernels(
    sizes: Sizes, channels: int, after: int, stride: int, depth: int
) -> list[nn.Module]:
    """Large depthwise convolutions, each with its MLP of 1x1 convolutions (Ding et al., 2022)."""
    kernel, activation = sizes.pick(5, 7, 9, 11, 13), sizes.name("relu", "gelu", "silu")
    inner = after * sizes.pick(1, 2, 4)
    layers = _reduced(channels, after, stride, activation)
    for _ in range(depth):
        layers.append(Residual(depthwise(after, kernel, activation=activation)))
        mixing = (pointwise(after, inner, activation), pointwise(inner, after))
        layers.append(Residual(nn.Sequential(*mixing)))
    return layers


def plain(sizes: Sizes, channels: int, after: int, stride: int, depth: int) -> list[nn.Module]:
    """Convolutions with any activation and a pooling (Simonyan and Zisserman, 2015)."""
    activation, kernel = sizes.any_activation(), sizes.pick(3, 3, 3, 5)
    pool = nn.MaxPool2d if sizes.chance(0.7) else nn.AvgPool2d
    layers: list[nn.Module] = [
        convolved(channels if n == 0 else after, after, kernel, activation=activation)
        for n in range(depth)
    ]
    return [*layers, pool(2, ceil_mode=True)] if stride == 2 else layers
