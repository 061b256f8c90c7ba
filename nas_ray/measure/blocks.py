"""The blocks that measured subgraphs are sampled from, as plain torch modules.

They exist to be traced, not trained: only their shapes matter. `activation` is a name of
`ACTIVATIONS`, the empty name stands for none.
"""

import torch
from torch import nn

ACTIVATIONS = {
    "": nn.Identity,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "hardswish": nn.Hardswish,
    "hardsigmoid": nn.Hardsigmoid,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "elu": nn.ELU,
    "leaky_relu": nn.LeakyReLU,
    "prelu": nn.PReLU,
    "mish": nn.Mish,
    "softplus": nn.Softplus,
}


class Residual(nn.Module):
    """`x + branch(x)`, or `shortcut(x) + branch(x)`, and an activation on the sum."""

    def __init__(
        self, branch: nn.Module, shortcut: nn.Module | None = None, activation: str = ""
    ) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut or nn.Identity()
        self.activation = ACTIVATIONS[activation]()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The sum; `x` is `(N, C, H, W)`."""
        result: torch.Tensor = self.activation(self.shortcut(x) + self.branch(x))
        return result


class Gate(nn.Module):
    """Squeeze-and-excitation (Hu et al., 2018): channels scaled by a function of their means."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.weigh = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, squeezed, 1),
            nn.ReLU(),
            nn.Conv2d(squeezed, channels, 1),
            nn.Hardsigmoid(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x`, `(N, C, H, W)`, with each channel scaled."""
        weights: torch.Tensor = self.weigh(x)
        return x * weights


class Fire(nn.Module):
    """Squeeze to few channels, expand by 1x1 and 3x3 side by side (Iandola et al., 2016)."""

    def __init__(self, channels: int, squeezed: int, after: int) -> None:
        super().__init__()
        self.squeeze = convolution(channels, squeezed, kernel=1, stride=1, activation="relu")
        self.narrow = convolution(squeezed, after, kernel=1, stride=1, activation="relu")
        self.broad = convolution(squeezed, after, kernel=3, stride=1, activation="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, C, H, W)` to twice `after` channels."""
        squeezed = self.squeeze(x)
        return torch.cat([self.narrow(squeezed), self.broad(squeezed)], dim=1)


class Shuffle(nn.Module):
    """Half the channels pass by, the other half is convolved, both interleaved (Ma et al., 2018).

    With stride 2 both halves are convolved, each from all channels. `after` is even, and equal to
    `channels` where the stride is 1.
    """

    def __init__(self, channels: int, after: int, *, kernel: int, stride: int) -> None:
        super().__init__()
        half = after // 2
        self.splits = stride == 1
        before = half if self.splits else channels
        self.beside = (
            nn.Identity()
            if self.splits
            else separable(
                *(channels, half),
                kernel=kernel,
                stride=stride,
                activation="",
                last_activation="relu",
            )
        )
        self.branch = nn.Sequential(
            convolution(before, half, kernel=1, stride=1, activation="relu"),
            separable(
                half, half, kernel=kernel, stride=stride, activation="", last_activation="relu"
            ),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, C, H, W)` to `after` channels."""
        first, second = x.chunk(2, dim=1) if self.splits else (x, x)
        joined = torch.cat([self.beside(first), self.branch(second)], dim=1)
        shuffled: torch.Tensor = joined.unflatten(1, (2, -1)).transpose(1, 2).flatten(1, 2)
        return shuffled


class Dense(nn.Module):
    """Layers that each read what all before them made, normed first (Huang et al., 2017)."""

    def __init__(self, channels: int, layers: int, growth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(
                *normed(channels + n * growth),
                convolution(
                    channels + n * growth, 4 * growth, kernel=1, stride=1, activation="relu"
                ),
                nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False),
            )
            for n in range(layers)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, C, H, W)` to `C + layers * growth` channels."""
        made = [x]
        for layer in self.layers:
            made.append(layer(torch.cat(made, dim=1)))
        return torch.cat(made, dim=1)


class Hourglass(nn.Module):
    """Half the image and back, joined with what was there before (Ronneberger et al., 2015)."""

    def __init__(self, channels: int, inner: int, activation: str) -> None:
        super().__init__()
        self.down = convolution(channels, inner, kernel=3, stride=2, activation=activation)
        self.up = upsampling()
        self.join = convolution(
            channels + inner, channels, kernel=1, stride=1, activation=activation
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x`, `(N, C, H, W)` with even sides, to the same shape."""
        joined: torch.Tensor = self.join(torch.cat([x, self.up(self.down(x))], dim=1))
        return joined


def upsampling() -> nn.Module:
    """Twice the height and width."""
    return nn.Upsample(scale_factor=2, mode="bilinear")


def normed(channels: int) -> tuple[nn.Module, nn.Module]:
    """Batch norm and ReLU in front of a convolution, where no convolution can take them in."""
    return nn.BatchNorm2d(channels), nn.ReLU()


def convolution(
    channels: int,
    after: int,
    *,
    kernel: int,
    stride: int,
    activation: str = "",
    groups: int = 1,
) -> nn.Sequential:
    """Convolution, batch norm, activation."""
    return nn.Sequential(
        nn.Conv2d(channels, after, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(after),
        ACTIVATIONS[activation](),
    )


def inverted_bottleneck(
    channels: int,
    after: int,
    *,
    kernel: int,
    expansion: int,
    stride: int,
    activation: str,
    residual: bool = True,
    fused: bool = False,
    gate: bool = False,
) -> nn.Module:
    """IBN (Sandler et al., 2018), or with its expansion fused into one KxK convolution.

    Without expansion the plain block has no first 1x1 convolution. The residual is left out
    where it does not fit.
    """
    inner = channels * expansion
    layers: list[nn.Module] = []
    if fused:
        layers += convolution(channels, inner, kernel=kernel, stride=stride, activation=activation)
    else:
        if expansion > 1:
            layers += convolution(channels, inner, kernel=1, stride=1, activation=activation)
        layers += convolution(
            inner, inner, kernel=kernel, stride=stride, activation=activation, groups=inner
        )
    if gate:
        layers.append(Gate(inner, max(8, channels // 4)))
    layers += convolution(inner, after, kernel=1, stride=1)
    branch = nn.Sequential(*layers)
    return Residual(branch) if residual and stride == 1 and channels == after else branch


def separable(
    channels: int,
    after: int,
    *,
    kernel: int,
    stride: int,
    activation: str,
    last_activation: str,
) -> nn.Module:
    """Depthwise convolution, then 1x1 convolution (Howard et al., 2017)."""
    return nn.Sequential(
        convolution(
            channels, channels, kernel=kernel, stride=stride, activation=activation, groups=channels
        ),
        convolution(channels, after, kernel=1, stride=1, activation=last_activation),
    )


def basic(channels: int, after: int, *, stride: int) -> nn.Module:
    """Two 3x3 convolutions and a shortcut (He et al., 2016)."""
    branch = nn.Sequential(
        convolution(channels, after, kernel=3, stride=stride, activation="relu"),
        convolution(after, after, kernel=3, stride=1),
    )
    return Residual(branch, _shortcut(channels, after, stride), "relu")


def bottleneck(channels: int, after: int, *, inner: int, stride: int, groups: int = 1) -> nn.Module:
    """1x1, 3x3, 1x1 and a shortcut (He et al., 2016); with groups, Xie et al., 2017."""
    branch = nn.Sequential(
        convolution(channels, inner, kernel=1, stride=1, activation="relu"),
        convolution(inner, inner, kernel=3, stride=stride, activation="relu", groups=groups),
        convolution(inner, after, kernel=1, stride=1),
    )
    return Residual(branch, _shortcut(channels, after, stride), "relu")


def head(channels: int, classes: int) -> nn.Module:
    """Mean over the image, then one linear layer."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


def signal(channels: int, after: int, *, kernel: int, stride: int, activation: str) -> nn.Module:
    """Separable convolution over time; input `(1, C, T)`."""
    return nn.Sequential(
        nn.Conv1d(channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False),
        nn.BatchNorm1d(channels),
        ACTIVATIONS[activation](),
        nn.Conv1d(channels, after, 1, bias=False),
        nn.BatchNorm1d(after),
        ACTIVATIONS[activation](),
    )


def _shortcut(channels: int, after: int, stride: int) -> nn.Module | None:
    if channels == after and stride == 1:
        return None
    return convolution(channels, after, kernel=1, stride=stride)
