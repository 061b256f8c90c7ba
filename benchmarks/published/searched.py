"""Networks found by search: MnasNet, EfficientNet, EfficientNet-Lite, FBNet."""

from torch import nn

from .layers import Activation, InvertedBottleneck, SqueezeExcitation, convolution, head

#: Expansion, kernel, stride, channels, repeats (Tan and Le, 2019, table 1).
_EFFICIENTNET_B0 = [
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
]
#: The same for MnasNet-B1, which has no excitation (Tan et al., 2019, figure 7).
_MNASNET = [
    (1, 3, 1, 16, 1),
    (3, 3, 2, 24, 3),
    (3, 5, 2, 40, 3),
    (6, 5, 2, 80, 3),
    (6, 3, 1, 96, 2),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
]
#: FBNet-C, block by block (Wu et al., 2019, figure 4).
_FBNET_C = [
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 1),
    (1, 3, 1, 24, 2),
    (6, 5, 2, 32, 1),
    (3, 5, 1, 32, 1),
    (6, 5, 1, 32, 1),
    (6, 3, 1, 32, 1),
    (6, 5, 2, 64, 1),
    (3, 5, 1, 64, 1),
    (6, 5, 1, 64, 2),
    (6, 5, 1, 112, 3),
    (3, 5, 1, 112, 1),
    (6, 5, 2, 184, 4),
    (6, 3, 1, 352, 1),
]

Rows = list[tuple[int, int, int, int, int]]


def mnasnet() -> nn.Module:
    """MnasNet-B1 at width 1."""
    return _bottlenecks(_MNASNET, 32, 1280, nn.ReLU)


def efficientnet_b0() -> nn.Module:
    """SiLU, and an excitation in every block, squeezed to a quarter of the block's input."""
    return _bottlenecks(_EFFICIENTNET_B0, 32, 1280, nn.SiLU, excites=True)


def efficientnet_lite0() -> nn.Module:
    """B0 for integer accelerators: ReLU6 and no excitation (Liu, 2020)."""
    return _bottlenecks(_EFFICIENTNET_B0, 32, 1280, nn.ReLU6)


def fbnet_c() -> nn.Module:
    """Every block expands, also those of ratio 1."""
    return _bottlenecks(_FBNET_C, 16, 1984, nn.ReLU, always_expands=True)


def _bottlenecks(
    rows: Rows,
    stem: int,
    last: int,
    activation: Activation,
    *,
    excites: bool = False,
    always_expands: bool = False,
) -> nn.Module:
    channels = stem
    layers: list[nn.Module] = [convolution(3, channels, 3, 2, activation=activation)]
    for expansion, kernel, first_stride, outputs, repeats in rows:
        for n in range(repeats):
            hidden, stride = channels * expansion, first_stride if n == 0 else 1
            excitation = SqueezeExcitation(hidden, channels // 4, nn.SiLU) if excites else None
            layers.append(
                InvertedBottleneck(
                    channels,
                    outputs,
                    hidden,
                    kernel,
                    stride,
                    activation,
                    excitation,
                    always_expands=always_expands,
                )
            )
            channels = outputs
    return nn.Sequential(
        *layers, convolution(channels, last, activation=activation), nn.Dropout(0.2), head(last)
    )
