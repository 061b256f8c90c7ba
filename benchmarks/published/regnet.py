"""RegNetX and RegNetY (Radosavovic et al., 2020): grouped convolutions; Y has excitations."""

from functools import partial

from torch import nn

from .layers import SqueezeExcitation, convolution, head
from .resnet import Residual


def regnet(
    depths: tuple[int, ...], widths: tuple[int, ...], group_width: int, *, excites: bool
) -> nn.Module:
    """Stages of `depths` blocks and `widths` channels; each begins with stride 2."""
    channels = 32
    layers: list[nn.Module] = [convolution(3, channels, 3, 2)]
    for depth, width in zip(depths, widths, strict=True):
        for n in range(depth):
            layers.append(_block(channels, width, group_width, 2 if n == 0 else 1, excites))
            channels = width
    return nn.Sequential(*layers, head(channels))


def _block(channels: int, width: int, group_width: int, stride: int, excites: bool) -> Residual:
    squeezed = round(channels / 4)
    body = nn.Sequential(
        convolution(channels, width),
        convolution(width, width, 3, stride, groups=width // group_width),
        SqueezeExcitation(width, squeezed) if excites else nn.Identity(),
        convolution(width, width, activation=None),
    )
    return Residual(body, channels, width, stride)


regnet_x_200mf = partial(regnet, (1, 1, 4, 7), (24, 56, 152, 368), 8, excites=False)
regnet_x_400mf = partial(regnet, (1, 2, 7, 12), (32, 64, 160, 400), 16, excites=False)
regnet_y_200mf = partial(regnet, (1, 1, 4, 7), (24, 56, 152, 368), 8, excites=True)
regnet_y_400mf = partial(regnet, (1, 3, 6, 6), (48, 104, 208, 440), 8, excites=True)
