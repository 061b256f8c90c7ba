"""Networks with several outputs and with several inputs."""

from collections.abc import Iterator
from functools import partial

import torch
from torch import nn

from .layers import conv, depthwise, head
from .specimen import Specimen, specimen, together


class Exits(nn.Module):
    """A classifier after each stage."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            (conv(3, width, 3, 2), conv(width, 2 * width, 3, 2), conv(2 * width, 4 * width, 3, 2))
        )
        self.heads = nn.ModuleList(head(width * 2**n) for n in range(3))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """`(N, 3, H, W)` to three times `(N, 10)`."""
        found = []
        for stage, classify in zip(self.stages, self.heads, strict=True):
            x = stage(x)
            found.append(classify(x))
        return found


class Tasks(nn.Module):
    """One map for segmentation, one vector for classification, one for regression."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(3, width, 3, 2), depthwise(width), conv(width, 2 * width, 1))
        self.map = nn.Conv2d(2 * width, 5, 1)
        self.classes, self.numbers = head(2 * width), nn.Sequential(head(2 * width, 4), nn.Tanh())

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """`(N, 3, H, W)` to three results by name."""
        x = self.body(x)
        return {"map": self.map(x), "classes": self.classes(x), "numbers": self.numbers(x)}


class Twins(nn.Module):
    """Two images through the same layers; what is compared is the difference."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(3, width, 3, 2), conv(width, 2 * width, 3, 2))
        self.classifier = head(2 * width, 2)

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """Twice `(N, 3, H, W)` to `(N, 2)`."""
        y: torch.Tensor = self.classifier(self.body(left) - self.body(right))
        return y


class Depth(nn.Module):
    """A colour and a depth image, each with its stem, concatenated."""

    def __init__(self, colour: int, depth: int) -> None:
        super().__init__()
        self.colour, self.depth = conv(3, colour, 3, 2), conv(1, depth, 3, 2)
        self.body = nn.Sequential(conv(colour + depth, 48, 3, 2), conv(48, 48), head(48))

    def forward(self, colour: torch.Tensor, depth: torch.Tensor) -> torch.Tensor:
        """`(N, 3, H, W)` and `(N, 1, H, W)` to `(N, 10)`."""
        y: torch.Tensor = self.body(torch.cat([self.colour(colour), self.depth(depth)], 1))
        return y


class Conditioned(nn.Module):
    """An image whose channels are scaled and shifted by a vector (Perez et al., 2018)."""

    def __init__(self, channels: int, numbers: int) -> None:
        super().__init__()
        self.stem, self.condition = conv(3, channels, 3, 2), nn.Linear(numbers, 2 * channels)
        self.body = nn.Sequential(conv(channels, channels), head(channels))

    def forward(self, image: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        """`(N, 3, H, W)` and `(N, numbers)` to `(N, 10)`."""
        scale, shift = self.condition(numbers)[:, :, None, None].chunk(2, 1)
        y: torch.Tensor = self.body(self.stem(image) * scale + shift)
        return y


class Late(nn.Module):
    """A vector joins the image's features before the classifier."""

    def __init__(self, channels: int, numbers: int) -> None:
        super().__init__()
        self.features = nn.Sequential(conv(3, channels, 3, 2), head(channels, 32), nn.ReLU())
        self.classifier = nn.Sequential(nn.Linear(32 + numbers, 64), nn.ReLU(), nn.Linear(64, 3))

    def forward(self, image: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        """`(N, 3, H, W)` and `(N, numbers)` to `(N, 3)`."""
        y: torch.Tensor = self.classifier(torch.cat([self.features(image), numbers], 1))
        return y


def _outputs() -> Iterator[Specimen]:
    for width, side in ((16, 64), (20, 96)):
        yield specimen(
            "several outputs", f"exits, {width} channels", partial(Exits, width), (1, 3, side, side)
        )
    for width, side in ((24, 64), (32, 96)):
        yield specimen(
            "several outputs", f"tasks, {width} channels", partial(Tasks, width), (1, 3, side, side)
        )


def _inputs() -> Iterator[Specimen]:
    image = (1, 3, 64, 64)
    yield specimen("several inputs", "twins", partial(Twins, 24), image, image)
    yield specimen(
        "several inputs", "colour and depth", partial(Depth, 24, 8), image, (1, 1, 64, 64)
    )
    yield specimen(
        "several inputs", "scaled by a vector", partial(Conditioned, 32, 8), image, (1, 8)
    )
    yield specimen("several inputs", "vector joins late", partial(Late, 32, 6), image, (1, 6))


SPECIMENS = together(_outputs(), _inputs())
