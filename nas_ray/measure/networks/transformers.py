"""Classifiers over tokens: attention, mixers, poolings in their place, and convolutions before."""

from collections.abc import Callable

import torch
from torch import nn

from nas_ray.measure.blocks import Residual
from nas_ray.measure.families.attention import Attention, heads_of
from nas_ray.measure.families.sample import Sample
from nas_ray.measure.families.tokens import mixer, perceptron, perceptron_activation, token_norm
from nas_ray.measure.layers import Apply, Scaled, convolved, flat_tokens, pointwise
from nas_ray.measure.networks import light_stages, stages
from nas_ray.measure.networks.classifiers import any_head
from nas_ray.measure.networks.stages import Stage
from nas_ray.measure.sizes import Sizes

_CLASSES = (2, 10, 35, 100, 1000)


def _layer(sizes: Sizes, channels: int, heads: int, inner: int, *, fused: bool) -> list[nn.Module]:
    attention = Attention(channels, heads, fused=fused)
    mixing = perceptron(channels, inner, channels, perceptron_activation(sizes))
    return [
        Residual(nn.Sequential(token_norm(sizes, channels), attention)),
        Residual(nn.Sequential(token_norm(sizes, channels), mixing)),
    ]


def _placed(channels: int, tokens: int) -> nn.Module:
    """Tokens with an encoding of their places added."""
    held = Scaled(1, tokens, channels)
    return Apply(lambda x: x + held.scale, held)


def _patches(sizes: Sizes, channels: int) -> tuple[list[nn.Module], int, tuple[int, ...]]:
    """Tokens of an image, how many, and the shape of the image."""
    step, colours = sizes.pick(4, 8, 16), sizes.pick(1, 3, 3)
    rows = sizes.log_uniform(3, 14)
    columns = sizes.log_uniform(3, 14) if sizes.chance(0.2) else rows
    patch = convolved(colours, channels, step, stride=step, padded=False, norm=False)
    return [patch, Apply(flat_tokens)], rows * columns, (1, colours, rows * step, columns * step)


def vision_transformer(sizes: Sizes) -> Sample:
    """Patches, two to six layers of attention, a classifier (Dosovitskiy et al., 2021)."""
    heads, channels = heads_of(sizes, 256)
    layers, tokens, image = _patches(sizes, channels)
    layers.append(_placed(channels, tokens))
    fused, inner = sizes.chance(0.5), channels * sizes.pick(2, 3, 4)
    for _ in range(sizes.pick(2, 3, 4, 6)):
        layers += _layer(sizes, channels, heads, inner, fused=fused)
    layers.append(token_norm(sizes, channels))
    first: Callable[[torch.Tensor], torch.Tensor] = (
        (lambda x: x[:, 0]) if sizes.chance(0.3) else (lambda x: x.mean(1))
    )
    head = nn.Linear(channels, sizes.pick(*_CLASSES))
    return nn.Sequential(*layers, Apply(first), head), image


def mlp_mixer(sizes: Sizes) -> Sample:
    """Patches and layers that mix tokens, then channels (Tolstikhin et al., 2021)."""
    channels = sizes.channels(16, 256)
    layers, tokens, image = _patches(sizes, channels)
    inner, wide = max(8, tokens // sizes.pick(1, 2)), channels * sizes.pick(2, 4)
    for _ in range(sizes.pick(2, 3, 4, 6)):
        layers.append(mixer(sizes, channels, tokens, inner))
        mixing = perceptron(channels, wide, channels, perceptron_activation(sizes))
        layers.append(Residual(nn.Sequential(token_norm(sizes, channels), mixing)))
    layers += [nn.LayerNorm(channels), Apply(lambda x: x.mean(1))]
    return nn.Sequential(*layers, nn.Linear(channels, sizes.pick(*_CLASSES))), image


def pool_former(sizes: Sizes) -> Sample:
    """Poolings where transformers have attention, on maps (Yu et al., 2022)."""
    channels, side = sizes.channels(16, 64), sizes.log_uniform(4, 24)
    layers: list[nn.Module] = [convolved(3, channels, 7, stride=4, norm=False)]
    for stage in range(sizes.pick(2, 3)):
        if stage:
            after = sizes.channels(channels, 2 * channels + 2)
            layers.append(convolved(channels, after, 3, stride=2, norm=False))
            channels = after
        for _ in range(sizes.pick(1, 2)):
            mixing = (pointwise(channels, 3 * channels, "gelu"), pointwise(3 * channels, channels))
            pool = nn.AvgPool2d(3, 1, 1, count_include_pad=False)
            layers.append(Residual(nn.Sequential(nn.GroupNorm(1, channels), pool)))
            layers.append(Residual(nn.Sequential(nn.GroupNorm(1, channels), *mixing)))
    head = any_head(sizes, channels)
    return nn.Sequential(*layers, *head), (1, 3, 4 * side, 4 * side)


class _OverMap(nn.Module):
    """Layers over tokens applied to the positions of a map `(N, C, H, W)`."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The same shape as `x`."""
        made: torch.Tensor = self.layers(flat_tokens(x))
        result: torch.Tensor = made.transpose(1, 2).unflatten(2, x.shape[2:])
        return result


def hybrid(sizes: Sizes) -> Sample:
    """Convolutional stages, then attention on the small map they leave (Mehta et al., 2022)."""
    side, width = 16 * sizes.log_uniform(2, 12), sizes.channels(8, 32)
    options: tuple[Stage, ...] = (
        *(stages.inverted, light_stages.extra_depthwise, light_stages.gated_bottlenecks),
        light_stages.partial,
    )
    stage = options[sizes.pick(*range(len(options)))]
    heads, channels = heads_of(sizes, 160)
    layers: list[nn.Module] = [convolved(3, width, 3, stride=2, activation=sizes.activation())]
    for _ in range(2):
        after = sizes.channels(width, 2 * width + 2)
        layers += stage(sizes, width, after, 2, sizes.pick(1, 2))
        width = after
    layers += stage(sizes, width, channels, 2, 1)
    fused, inner = sizes.chance(0.5), channels * sizes.pick(1, 2, 4)
    for _ in range(sizes.pick(1, 2)):
        layers.append(_OverMap(_layer(sizes, channels, heads, inner, fused=fused)))
    return nn.Sequential(*layers, *any_head(sizes, channels)), (1, 3, side, side)
