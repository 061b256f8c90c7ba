"""Softmax and means over each of the axes."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import nn

from .layers import Apply, conv, gated, head, tokens
from .specimen import Specimen, specimen, together

Function = Callable[[torch.Tensor], torch.Tensor]

#: Where a softmax runs, on how many channels of a map of which side.
_SOFTMAXES: tuple[tuple[str, Function, int, int], ...] = (
    ("over 21 channels", lambda x: x.softmax(1), 21, 64),
    ("over 64 channels", lambda x: x.softmax(1), 64, 32),
    ("over columns, 16 channels", lambda x: x.softmax(-1), 16, 64),
    ("over positions, 8 channels", lambda x: x.flatten(2).softmax(-1), 8, 64),
    ("over 2 channels", lambda x: x.softmax(1), 2, 128),
    ("log, over 12 channels", lambda x: x.log_softmax(1), 12, 48),
)
#: What is averaged, and how many channels of a map of which height and width.
_MEANS: tuple[tuple[str, Function, int, int, int], ...] = (
    ("height and width", lambda x: x.mean((2, 3)), 96, 1, 1),
    ("height and width", lambda x: x.mean((2, 3)), 256, 7, 7),
    ("height and width", lambda x: x.mean((2, 3), keepdim=True).flatten(1), 64, 32, 32),
    ("height and width", lambda x: x.mean((2, 3)), 32, 64, 64),
    ("height and width", lambda x: x.mean((2, 3)), 20, 48, 80),
    ("height", lambda x: x.mean(2, keepdim=True).amax((2, 3)), 48, 40, 64),
    ("width", lambda x: x.mean(3, keepdim=True).amax((2, 3)), 32, 64, 64),
    ("width, dropped, then height", lambda x: x.mean(3).mean(2), 64, 24, 24),
    ("channels", lambda x: (x * x.mean(1, keepdim=True)).mean((2, 3)), 64, 32, 32),
    ("channels, largest", lambda x: (x * x.amax(1, keepdim=True)).mean((2, 3)), 40, 48, 48),
    ("everything, in sums", lambda x: x.sum((2, 3)), 56, 16, 16),
)


def _softmax(function: Function, channels: int) -> nn.Module:
    return nn.Sequential(conv(3, 32, 3, 2), nn.Conv2d(32, channels, 1), Apply(function))


def _weighted(channels: int) -> nn.Module:
    """A map of weights that sum to 1 over the positions, as in attention pooling."""
    weights = nn.Sequential(
        nn.Conv2d(channels, 1, 1), Apply(lambda x: x.flatten(2).softmax(-1).view_as(x))
    )
    return nn.Sequential(conv(3, channels, 3, 4), gated(weights), head(channels))


def _over_tokens(width: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, width, 8, 8), Apply(tokens), nn.Linear(width, width), nn.Softmax(dim=1)
    )


def _mean(function: Function, channels: int) -> nn.Module:
    return nn.Sequential(conv(16, channels, 3), Apply(function), nn.Linear(channels, 10))


def _softmaxes() -> Iterator[Specimen]:
    for what, function, channels, side in _SOFTMAXES:
        yield specimen("softmax", what, partial(_softmax, function, channels), (1, 3, side, side))
    yield specimen("softmax", "over positions, as weights", partial(_weighted, 48), (1, 3, 96, 96))
    yield specimen("softmax", "over tokens, 64 features", partial(_over_tokens, 64), (1, 3, 96, 96))


def _means() -> Iterator[Specimen]:
    for what, function, channels, height, width in _MEANS:
        build = partial(_mean, function, channels)
        yield specimen("mean", f"over {what}, {channels} channels", build, (1, 16, height, width))


SPECIMENS = together(_softmaxes(), _means())
