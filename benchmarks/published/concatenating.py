"""Networks that concatenate: SqueezeNet 1.1, ShuffleNetV2, DenseNet-121.

Iandola et al., 2016; Ma et al., 2018; Huang et al., 2017.
"""

import torch
from torch import nn

from .layers import convolution, head


class Fire(nn.Module):
    """Squeeze to few channels, expand by 1x1 and 3x3 side by side."""

    def __init__(self, channels: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.pointwise = nn.Conv2d(squeezed, expanded, 1)
        self.spatial = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, C, H, W)` to `(N, 2 * expanded, H, W)`."""
        x = torch.relu(self.squeeze(x))
        return torch.cat([torch.relu(self.pointwise(x)), torch.relu(self.spatial(x))], dim=1)


def squeezenet() -> nn.Module:
    """SqueezeNet 1.1."""

    def pool() -> nn.Module:
        return nn.MaxPool2d(3, 2, ceil_mode=True)

    return nn.Sequential(
        *(nn.Conv2d(3, 64, 3, 2), nn.ReLU(inplace=True), pool()),
        *(Fire(64, 16, 64), Fire(128, 16, 64), pool()),
        *(Fire(128, 32, 128), Fire(256, 32, 128), pool()),
        *(Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256)),
        *(nn.Dropout(), nn.Conv2d(512, 1000, 1), nn.ReLU(inplace=True)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    )


class Shuffle(nn.Module):
    """Unit of ShuffleNetV2: half the channels pass by, then both halves are interleaved.

    With stride 2 both branches see all channels.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        half = channels_out // 2
        self.splits = stride == 1
        inputs = half if self.splits else channels_in
        self.branch = nn.Sequential(
            convolution(inputs, half),
            convolution(half, half, 3, stride, groups=half, activation=None),
            convolution(half, half),
        )
        self.aside = nn.Sequential()
        if not self.splits:
            self.aside.append(convolution(inputs, inputs, 3, stride, inputs, activation=None))
            self.aside.append(convolution(inputs, half))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, C, H, W)` to `(N, C', H/s, W/s)`."""
        left, right = x.chunk(2, dim=1) if self.splits else (x, x)
        x = torch.cat([self.aside(left), self.branch(right)], dim=1)
        batch, channels, height, width = x.shape
        x = x.view(batch, 2, channels // 2, height, width).transpose(1, 2)
        return x.reshape(batch, channels, height, width)


def shufflenet_v2() -> nn.Module:
    """ShuffleNetV2 at width 1."""
    channels = 24
    layers: list[nn.Module] = [convolution(3, channels, 3, 2), nn.MaxPool2d(3, 2, padding=1)]
    for outputs, repeats in ((116, 4), (232, 8), (464, 4)):
        for n in range(repeats):
            layers.append(Shuffle(channels, outputs, 2 if n == 0 else 1))
            channels = outputs
    return nn.Sequential(*layers, convolution(channels, 1024), head(1024))


class Dense(nn.Module):
    """Layers that each read all before them (batch norm first)."""

    def __init__(self, channels: int, layers: int, growth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm2d(channels + n * growth),
                nn.ReLU(inplace=True),
                convolution(channels + n * growth, 4 * growth),
                nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False),
            )
            for n in range(layers)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, C, H, W)` to `(N, C + layers * growth, H, W)`."""
        maps = [x]
        for layer in self.layers:
            maps.append(layer(torch.cat(maps, dim=1)))
        return torch.cat(maps, dim=1)


def densenet121() -> nn.Module:
    """6, 12, 24 and 16 layers of growth 32; transitions halve channels and image."""
    channels = 64
    layers: list[nn.Module] = [convolution(3, channels, 7, 2), nn.MaxPool2d(3, 2, padding=1)]
    for repeats in (6, 12, 24, 16):
        layers.append(Dense(channels, repeats, 32))
        channels += 32 * repeats
        layers += [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
        if repeats != 16:
            layers += [nn.Conv2d(channels, channels // 2, 1, bias=False), nn.AvgPool2d(2)]
            channels //= 2
    return nn.Sequential(*layers, head(channels))
