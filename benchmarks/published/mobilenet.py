"""MobileNet V1, V2 and V3 (Howard et al., 2017; Sandler et al., 2018; Howard et al., 2019)."""

from functools import partial

from torch import nn

from .layers import InvertedBottleneck, SqueezeExcitation, convolution, divisible, head

#: Channels out and stride of V1's separable convolutions (2017, table 1).
_V1 = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2)]
#: Expansion, channels, repeats, stride (2018, table 2).
_V2 = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
]
#: Kernel, expanded, channels, excitation, hardswish, stride (2019, tables 1 and 2).
_V3_LARGE = [
    (3, 16, 16, False, False, 1),
    (3, 64, 24, False, False, 2),
    (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2),
    (5, 120, 40, True, False, 1),
    (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2),
    (3, 200, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 480, 112, True, True, 1),
    (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2),
    (5, 960, 160, True, True, 1),
    (5, 960, 160, True, True, 1),
]
_V3_SMALL = [
    (3, 16, 16, True, False, 2),
    (3, 72, 24, False, False, 2),
    (3, 88, 24, False, False, 1),
    (5, 96, 40, True, True, 2),
    (5, 240, 40, True, True, 1),
    (5, 240, 40, True, True, 1),
    (5, 120, 48, True, True, 1),
    (5, 144, 48, True, True, 1),
    (5, 288, 96, True, True, 2),
    (5, 576, 96, True, True, 1),
    (5, 576, 96, True, True, 1),
]


def mobilenet_v1(width: float = 1.0) -> nn.Module:
    """Depthwise separable convolutions only."""
    channels = int(32 * width)
    layers: list[nn.Module] = [convolution(3, channels, 3, 2)]
    for base, stride in [*_V1, (1024, 1)]:
        layers.append(convolution(channels, channels, 3, stride, groups=channels))
        layers.append(convolution(channels, int(base * width)))
        channels = int(base * width)
    return nn.Sequential(*layers, head(channels))


def mobilenet_v2(width: float = 1.0) -> nn.Module:
    """Inverted bottlenecks; the last convolution is not narrowed below 1280."""
    channels = divisible(32 * width)
    layers: list[nn.Module] = [convolution(3, channels, 3, 2, activation=nn.ReLU6)]
    for expansion, base, repeats, first_stride in _V2:
        for n in range(repeats):
            stride = first_stride if n == 0 else 1
            hidden, outputs = channels * expansion, divisible(base * width)
            layers.append(InvertedBottleneck(channels, outputs, hidden, stride=stride))
            channels = outputs
    last = divisible(1280 * max(1.0, width))
    layers += [convolution(channels, last, activation=nn.ReLU6), nn.Dropout(0.2)]
    return nn.Sequential(*layers, head(last))


def mobilenet_v3_large() -> nn.Module:
    """V3-Large."""
    return _mobilenet_v3(_V3_LARGE, 960, 1280)


def mobilenet_v3_small() -> nn.Module:
    """V3-Small."""
    return _mobilenet_v3(_V3_SMALL, 576, 1024)


def _mobilenet_v3(
    rows: list[tuple[int, int, int, bool, bool, int]], last: int, features: int
) -> nn.Module:
    channels = 16
    layers: list[nn.Module] = [convolution(3, channels, 3, 2, activation=nn.Hardswish)]
    for kernel, hidden, outputs, excites, hardswish, stride in rows:
        excitation = SqueezeExcitation(hidden, divisible(hidden / 4), gate=nn.Hardsigmoid)
        layers.append(
            InvertedBottleneck(
                channels,
                outputs,
                hidden,
                kernel,
                stride,
                nn.Hardswish if hardswish else nn.ReLU,
                excitation if excites else None,
            )
        )
        channels = outputs
    classifier = [nn.Linear(last, features), nn.Hardswish(), nn.Dropout(0.2)]
    return nn.Sequential(
        *layers,
        convolution(channels, last, activation=nn.Hardswish),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        *classifier,
        nn.Linear(features, 1000),
    )


mobilenet_v1_025 = partial(mobilenet_v1, 0.25)
mobilenet_v1_050 = partial(mobilenet_v1, 0.5)
mobilenet_v2_075 = partial(mobilenet_v2, 0.75)
mobilenet_v2_140 = partial(mobilenet_v2, 1.4)
