"""Small random networks that mix everything convolutional networks are made of."""

import random

import torch
from torch import nn

KINDS = (
    *("conv", "conv", "pointwise", "depthwise", "depthwise", "grouped", "pool", "average"),
    *("add", "add", "concat", "gate", "shuffle", "upsample", "activation"),
)
ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.Hardswish, nn.SiLU, nn.Identity)


class Gate(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scale = self.up(torch.relu(self.down(x.mean((2, 3), keepdim=True))))
        return x * torch.sigmoid(scale)


class RandomNetwork(nn.Module):
    """Reads 3 x 32 x 32 images; `prefix` begins the names of its layers and changes nothing else.

    Each step reads the latest map or, one time in five, an earlier one; an addition reads any
    earlier map of the same shape too, so that skips have all lengths.
    """

    def __init__(self, seed: int, prefix: str = "step") -> None:
        super().__init__()
        self.prefix = prefix
        rng = random.Random(seed)
        channels, sides = [8 * rng.randint(1, 4)], [16]
        self.stem = nn.Conv2d(3, channels[0], 3, stride=2, padding=1)
        self.steps: list[tuple[str, tuple[int, ...]]] = []
        for n in range(rng.randint(3, 24)):
            sources = (len(sides) - 1 if rng.random() < 0.8 else rng.randrange(len(sides)),)
            width, side = channels[sources[0]], sides[sources[0]]
            kind = rng.choice(KINDS)
            if side == 1 and kind in {"pool", "average"}:
                kind = "activation"
            layer, after = self._layer(rng, kind, width)
            if kind in {"add", "concat"}:
                fits = [i for i, s in enumerate(sides) if s == side and channels[i] == width]
                sources = (sources[0], rng.choice(fits))
                after = width * len(sources) if kind == "concat" else width
            self.add_module(f"{prefix}{n}", layer)
            self.steps.append((kind, sources))
            channels.append(after)
            halves, doubles = kind in {"pool", "average"}, kind == "upsample" and side < 32
            sides.append(side // 2 if halves else side * 2 if doubles else side)
        self.head = nn.Linear(channels[-1], 10)

    def _layer(self, rng: random.Random, kind: str, width: int) -> tuple[nn.Module, int]:
        after = 8 * rng.randint(1, 6) if kind in {"conv", "pointwise"} else width
        groups = {"depthwise": width, "grouped": 4}.get(kind, 1)
        kernel = 1 if kind == "pointwise" else rng.choice((3, 5))
        activation = rng.choice(ACTIVATIONS)()
        convolution = nn.Sequential(
            nn.Conv2d(width, after, kernel, padding=kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(after),
            activation,
        )
        layers = {
            "pool": nn.MaxPool2d(3, 2, padding=1),
            "average": nn.AvgPool2d(2),
            "gate": Gate(width),
            "shuffle": nn.ChannelShuffle(4),
            "activation": activation,
        }
        if kind in {"conv", "pointwise", "depthwise", "grouped"}:
            return convolution, after
        return layers.get(kind, nn.Identity()), after

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = [self.stem(x)]
        for n, (kind, sources) in enumerate(self.steps):
            found = [maps[i] for i in sources]
            if kind == "add":
                y = found[0] + found[1]
            elif kind == "concat":
                y = torch.cat(found, dim=1)
            elif kind == "upsample" and found[0].shape[-1] < 32:
                y = nn.functional.interpolate(found[0], scale_factor=2)
            else:
                y = getattr(self, f"{self.prefix}{n}")(found[0])
            maps.append(y)
        return self.head(maps[-1].mean((2, 3)))
