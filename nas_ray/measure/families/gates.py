"""Maps scaled by what is computed from them: by channel, by position, by both, by choice."""

import torch
from torch import nn

from nas_ray.measure.blocks import ACTIVATIONS, Residual
from nas_ray.measure.families.sample import Sample
from nas_ray.measure.layers import Apply, Gated, convolved, depthwise, pointwise
from nas_ray.measure.sizes import Sizes


def channel_gate(
    channels: int, squeezed: int, inner: str, outer: str, *, linear: bool = False
) -> nn.Module:
    """Squeeze-and-excitation (Hu et al., 2018) with 1x1 convolutions or linear layers."""
    activations = ACTIVATIONS[inner](), ACTIVATIONS[outer]()
    if not linear:
        return Gated(
            nn.Sequential(
                *(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, squeezed, 1), activations[0]),
                *(nn.Conv2d(squeezed, channels, 1), activations[1]),
            )
        )
    weigh = nn.Sequential(
        *(nn.Linear(channels, squeezed), activations[0]),
        *(nn.Linear(squeezed, channels), activations[1]),
    )
    return Gated(Apply(lambda x: weigh(x.mean((2, 3))).unflatten(1, (channels, 1, 1)), weigh))


def gate_names(sizes: Sizes) -> tuple[str, str]:
    """The activations inside and at the end of a gate, as published networks pair them."""
    pairs = (
        *(("relu", "sigmoid"), ("relu", "hardsigmoid"), ("silu", "sigmoid")),
        *(("hardswish", "hardsigmoid"), ("gelu", "sigmoid")),
    )
    return pairs[int(sizes.rng.choice(5, p=[0.28, 0.28, 0.28, 0.1, 0.06]))]


def squeezed_gate(sizes: Sizes) -> Sample:
    """A gate by channel behind a depthwise convolution, before a projection, or alone."""
    channels = sizes.channels(8, 480)
    squeezed = max(1, channels // sizes.pick(2, 4, 8, 16, 24))
    gate = channel_gate(channels, squeezed, *gate_names(sizes), linear=sizes.chance(0.3))
    form = sizes.pick(0, 1, 2)
    after = sizes.channels(8, 192)
    height, width = sizes.light_image(channels * after if form else 25 * channels, high=80)
    if form == 0:
        return gate, (1, channels, height, width)
    first = depthwise(channels, sizes.pick(3, 5), activation=sizes.activation())
    layers = [first, gate, pointwise(channels, after)] if form == 1 else [gate, first]
    return nn.Sequential(*layers), (1, channels, height, width)


def _spatial(kernel: int, *, by_both: bool) -> nn.Module:
    """Weights `(N, 1, H, W)` from the mean and the maximum of the channels (Woo et al., 2018)."""
    last = nn.Sequential(
        nn.Conv2d(2 if by_both else 1, 1, kernel, padding=kernel // 2), nn.Sigmoid()
    )

    def weigh(x: torch.Tensor) -> torch.Tensor:
        mean = x.mean(1, keepdim=True)
        joined = torch.cat([mean, x.amax(1, keepdim=True)], 1) if by_both else mean
        result: torch.Tensor = last(joined)
        return result

    return Apply(weigh, last)


def spatial_gate(sizes: Sizes) -> Sample:
    """A gate by position, alone or behind one by channel."""
    channels, kernel = sizes.channels(8, 256), sizes.pick(3, 5, 7)
    height, width = sizes.light_image(100 * channels, high=96)
    if sizes.chance(0.3):
        weigh: nn.Module = nn.Sequential(nn.Conv2d(channels, 1, 1), nn.Sigmoid())
    else:
        weigh = _spatial(kernel, by_both=sizes.chance(0.7))
    layers: list[nn.Module] = [Gated(weigh)]
    if sizes.chance(0.4):
        squeezed = max(1, channels // sizes.pick(4, 8, 16))
        layers = [channel_gate(channels, squeezed, *gate_names(sizes)), *layers]
    return nn.Sequential(*layers), (1, channels, height, width)


def neighbouring_channels_gate(sizes: Sizes) -> Sample:
    """A gate by channel from a convolution over neighbouring channels (Wang et al., 2020)."""
    channels, kernel = sizes.channels(8, 384), sizes.pick(3, 5, 7)
    height, width = sizes.light_image(100 * channels, high=80)
    mix = nn.Conv1d(1, 1, kernel, padding=kernel // 2, bias=False)

    def weigh(x: torch.Tensor) -> torch.Tensor:
        means = mix(x.mean((2, 3)).unsqueeze(1)).sigmoid()
        result: torch.Tensor = means.squeeze(1).unflatten(1, (channels, 1, 1))
        return result

    return Gated(Apply(weigh, mix)), (1, channels, height, width)


def coordinate_gate(sizes: Sizes) -> Sample:
    """A gate by row times one by column, from the means along both (Hou et al., 2021)."""
    channels, side = sizes.channels(8, 192), sizes.log_uniform(4, 64)
    inner = max(8, channels // sizes.pick(4, 8, 16))
    first = pointwise(channels, inner, sizes.name("hardswish", "relu", "silu"))
    by_row, by_column = nn.Conv2d(inner, channels, 1), nn.Conv2d(inner, channels, 1)

    def gate(x: torch.Tensor) -> torch.Tensor:
        rows, columns = x.mean(3, keepdim=True), x.mean(2, keepdim=True).transpose(2, 3)
        of_rows, of_columns = first(torch.cat([rows, columns], 2)).split([side, side], 2)
        scale: torch.Tensor = by_row(of_rows).sigmoid()
        result: torch.Tensor = x * scale * by_column(of_columns.transpose(2, 3)).sigmoid()
        return result

    return Apply(gate, first, by_row, by_column), (1, channels, side, side)


def selective_kernels(sizes: Sizes) -> Sample:
    """Two kernels, weighted by a softmax over both for each channel (Li et al., 2019)."""
    channels = sizes.channels(8, 160)
    groups = channels if sizes.chance(0.6) else 1
    height, width = sizes.light_image(18 * channels**2 / groups, high=64)
    inner = max(8, channels // sizes.pick(2, 4, 8))
    small = convolved(channels, channels, 3, groups=groups, activation="relu")
    large = convolved(
        *(channels, channels),
        5 if sizes.chance(0.5) else 3,
        dilation=2,
        groups=groups,
        activation="relu",
    )
    squeeze = nn.Sequential(
        nn.Conv2d(channels, inner, 1), nn.ReLU(), nn.Conv2d(inner, 2 * channels, 1)
    )

    def select(x: torch.Tensor) -> torch.Tensor:
        first, second = small(x), large(x)
        scores = squeeze((first + second).mean((2, 3), keepdim=True))
        weights = scores.unflatten(1, (2, channels)).softmax(1)
        result: torch.Tensor = first * weights[:, 0] + second * weights[:, 1]
        return result

    return Apply(select, small, large, squeeze), (1, channels, height, width)


def convolved_gate(sizes: Sizes) -> Sample:
    """One half of the channels, activated, times the other; or a large kernel as the gate."""
    channels, activation = sizes.channels(8, 160), sizes.name("sigmoid", "silu", "gelu", "tanh")
    inner = channels * sizes.pick(1, 2)
    height, width = sizes.light_image(3 * channels * inner, high=80)
    if sizes.chance(0.5):
        kernel = sizes.pick(3, 5, 7, 11)
        weigh = nn.Sequential(
            depthwise(channels, kernel), pointwise(channels, channels, activation)
        )
        block: nn.Module = Gated(weigh, pointwise(channels, channels))
        return Residual(block) if sizes.chance(0.5) else block, (1, channels, height, width)
    first, last = pointwise(channels, 2 * inner), pointwise(inner, channels)
    function = ACTIVATIONS[activation]()

    def gate(x: torch.Tensor) -> torch.Tensor:
        value, weight = first(x).chunk(2, 1)
        result: torch.Tensor = last(value * function(weight))
        return result

    return Apply(gate, first, last, function), (1, channels, height, width)
