"""Layers over tokens `(1, T, C)`: linear layers, MLPs, mixers and blocks that permute an image."""

from itertools import pairwise

import torch
from torch import nn

from nas_ray.measure.blocks import ACTIVATIONS, Residual
from nas_ray.measure.families.sample import Sample
from nas_ray.measure.layers import Apply, Gated, Permuted, Scaled, convolved, flat_tokens
from nas_ray.measure.sizes import Sizes

#: The widest layer of an MLP here; larger ones are seldom run on small devices.
_WIDEST = 2048


def perceptron(channels: int, inner: int, after: int, activation: str) -> nn.Sequential:
    """Two linear layers and an activation between them."""
    first, last = nn.Linear(channels, inner), nn.Linear(inner, after)
    return nn.Sequential(first, ACTIVATIONS[activation](), last)


def token_norm(sizes: Sizes, channels: int) -> nn.Module:
    """Layer norm, now and then RMS norm."""
    return nn.RMSNorm(channels) if sizes.chance(0.15) else nn.LayerNorm(channels)


def perceptron_activation(sizes: Sizes) -> str:
    """What stands inside an MLP: mostly GELU."""
    return sizes.name("gelu", "gelu", "gelu", "relu", "relu", "silu", "hardswish")


def linear(sizes: Sizes) -> Sample:
    """One linear layer over tokens, activated or not."""
    channels, after = sizes.channels(16, 1024), sizes.channels(16, 1024)
    tokens = sizes.light_length(channels * after)
    layers: list[nn.Module] = [nn.Linear(channels, after, bias=sizes.chance(0.8))]
    if sizes.chance(0.6):
        layers.append(ACTIVATIONS[sizes.any_activation()]())
    return nn.Sequential(*layers), (1, tokens, channels)


def vector_perceptron(sizes: Sizes) -> Sample:
    """Linear layers on one vector, as sensors and the ends of classifiers have them."""
    widths = [sizes.channels(8, 1024) for _ in range(sizes.pick(2, 3, 4))]
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), ACTIVATIONS[sizes.any_activation()]()]
    return nn.Sequential(*layers), (1, widths[0])


def token_perceptron(sizes: Sizes) -> Sample:
    """The MLP of a transformer: norm, two linear layers, a residual."""
    channels = sizes.channels(16, 512)
    inner = min(_WIDEST, channels * sizes.pick(1, 2, 3, 4))
    tokens = sizes.light_length(2 * channels * inner)
    layers: list[nn.Module] = [token_norm(sizes, channels)] if sizes.chance(0.7) else []
    layers.append(perceptron(channels, inner, channels, perceptron_activation(sizes)))
    layers += [Scaled(channels)] if sizes.chance(0.2) else []
    block = nn.Sequential(*layers)
    return Residual(block) if sizes.chance(0.75) else block, (1, tokens, channels)


def gated_perceptron(sizes: Sizes) -> Sample:
    """An MLP of which one half gates the other (Shazeer, 2020)."""
    channels = sizes.channels(16, 384)
    inner = min(_WIDEST, channels * sizes.pick(1, 2, 3))
    tokens = sizes.light_length(3 * channels * inner)
    activation = ACTIVATIONS[sizes.name("silu", "gelu", "sigmoid")]()
    weigh = nn.Sequential(nn.Linear(channels, inner), activation)
    product = Gated(weigh, nn.Linear(channels, inner))
    block = nn.Sequential(token_norm(sizes, channels), product, nn.Linear(inner, channels))
    return Residual(block) if sizes.chance(0.6) else block, (1, tokens, channels)


def mixer(sizes: Sizes, channels: int, tokens: int, inner: int) -> nn.Module:
    """Tokens mixed by an MLP along them (Tolstikhin et al., 2021)."""
    mixing = perceptron(tokens, inner, tokens, perceptron_activation(sizes))
    return Residual(nn.Sequential(token_norm(sizes, channels), Permuted(mixing, (0, 2, 1))))


def token_mixer(sizes: Sizes) -> Sample:
    """One mixing step over the tokens."""
    channels, tokens = sizes.channels(16, 512), sizes.log_uniform(4, 256)
    inner = max(8, min(512, tokens * sizes.pick(1, 2, 4) // 2))
    return mixer(sizes, channels, tokens, inner), (1, tokens, channels)


def patch_tokens(sizes: Sizes) -> Sample:
    """A patch convolution whose map becomes tokens, then a norm, a linear layer or both."""
    step = sizes.pick(2, 4, 8, 16)
    channels = 3 if step > 2 or sizes.chance(0.5) else sizes.channels(8, 128)
    after, side = sizes.channels(16, 256), sizes.log_uniform(2, 16)
    layers: list[nn.Module] = [
        convolved(channels, after, step, stride=step, padded=False, norm=sizes.chance(0.3)),
        Apply(flat_tokens),
    ]
    if sizes.chance(0.4):
        layers.append(token_norm(sizes, after))
    layers.append(nn.Linear(after, sizes.channels(16, 384)))
    return nn.Sequential(*layers), (1, channels, step * side, step * side)


def token_head(sizes: Sizes) -> Sample:
    """A classifier over tokens: their mean, or the first of them, and a linear layer."""
    channels, tokens = sizes.channels(16, 768), sizes.log_uniform(2, 400)
    classes = sizes.pick(2, 10, 12, 35, 100, 1000)
    first = Apply(lambda x: x[:, 0]) if sizes.chance(0.4) else Apply(lambda x: x.mean(1))
    return nn.Sequential(
        *([token_norm(sizes, channels)] if sizes.chance(0.6) else []),
        *(first, nn.Linear(channels, classes)),
    ), (1, tokens, channels)


def next_block(sizes: Sizes, channels: int, kernel: int, expansion: int) -> nn.Module:
    """Depthwise, then norm and MLP on the permuted map (Liu et al., 2022)."""
    inner = channels * expansion
    by_channel = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels)
    mixing = perceptron(channels, inner, channels, perceptron_activation(sizes))
    last: list[nn.Module] = [Scaled(channels)] if sizes.chance(0.5) else []
    inside = nn.Sequential(nn.LayerNorm(channels), mixing, *last)
    return Residual(nn.Sequential(by_channel, Permuted(inside, (0, 2, 3, 1))))


def permuted_block(sizes: Sizes) -> Sample:
    """A block whose MLP reads the channels last."""
    channels, kernel = sizes.channels(8, 256), sizes.pick(3, 5, 7, 7, 7, 9, 11)
    expansion = sizes.pick(2, 3, 4)
    height, width = sizes.light_image(2 * expansion * channels**2, high=64)
    return next_block(sizes, channels, kernel, expansion), (1, channels, height, width)


def map_of_tokens(sizes: Sizes) -> Sample:
    """Tokens back as a map: a linear layer, a fold into an image, a convolution."""
    channels, after = sizes.channels(16, 256), sizes.channels(16, 192)
    height, width = sizes.light_image(channels * after + 9 * after, low=2, high=32)

    def folded(x: torch.Tensor) -> torch.Tensor:
        rows: torch.Tensor = x.transpose(1, 2).unflatten(2, (height, width))
        return rows

    layers: list[nn.Module] = [nn.Linear(channels, after), Apply(folded)]
    if sizes.chance(0.6):
        layers.append(convolved(after, after, 3, groups=after, activation=sizes.activation()))
    else:
        layers.append(convolved(after, sizes.channels(8, 128), 1))
    return nn.Sequential(*layers), (1, height * width, channels)
