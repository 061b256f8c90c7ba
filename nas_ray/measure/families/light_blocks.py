"""Blocks of newer light networks: cheap channels, mixed kernels, branches, extra depthwise."""

import torch
from torch import nn

from nas_ray.measure.blocks import ACTIVATIONS, Residual
from nas_ray.measure.families.gates import channel_gate, gate_names
from nas_ray.measure.families.sample import Sample
from nas_ray.measure.layers import (
    Apply,
    Beside,
    InParts,
    Summed,
    convolved,
    depthwise,
    pointwise,
)
from nas_ray.measure.sizes import Sizes


def ghost(channels: int, after: int, kernel: int, cheap: int, activation: str) -> nn.Module:
    """Half of the channels by a convolution, half by depthwise from those (Han et al., 2020)."""
    half = -(-after // 2)
    first = convolved(channels, half, kernel, activation=activation)
    second = Beside(nn.Identity(), depthwise(half, cheap, activation=activation))
    crop = [Apply(lambda x: x[:, :after])] if 2 * half != after else []
    return nn.Sequential(first, second, *crop)


def ghost_block(sizes: Sizes) -> Sample:
    """One ghost module, or a bottleneck of two with a gate between."""
    channels, activation = sizes.channels(8, 192), sizes.activation()
    cheap = sizes.pick(3, 3, 5)
    if sizes.chance(0.5):
        after, kernel = sizes.channels(8, 192), sizes.pick(1, 1, 3)
        height, width = sizes.light_image(kernel**2 * channels * after / 2, high=80)
        return ghost(channels, after, kernel, cheap, activation), (1, channels, height, width)
    inner = channels * sizes.pick(2, 3, 4)
    height, width = sizes.light_image(channels * inner, high=64)
    layers: list[nn.Module] = [ghost(channels, inner, 1, cheap, activation)]
    if sizes.chance(0.5):
        layers.append(channel_gate(inner, max(4, inner // 8), *gate_names(sizes)))
    layers.append(ghost(inner, channels, 1, cheap, ""))
    return Residual(nn.Sequential(*layers)), (1, channels, height, width)


def mixed_kernels(
    channels: int, kernels: tuple[int, ...], stride: int, activation: str
) -> nn.Module:
    """Depthwise convolutions of several kernels, each on its part (Tan and Le, 2019)."""
    each = channels // len(kernels)
    parts = [channels - each * (len(kernels) - 1), *[each] * (len(kernels) - 1)]
    branches = [
        depthwise(part, kernel, stride=stride) for part, kernel in zip(parts, kernels, strict=True)
    ]
    return nn.Sequential(
        InParts(parts, branches), nn.BatchNorm2d(channels), ACTIVATIONS[activation]()
    )


def mixed_kernel_block(sizes: Sizes) -> Sample:
    """An inverted bottleneck with depthwise convolutions of several kernels."""
    channels, activation = sizes.channels(12, 128), sizes.activation()
    inner, stride = channels * sizes.pick(1, 2, 3, 4, 6), sizes.pick(1, 2, p=(0.7, 0.3))
    kernels = ((3, 5), (3, 5, 7), (3, 5, 7, 9), (3, 7), (3, 5, 7, 9, 11))[sizes.pick(*range(5))]
    height, width = sizes.light_image(2 * channels * inner + 60 * inner, high=64)
    layers: list[nn.Module] = [
        pointwise(channels, inner, activation),
        mixed_kernels(inner, kernels, stride, activation),
    ]
    if sizes.chance(0.4):
        layers.append(channel_gate(inner, max(4, channels // 4), *gate_names(sizes)))
    block = nn.Sequential(*layers, pointwise(inner, channels))
    return Residual(block) if stride == 1 else block, (1, channels, height, width)


def partial(channels: int, part: int, inner: int, activation: str) -> nn.Module:
    """A 3x3 convolution of some channels, the others pass, then an MLP (Chen et al., 2023)."""
    first = InParts(
        [part, channels - part], [nn.Conv2d(part, part, 3, padding=1, bias=False), nn.Identity()]
    )
    mixing = nn.Sequential(
        pointwise(channels, inner, activation), nn.Conv2d(inner, channels, 1, bias=False)
    )
    return Residual(nn.Sequential(first, mixing))


def partial_block(sizes: Sizes) -> Sample:
    """A convolution on a half, a quarter or an eighth of the channels."""
    channels = 8 * sizes.log_uniform(2, 40) if sizes.chance(0.7) else sizes.channels(16, 320)
    inner, share = channels * sizes.pick(1, 2, 3), sizes.pick(2, 4, 4, 4, 8)
    height, width = sizes.light_image(2 * channels * inner, high=64)
    activation = sizes.name("relu", "gelu", "silu", "hardswish")
    return partial(channels, channels // share, inner, activation), (1, channels, height, width)


def three_branches(channels: int, stride: int, after: int, activation: str) -> nn.Module:
    """3x3, 1x1 and, where it fits, a batch norm, added (Ding et al., 2021)."""
    branches: list[nn.Module] = [
        convolved(channels, after, 3, stride=stride),
        convolved(channels, after, 1, stride=stride),
    ]
    if stride == 1 and channels == after:
        branches.append(nn.BatchNorm2d(channels))
    return Summed(*branches, activation=activation)


def branches_block(sizes: Sizes) -> Sample:
    """Parallel branches as trained, or the one convolution that they become."""
    channels, stride = sizes.channels(8, 256), sizes.pick(1, 2, p=(0.7, 0.3))
    after = sizes.channels_after(channels, stride)
    height, width = sizes.light_image(10 * channels * after, high=80)
    activation = sizes.name("relu", "relu", "gelu", "silu")
    if sizes.chance(0.5):
        return three_branches(channels, stride, after, activation), (1, channels, height, width)
    block = [
        convolved(channels, after, 3, stride=stride, activation=activation, norm=False),
        *[convolved(after, after, 3, activation=activation, norm=False)] * sizes.pick(0, 1),
    ]
    return nn.Sequential(*block), (1, channels, height, width)


def inception_parts(channels: int, part: int, kernel: int, strip: int) -> nn.Module:
    """Most channels pass; small parts get a square and two strips (Yu et al., 2023)."""
    rest = channels - 3 * part
    branches = [
        nn.Identity(),
        *(
            convolved(part, part, k, groups=part, norm=False)
            for k in (kernel, (1, strip), (strip, 1))
        ),
    ]
    return InParts([rest, part, part, part], branches)


def inception_block(sizes: Sizes) -> Sample:
    """Depthwise in parts, then an MLP of 1x1 convolutions."""
    channels, share = sizes.channels(24, 256), sizes.pick(4, 8)
    part, inner = max(2, channels // share), channels * sizes.pick(2, 3, 4)
    first = inception_parts(channels, part, sizes.pick(3, 5), sizes.pick(7, 9, 11, 13))
    height, width = sizes.light_image(2 * channels * inner, high=56)
    mixing = nn.Sequential(
        nn.BatchNorm2d(channels),
        pointwise(channels, inner, sizes.name("gelu", "silu", "relu")),
        nn.Conv2d(inner, channels, 1),
    )
    block = nn.Sequential(first, mixing)
    return Residual(block) if sizes.chance(0.8) else block, (1, channels, height, width)


def extra_depthwise(
    channels: int,
    after: int,
    kernels: tuple[int, int],
    *,
    expansion: int,
    stride: int,
    activation: str,
) -> nn.Module:
    """An inverted bottleneck with depthwise before and inside, 0 for none (Qin et al., 2024)."""
    first, second = kernels
    inner = channels * expansion
    layers: list[nn.Module] = []
    if first:
        layers.append(depthwise(channels, first, stride=stride if not second else 1))
    layers.append(pointwise(channels, inner, activation))
    if second:
        layers.append(depthwise(inner, second, stride=stride, activation=activation))
    layers.append(pointwise(inner, after))
    block = nn.Sequential(*layers)
    return Residual(block) if stride == 1 and channels == after else block


def extra_depthwise_block(sizes: Sizes) -> Sample:
    """Depthwise first, inside, both or neither."""
    channels, stride = sizes.channels(8, 192), sizes.pick(1, 2, p=(0.7, 0.3))
    first, second = ((3, 3), (5, 5), (3, 5), (5, 3), (3, 0), (5, 0), (0, 0))[sizes.pick(*range(7))]
    expansion = sizes.pick(2, 3, 4, 6)
    stride = stride if first or second else 1
    after = sizes.channels_after(channels, stride)
    height, width = sizes.light_image(expansion * channels * (channels + after), high=80)
    block = extra_depthwise(
        *(channels, after, (first, second)),
        expansion=expansion,
        stride=stride,
        activation=sizes.activation(),
    )
    return block, (1, channels, height, width)


def gated_bottleneck(
    channels: int,
    after: int,
    *,
    kernel: int,
    expansion: int,
    stride: int,
    names: tuple[str, str, str],
) -> nn.Module:
    """An inverted bottleneck with a gate; `names` are its activation and the two of the gate."""
    inner, (activation, *of_gate) = channels * expansion, names
    layers: list[nn.Module] = [pointwise(channels, inner, activation)] if expansion > 1 else []
    layers += [
        depthwise(inner, kernel, stride=stride, activation=activation),
        channel_gate(inner, max(1, channels // 4), of_gate[0], of_gate[1]),
        pointwise(inner, after),
    ]
    block = nn.Sequential(*layers)
    return Residual(block) if stride == 1 and channels == after else block


def gated_bottleneck_block(sizes: Sizes) -> Sample:
    """An inverted bottleneck with SiLU and a gate with SiLU (Tan and Le, 2019)."""
    channels, stride = sizes.channels(8, 160), sizes.pick(1, 2, p=(0.75, 0.25))
    expansion, after = sizes.pick(1, 3, 4, 6), sizes.channels_after(channels, stride)
    height, width = sizes.light_image(expansion * channels * (channels + after), high=80)
    block = gated_bottleneck(
        *(channels, after),
        kernel=sizes.pick(3, 5),
        expansion=expansion,
        stride=stride,
        names=(sizes.name("silu", "silu", "hardswish"), *gate_names(sizes)),
    )
    return block, (1, channels, height, width)


def split_stage(
    channels: int, after: int, depth: int, activation: str, *, residual: bool = True
) -> nn.Module:
    """Halves of which one goes through bottlenecks; all that was made is joined (YOLO, C2f)."""
    half = max(4, after // 2)
    first = pointwise(channels, 2 * half, activation)
    steps = [
        nn.Sequential(
            convolved(half, half, 3, activation=activation),
            convolved(half, half, 3, activation=activation),
        )
        for _ in range(depth)
    ]
    last = pointwise((2 + depth) * half, after, activation)

    def stage(x: torch.Tensor) -> torch.Tensor:
        made = list(first(x).chunk(2, 1))
        for step in steps:
            made.append(made[-1] + step(made[-1]) if residual else step(made[-1]))
        result: torch.Tensor = last(torch.cat(made, 1))
        return result

    return Apply(stage, first, *steps, last)


def split_stage_block(sizes: Sizes) -> Sample:
    """A stage of one or two bottlenecks beside what passes by."""
    channels, after, depth = sizes.channels(16, 160), sizes.channels(16, 160), sizes.pick(1, 1, 2)
    height, width = sizes.light_image(after * (channels + 5 * depth * after), high=64)
    activation = sizes.name("silu", "silu", "hardswish", "relu")
    block = split_stage(channels, after, depth, activation, residual=sizes.chance(0.6))
    return block, (1, channels, height, width)
