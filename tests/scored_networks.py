"""Networks of every kind that a zero-shot score has to work on."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name


class Residual(nn.Module):
    """A skip connection around a block, which takes part of the gradient."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x)


class Functional(nn.Module):
    """Calls without modules, in place and random even in eval mode; two outputs in a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(12, 16), nn.Linear(16, 4)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        self.calls += 1
        x = F.relu_(self.first(x.flatten(1)))
        x = F.dropout(x, 0.5, training=True)
        return {"logits": self.second(x), "features": x}


def relu() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Dropout(0.5),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
    )  # fmt: skip


def relu6_ibn() -> nn.Module:
    ibn = nn.Sequential(
        nn.Conv2d(8, 16, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6(),
        nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False), nn.BatchNorm2d(16), nn.ReLU6(),
        nn.Conv2d(16, 8, 1, bias=False), nn.BatchNorm2d(8),
    )  # fmt: skip
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), Residual(ibn), nn.Flatten(), nn.Linear(72, 4)
    )


def hardswish() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.Hardswish(), nn.Conv2d(8, 4, 1), nn.Hardsigmoid()
    )


def silu_1d() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(3, 8, 5, stride=2), nn.BatchNorm1d(8), nn.SiLU(), Residual(nn.Conv1d(8, 8, 1))
    )


def gelu_attention() -> nn.Module:
    """Tokens `(N, tokens, width)` with a position added, attention, a perceptron."""
    return nn.Sequential(Attention(), nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 4))


class Attention(nn.Module):
    """A library call in whose inside nothing can be watched, and calls that can be."""

    def __init__(self) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.randn(5, 8))
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.position
        return x + self.attention(x, x, x, need_weights=False)[0]


class Shuffled(nn.Module):
    """Channels shuffled by `view`, which only contiguous images allow."""

    def forward(self, x: Tensor) -> Tensor:
        n, channels, height, width = x.shape
        groups = x.view(n, 2, channels // 2, height, width)
        return groups.transpose(1, 2).contiguous().view_as(x)


def shuffle() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), Shuffled(), nn.Conv2d(8, 8, 3, groups=2), nn.ReLU()
    )


#: A network and the shape of one of its samples.
NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "relu": (relu, (3, 8, 8)),
    "relu6_ibn": (relu6_ibn, (3, 8, 8)),
    "hardswish": (hardswish, (3, 8, 8)),
    "silu_1d": (silu_1d, (3, 32)),
    "functional": (Functional, (12,)),
    "gelu_attention": (gelu_attention, (5, 8)),
    "shuffle": (shuffle, (3, 8, 8)),
}
