"""Signals: convolutions over time, and recurrent layers on short sequences."""

from collections.abc import Iterator
from functools import partial

import torch
from torch import nn
from torch.nn import functional

from .layers import Apply, Branches, Residual
from .specimen import Specimen, specimen, together


class LastState(nn.Module):
    """A recurrent layer over `(N, C, T)` and a classifier on its last output."""

    def __init__(self, recurrent: nn.RNNBase, width: int) -> None:
        super().__init__()
        self.recurrent, self.classifier = recurrent, nn.Linear(width, 12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, C, T)` to `(N, 12)`."""
        states, _ = self.recurrent(x.transpose(1, 2))
        y: torch.Tensor = self.classifier(states[:, -1])
        return y


class MinimalCell(nn.Module):
    """A gated cell written by hand and unrolled over the frames (Ravanelli et al., 2018)."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.inputs, self.states = nn.Linear(inputs, 2 * width), nn.Linear(width, 2 * width)
        self.classifier = nn.Linear(width, 12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, T, C)` to `(N, 12)`."""
        gate, state = self.inputs(x[:, 0]).chunk(2, -1)
        state = torch.tanh(state) * torch.sigmoid(gate)
        for step in range(1, x.shape[1]):
            gate, new = (self.inputs(x[:, step]) + self.states(state)).chunk(2, -1)
            gate = torch.sigmoid(gate)
            state = gate * state + (1 - gate) * torch.relu(new)
        y: torch.Tensor = self.classifier(state)
        return y


class Causal(nn.Module):
    """A dilated convolution over time that sees only the past (Bai et al., 2018)."""

    def __init__(self, channels: int, kernel: int, rate: int) -> None:
        super().__init__()
        self.past = (kernel - 1) * rate
        self.convolution = nn.Conv1d(channels, channels, kernel, dilation=rate)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, C, T)` to the same shape."""
        y: torch.Tensor = self.convolution(functional.pad(x, (self.past, 0)))
        return y


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm1d(outputs),
        nn.ReLU(),
    )


def _head(channels: int) -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(channels, 12))


def _causal(inputs: int, channels: int, kernel: int, layers: int) -> nn.Module:
    blocks = (
        Residual(nn.Sequential(Causal(channels, kernel, 2**n), nn.ReLU())) for n in range(layers)
    )
    return nn.Sequential(_conv(inputs, channels, 1), *blocks, _head(channels))


def _separable(inputs: int, channels: int, kernel: int, blocks: int) -> nn.Module:
    """Depthwise over time, pointwise, a residual (Kriman et al., 2020)."""

    def block() -> nn.Module:
        return Residual(
            nn.Sequential(
                _conv(channels, channels, kernel, groups=channels), _conv(channels, channels, 1)
            )
        )

    return nn.Sequential(
        _conv(inputs, channels, kernel, 2), *(block() for _ in range(blocks)), _head(channels)
    )


def _gated(channels: int, layers: int) -> nn.Module:
    """Tanh times sigmoid of dilated convolutions (van den Oord et al., 2016)."""
    blocks = []
    for n in range(layers):
        halves = [
            nn.Sequential(Causal(channels, 2, 2**n), nn.Tanh()),
            nn.Sequential(Causal(channels, 2, 2**n), nn.Sigmoid()),
        ]
        product = Branches(halves, lambda two: two[0] * two[1])
        blocks.append(Residual(nn.Sequential(product, nn.Conv1d(channels, channels, 1))))
    return nn.Sequential(nn.Conv1d(1, channels, 2), *blocks, nn.Conv1d(channels, 16, 1))


def _raw(channels: int) -> nn.Module:
    return nn.Sequential(
        *(nn.Conv1d(1, channels, 64, 16, padding=24), nn.BatchNorm1d(channels), nn.ReLU()),
        *(nn.MaxPool1d(4), _conv(channels, 2 * channels, 3), nn.AvgPool1d(2)),
        _head(2 * channels),
    )


def _temporal_residual(channels: int, kernel: int) -> nn.Module:
    """Frequencies as channels, 9x1 kernels over time (Choi et al., 2019)."""
    short = _conv(channels, 2 * channels, 1, 2)
    long = nn.Sequential(
        _conv(channels, 2 * channels, kernel, 2), _conv(2 * channels, 2 * channels, kernel)
    )
    summed = Branches([short, long], lambda two: torch.relu(two[0] + two[1]))
    return nn.Sequential(_conv(40, channels, 3), summed, _head(2 * channels))


def _recurrent(kind: str, inputs: int, width: int, layers: int, two_ways: bool) -> nn.Module:
    made: nn.RNNBase
    if kind == "GRU":
        made = nn.GRU(inputs, width, layers, batch_first=True, bidirectional=two_ways)
    else:
        made = nn.LSTM(inputs, width, layers, batch_first=True, bidirectional=two_ways)
    return LastState(made, width * (2 if two_ways else 1))


def _convolved_recurrent(channels: int, width: int) -> nn.Module:
    features = nn.Sequential(
        nn.Conv2d(1, channels, (9, 5), (4, 2), (4, 2)),
        nn.ReLU(),
        Apply(lambda x: x.permute(0, 1, 3, 2).flatten(1, 2)),
    )
    return nn.Sequential(features, _recurrent("GRU", 5 * channels, width, 1, False))


def _temporal() -> Iterator[Specimen]:
    for inputs, channels, kernel, layers, frames in ((40, 32, 3, 3, 98), (16, 48, 5, 4, 64)):
        what = f"causal, kernel {kernel}, rates to {2 ** (layers - 1)}, {channels} channels"
        build = partial(_causal, inputs, channels, kernel, layers)
        yield specimen("temporal", what, build, (1, inputs, frames))
    for inputs, channels, kernel, blocks, frames in ((64, 64, 11, 2, 98), (40, 36, 33, 1, 128)):
        what = f"depthwise separable, kernel {kernel}, {channels} channels"
        build = partial(_separable, inputs, channels, kernel, blocks)
        yield specimen("temporal", what, build, (1, inputs, frames))
    yield specimen("temporal", "gated, 24 channels", partial(_gated, 24, 4), (1, 1, 256))
    yield specimen("temporal", "raw sound, 32 channels", partial(_raw, 32), (1, 1, 4000))
    what = "residual, kernel 9, 24 channels"
    yield specimen("temporal", what, partial(_temporal_residual, 24, 9), (1, 40, 98))


def _recurrences() -> Iterator[Specimen]:
    for kind, inputs, width, layers, two_ways, frames in (
        ("GRU", 32, 64, 1, False, 8),
        ("GRU", 40, 48, 2, False, 6),
        ("LSTM", 16, 32, 1, False, 10),
        ("LSTM", 64, 128, 1, True, 4),
    ):
        ways = "both ways" if two_ways else "one way"
        what = f"{kind} of {width}, {layers} layers, {ways}"
        build = partial(_recurrent, kind, inputs, width, layers, two_ways)
        yield specimen("recurrent", what, build, (1, inputs, frames))
    yield specimen("recurrent", "cell by hand of 40", partial(MinimalCell, 20, 40), (1, 6, 20))
    what = "GRU of 32 after a convolution"
    yield specimen("recurrent", what, partial(_convolved_recurrent, 16, 32), (1, 1, 32, 10))


SPECIMENS = together(_temporal(), _recurrences())
