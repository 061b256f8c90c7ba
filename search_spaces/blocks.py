"""Building blocks of convolutional networks: plain modules with plain numbers in them.

Shapes: images are `(N, C, H, W)`; a stride of 2 halves `H` and `W`, rounding up. Every convolution
is padded by half its kernel, has no bias and is followed by a batch norm, so that an accelerator
runs convolution, batch norm and activation as one operation.
"""

from torch import Tensor, nn

# A search judges networks after an epoch of a few dozen steps. With torch's 0.1 the running
# statistics lag so far behind the weights by then that every network is at chance on validation.
_MOMENTUM = 0.3


def convolution(
    in_channels: int, out_channels: int, *, kernel: int = 1, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Make a convolution with its batch norm and a ReLU6."""
    return nn.Sequential(
        *linear_convolution(
            in_channels, out_channels, kernel=kernel, stride=stride, groups=groups
        ).children(),
        nn.ReLU6(inplace=True),
    )


def linear_convolution(
    in_channels: int, out_channels: int, *, kernel: int = 1, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Make a convolution with its batch norm and no activation: the projection of a bottleneck."""
    return nn.Sequential(
        nn.Conv2d(
            in_channels,
            out_channels,
            kernel,
            stride=stride,
            padding=kernel // 2,
            groups=groups,
            bias=False,
        ),
        nn.BatchNorm2d(out_channels, momentum=_MOMENTUM),
    )


class InvertedBottleneck(nn.Module):
    """IBN (Sandler et al., 2018): 1x1 expansion, depthwise KxK, linear 1x1 projection.

    The input is added to the result where stride is 1 and the channel counts are equal.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel: int, expansion: int, stride: int
    ) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.expand = convolution(in_channels, hidden)
        self.depthwise = convolution(hidden, hidden, kernel=kernel, stride=stride, groups=hidden)
        self.project = linear_convolution(hidden, out_channels)
        self.has_residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """`(N, in_channels, H, W)` to `(N, out_channels, H / stride, W / stride)`."""
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.has_residual else y


class FusedInvertedBottleneck(nn.Module):
    """Fused IBN: one KxK convolution in the place of expansion and depthwise, then the projection.

    More arithmetic than an IBN of the same numbers, all of it in a form that a wide array of
    multipliers runs at full width (Gupta & Akin, 2020). Residual as in `InvertedBottleneck`.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel: int, expansion: int, stride: int
    ) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.expand = convolution(in_channels, hidden, kernel=kernel, stride=stride)
        self.project = linear_convolution(hidden, out_channels)
        self.has_residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """`(N, in_channels, H, W)` to `(N, out_channels, H / stride, W / stride)`."""
        y: Tensor = self.project(self.expand(x))
        return x + y if self.has_residual else y


BLOCKS: dict[str, type[InvertedBottleneck] | type[FusedInvertedBottleneck]] = {
    "ibn": InvertedBottleneck,
    "fused_ibn": FusedInvertedBottleneck,
}
"""What the option of a `block` choice stands for."""
