"""The networks of NAS-Bench-Macro (Su et al., 2021) as ordinary modules.

A network is eight digits for its layers: 0 identity, 1 inverted bottleneck of kernel 3 and
expansion 3, 2 one of kernel 5 and expansion 6. Stages have 2, 3 and 3 layers.
"""

from collections.abc import Sequence

import torch
from torch import nn

IDENTITY, SMALL, LARGE = range(3)
STAGES = (2, 3, 3)
_KERNEL_AND_EXPANSION = {SMALL: (3, 3), LARGE: (5, 6)}
_STEM, _HEAD = 32, 1280


def canonical(layers: Sequence[int]) -> tuple[int, ...]:
    """`layers` with the identities of each stage moved to its end: two equal ones are one network.

    The first layer of a stage stays where it is: it halves the image, as an identity too.
    """
    result: list[int] = []
    for count in STAGES:
        first, *others = layers[len(result) : len(result) + count]
        result += [first, *sorted(others, key=lambda layer: layer == IDENTITY)]
    return tuple(result)


def _convolution(
    before: int, after: int, kernel: int = 1, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    padding = kernel // 2
    conv = nn.Conv2d(before, after, kernel, stride, padding, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(after)]


class Bottleneck(nn.Module):
    """Inverted bottleneck with ReLU; a residual where input and result have the same shape."""

    def __init__(self, before: int, after: int, kernel: int, expansion: int, stride: int) -> None:
        super().__init__()
        wide = before * expansion
        self.is_residual = before == after and stride == 1
        self.layers = nn.Sequential(
            *_convolution(before, wide),
            nn.ReLU(inplace=True),
            *_convolution(wide, wide, kernel, stride, groups=wide),
            nn.ReLU(inplace=True),
            *_convolution(wide, after),
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """`(N, before, H, W)` to `(N, after, H / stride, W / stride)`."""
        result: torch.Tensor = self.layers(image)
        return image + result if self.is_residual else result


def network(layers: Sequence[int], *, classes: int = 10) -> nn.Sequential:
    """The network of eight `layers`, for 32x32 images."""
    channels, left = _STEM, iter(layers)
    modules: list[nn.Module] = [*_convolution(3, channels, 3), nn.ReLU(inplace=True)]
    for count in STAGES:
        for n in range(count):
            kind, stride = next(left), 2 if n == 0 else 1
            after = channels * stride
            if kind != IDENTITY:
                modules.append(Bottleneck(channels, after, *_KERNEL_AND_EXPANSION[kind], stride))
            elif stride == 2:
                modules += _convolution(channels, after, stride=2)
            channels = after
    modules += [*_convolution(channels, _HEAD), nn.ReLU(inplace=True)]
    modules += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(_HEAD, classes)]
    return nn.Sequential(*modules)
