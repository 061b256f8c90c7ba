"""Activations alone, norms, and arithmetic of two tensors that may broadcast."""

from collections.abc import Callable

import torch
from torch import nn

from nas_ray.measure.blocks import ACTIVATIONS
from nas_ray.measure.families.sample import Sample
from nas_ray.measure.layers import Apply, Scaled, convolved
from nas_ray.measure.sizes import Sizes

_FUNCTIONS: tuple[Callable[[torch.Tensor], torch.Tensor], ...] = (
    *(torch.exp, torch.log, torch.sqrt, torch.rsqrt, torch.abs, torch.neg),
    *(torch.sin, torch.cos, torch.reciprocal, torch.erf, torch.square),
)
_OF_TWO: tuple[Callable[[torch.Tensor, torch.Tensor], torch.Tensor], ...] = (
    *(torch.add, torch.sub, torch.mul, torch.div, torch.maximum, torch.minimum),
)


def any_shape(sizes: Sizes) -> tuple[int, ...]:
    """A map, now and then tokens or a vector."""
    form = sizes.pick(0, 1, 2, p=(0.7, 0.22, 0.08))
    channels = sizes.channels(8, 512)
    if form == 0:
        return (1, channels, *sizes.light_image(channels * 64))
    return (1, sizes.log_uniform(1, 400), channels) if form == 1 else (1, channels)


def activation_alone(sizes: Sizes) -> Sample:
    """An activation that no operator before it can take in."""
    return ACTIVATIONS[sizes.any_activation()](), any_shape(sizes)


def function_alone(sizes: Sizes) -> Sample:
    """Exponentials, roots and their like, as decoders of boxes and encodings of places have."""
    return Apply(_FUNCTIONS[sizes.pick(*range(len(_FUNCTIONS)))]), any_shape(sizes)


def _broadcast(sizes: Sizes, shape: tuple[int, ...]) -> tuple[int, ...]:
    """`shape`, or one with some axes of one."""
    if len(shape) < 3 or sizes.chance(0.45):
        return shape
    if len(shape) == 3:
        return (1, 1, shape[2]) if sizes.chance(0.5) else (1, shape[1], 1)
    _, channels, height, width = shape
    one_each = ((1, channels, 1, 1), (1, 1, height, width), (1, channels, 1, width))
    return (*one_each, (1, channels, height, 1), (1, 1, 1, 1))[sizes.pick(0, 0, 1, 1, 2, 3, 4)]


def of_two(sizes: Sizes) -> Sample:
    """Two tensors added, subtracted, multiplied, divided or compared; one may broadcast."""
    shape, function = any_shape(sizes), _OF_TWO[sizes.pick(*range(len(_OF_TWO)))]
    other = _broadcast(sizes, shape)
    last = ACTIVATIONS[sizes.activation() if sizes.chance(0.3) else ""]()
    block = Apply(lambda a, b: last(function(a, b)), last)
    return (block, shape, other) if sizes.chance(0.7) else (block, other, shape)


def with_constant(sizes: Sizes) -> Sample:
    """A tensor and a constant: a number, one number a channel, or one an element."""
    shape, function = any_shape(sizes), _OF_TWO[sizes.pick(*range(len(_OF_TWO)))]
    form = sizes.pick(0, 1, 2, p=(0.4, 0.4, 0.2))
    if form == 0:
        return Apply(lambda x: function(x, x.new_ones(()))), shape
    last = shape[1:] if form == 2 else (shape[1], *[1] * (len(shape) - 2))
    held = Scaled(*(last if len(shape) != 3 or form == 2 else shape[2:]))
    return Apply(lambda x: function(x, held.scale), held), shape


def _norm(sizes: Sizes, channels: int) -> nn.Module:
    form = sizes.pick(0, 1, 2, p=(0.5, 0.25, 0.25))
    if form == 0:
        groups = [n for n in (1, 2, 4, 8, 16, 32) if channels % n == 0]
        return nn.GroupNorm(groups[sizes.pick(*range(len(groups)))], channels)
    return nn.InstanceNorm2d(channels, affine=form == 1)


def norm_of_map(sizes: Sizes) -> Sample:
    """Group or instance norm of a map, alone or behind a convolution."""
    channels, activation = sizes.channels(8, 384), ACTIVATIONS[sizes.activation()]()
    if sizes.chance(0.4):
        shape = (1, channels, *sizes.light_image(channels * 16, high=112))
        return nn.Sequential(_norm(sizes, channels), activation), shape
    before = sizes.channels(8, 256)
    height, width = sizes.light_image(9 * channels * before, high=112)
    first = convolved(before, channels, sizes.pick(1, 3), norm=False)
    block = nn.Sequential(first, _norm(sizes, channels), activation)
    return block, (1, before, height, width)


def norm_of_tokens(sizes: Sizes) -> Sample:
    """Layer norm or RMS norm alone."""
    channels, tokens = sizes.channels(16, 1024), sizes.log_uniform(1, 400)
    layer = nn.LayerNorm(channels) if sizes.chance(0.6) else nn.RMSNorm(channels)
    return layer, (1, tokens, channels)


class _NormOfChannels(nn.Module):
    """Layer norm of each position of a map, written out (Liu et al., 2022)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels, 1, 1))
        self.shift = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The same shape as `x`, `(N, C, H, W)`."""
        centred = x - x.mean(1, keepdim=True)
        variance = (centred * centred).mean(1, keepdim=True)
        return centred * torch.rsqrt(variance + 1e-6) * self.scale + self.shift


def norm_of_channels(sizes: Sizes) -> Sample:
    """Layer norm over the channels of a map: written out, or on the permuted map; then a conv."""
    channels, after = sizes.channels(8, 320), sizes.channels(8, 320)
    kernel = sizes.pick(1, 2)
    height, width = sizes.light_image(4 * channels * after, high=112)
    if sizes.chance(0.5):
        first: nn.Module = _NormOfChannels(channels)
    else:
        norm = nn.LayerNorm(channels)
        first = Apply(lambda x: norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), norm)
    last = convolved(channels, after, kernel, stride=kernel, padded=False, norm=False)
    layers = [first, last] if sizes.chance(0.6) else [first]
    return nn.Sequential(*layers), (1, channels, height, width)


def batch_norm_alone(sizes: Sizes) -> Sample:
    """A batch norm that no convolution before it takes in: at the start, after a concat or pool."""
    channels, after = sizes.channels(8, 320), sizes.channels(8, 320)
    activation = sizes.activation()
    kernel = sizes.pick(1, 3)
    height, width = sizes.light_image(kernel**2 * channels * after, high=112)
    norm = nn.Sequential(nn.BatchNorm2d(channels), ACTIVATIONS[activation]())
    last = convolved(channels, after, kernel)
    form = sizes.pick(0, 1, 2)
    if form == 0:
        return nn.Sequential(norm, last), (1, channels, height, width)
    if form == 1:
        return nn.Sequential(nn.AvgPool2d(2), norm, last), (1, channels, 2 * height, 2 * width)
    part = max(1, channels // 3)
    join = Apply(lambda a, b: last(norm(torch.cat([a, b], 1))), norm, last)
    return join, (1, part, height, width), (1, channels - part, height, width)
