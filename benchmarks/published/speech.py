"""Keyword spotting and speech: DS-CNN, a network on raw sound, and one with a recurrent layer."""

import torch
from torch import nn

from .layers import head


def ds_cnn() -> nn.Module:
    """DS-CNN of MLPerf Tiny on 49 frames of 10 coefficients (Zhang et al., 2017)."""
    layers = _biased(1, 64, (10, 4), 2, (5, 1), 1)
    for _ in range(4):
        layers += [*_biased(64, 64, (3, 3), 1, (1, 1), 64), *_biased(64, 64, (1, 1), 1, (0, 0), 1)]
    return nn.Sequential(*layers, nn.Dropout(0.4), head(64, 12))


def m5() -> nn.Module:
    """M5 on one second of sound at 8 kHz (Dai et al., 2017, table 1)."""
    layers: list[nn.Module] = []
    for inputs, outputs, kernel, stride in (
        (1, 128, 80, 4),
        (128, 128, 3, 1),
        (128, 256, 3, 1),
        (256, 512, 3, 1),
    ):
        layers += [
            nn.Conv1d(inputs, outputs, kernel, stride, padding=1 if kernel == 3 else 38),
            nn.BatchNorm1d(outputs),
            nn.ReLU(),
            nn.MaxPool1d(4),
        ]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(512, 10))


class ConvolutionalRecurrent(nn.Module):
    """Two convolutions over time, a GRU and a classifier on its last state."""

    def __init__(self, classes: int = 12) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv1d(40, 64, 5, 2, padding=2), nn.BatchNorm1d(64), nn.ReLU()),
            *(nn.Conv1d(64, 96, 5, 2, padding=2), nn.BatchNorm1d(96), nn.ReLU()),
        )
        self.recurrent = nn.GRU(96, 128, batch_first=True)
        self.classifier = nn.Linear(128, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, 40, frames)` to `(N, classes)`."""
        states, _ = self.recurrent(self.features(x).transpose(1, 2))
        y: torch.Tensor = self.classifier(states[:, -1])
        return y


def conv_gru() -> nn.Module:
    """Twelve words."""
    return ConvolutionalRecurrent()


def _biased(
    inputs: int,
    outputs: int,
    kernel: tuple[int, int],
    stride: int,
    padding: tuple[int, int],
    groups: int,
) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]
