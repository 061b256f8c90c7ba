"""Norms other than a folded batch norm, and every activation."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import nn

from .layers import Apply, Branches, Residual, conv, depthwise, head, tokens
from .specimen import Specimen, specimen, together

Module = Callable[[], nn.Module]


class OverChannels(nn.Module):
    """Layer norm of each position, as ConvNeXt has it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, C, H, W)` to the same shape."""
        y: torch.Tensor = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return y


class ByHand(nn.Module):
    """Layer norm over channels from means, without moving any axis (Ma et al., 2022)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, C, H, W)` to the same shape."""
        centred = x - x.mean(1, keepdim=True)
        spread = (centred * centred).mean(1, keepdim=True)
        return centred / torch.sqrt(spread + 1e-6) * self.weight + self.bias


#: Norm of a map by name, channels, side.
_NORMS: tuple[tuple[str, Module, int, int], ...] = (
    ("layer norm over 32 channels", partial(OverChannels, 32), 32, 64),
    ("layer norm over 96 channels", partial(OverChannels, 96), 96, 48),
    ("layer norm by hand over 40 channels", partial(ByHand, 40), 40, 64),
    ("layer norm over the map", partial(nn.LayerNorm, [24, 24, 24]), 24, 48),
    ("group norm, 8 groups of 64", partial(nn.GroupNorm, 8, 64), 64, 64),
    ("group norm, 1 group of 48", partial(nn.GroupNorm, 1, 48), 48, 48),
    ("instance norm of 32", partial(nn.InstanceNorm2d, 32), 32, 96),
    ("instance norm of 20, affine", partial(nn.InstanceNorm2d, 20, affine=True), 20, 64),
)
_ON_TOKENS: tuple[tuple[str, Module, int, int], ...] = (
    ("layer norm of 64 on tokens", partial(nn.LayerNorm, 64), 64, 64),
    ("layer norm of 192 on tokens", partial(nn.LayerNorm, 192), 192, 112),
    ("RMS norm of 96 on tokens", partial(nn.RMSNorm, 96), 96, 96),
)
#: Activation by name, channels, side.
_ACTIVATIONS: tuple[tuple[str, Module, int, int], ...] = (
    ("ReLU", nn.ReLU, 24, 96),
    ("ReLU6", nn.ReLU6, 36, 64),
    ("SiLU", nn.SiLU, 32, 64),
    ("SiLU", nn.SiLU, 20, 128),
    ("hard-swish", nn.Hardswish, 32, 64),
    ("hard-sigmoid", nn.Hardsigmoid, 24, 64),
    ("sigmoid", nn.Sigmoid, 40, 48),
    ("tanh", nn.Tanh, 32, 80),
    ("GELU", nn.GELU, 32, 64),
    ("GELU with tanh", partial(nn.GELU, approximate="tanh"), 48, 64),
    ("ELU", nn.ELU, 32, 64),
    ("leaky ReLU", partial(nn.LeakyReLU, 0.1), 32, 96),
    ("PReLU", nn.PReLU, 28, 64),
    ("Mish", nn.Mish, 32, 64),
    ("softplus", nn.Softplus, 16, 64),
    ("PReLU of each channel", partial(nn.PReLU, 32), 32, 48),
    ("SELU", nn.SELU, 24, 48),
    ("exponential", partial(Apply, torch.exp), 16, 48),
)


def _normed(norm: Module, channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, channels, 3, 2, 1),
        norm(),
        nn.ReLU(),
        nn.Conv2d(channels, channels, 3, padding=1),
        norm(),
        nn.ReLU(),
        head(channels),
    )


def _normed_tokens(norm: Module, width: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, width, 8, 8),
        Apply(tokens),
        norm(),
        nn.Linear(width, width),
        norm(),
        nn.Linear(width, width),
    )


def _activated(activation: Module, channels: int) -> nn.Module:
    """After a convolution, between two convolutions, and on a sum."""
    body = nn.Sequential(
        depthwise(channels, activation=activation), conv(channels, channels, 1, activation=None)
    )
    return nn.Sequential(
        conv(3, channels, 3, 2, activation=activation),
        Residual(body, activation()),
        conv(channels, channels, 3, 2, activation=activation),
        head(channels),
    )


def _before(channels: int) -> nn.Module:
    """Pre-activation: norm and ReLU come before each convolution (He et al., 2016)."""

    def one() -> list[nn.Module]:
        convolution = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        return [nn.BatchNorm2d(channels), nn.ReLU(), convolution]

    blocks = (Residual(nn.Sequential(*one(), *one())) for _ in range(2))
    last = (nn.BatchNorm2d(channels), nn.ReLU(), head(channels))
    return nn.Sequential(nn.Conv2d(3, channels, 3, 2, 1, bias=False), *blocks, *last)


def _after_concatenation(channels: int, count: int) -> nn.Module:
    branches = [nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(count)]
    wide = count * channels
    return nn.Sequential(
        *(conv(3, channels, 3, 2), Branches(branches), nn.BatchNorm2d(wide), nn.ReLU()),
        head(wide),
    )


def _norms() -> Iterator[Specimen]:
    for what, norm, channels, side in _NORMS:
        yield specimen("norm", what, partial(_normed, norm, channels), (1, 3, side, side))
    for what, norm, width, side in _ON_TOKENS:
        yield specimen("norm", what, partial(_normed_tokens, norm, width), (1, 3, side, side))
    for channels, side in ((32, 64), (20, 96)):
        what = f"before convolutions of {channels} channels"
        yield specimen("batch norm", what, partial(_before, channels), (1, 3, side, side))
    for channels, count, side in ((16, 2, 64), (24, 4, 48)):
        what = f"after a concatenation of {count} times {channels} channels"
        build = partial(_after_concatenation, channels, count)
        yield specimen("batch norm", what, build, (1, 3, side, side))
    what = "first of all, on the image"
    yield specimen("batch norm", what, _on_the_image, (1, 3, 64, 96))


def _on_the_image() -> nn.Module:
    return nn.Sequential(nn.BatchNorm2d(3), conv(3, 32, 3, 2), conv(32, 32), head(32))


def _activations() -> Iterator[Specimen]:
    for what, activation, channels, side in _ACTIVATIONS:
        build = partial(_activated, activation, channels)
        yield specimen("activation", f"{what}, {channels} channels", build, (1, 3, side, side))


SPECIMENS = together(_norms(), _activations())
