"""Convolutions over time, `(1, C, T)`: speech, vibration, electrocardiograms."""

from torch import nn

from nas_ray.measure.blocks import ACTIVATIONS, Residual
from nas_ray.measure.families.sample import Sample
from nas_ray.measure.layers import Apply
from nas_ray.measure.sizes import Sizes


def over_time(
    channels: int,
    after: int,
    kernel: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    activation: str = "",
    padded: bool = True,
) -> nn.Sequential:
    """Convolution over time, batch norm, activation."""
    padding = dilation * (kernel - 1) // 2 if padded else 0
    layers: list[nn.Module] = [
        nn.Conv1d(
            *(channels, after, kernel, stride, padding),
            dilation=dilation,
            groups=groups,
            bias=False,
        ),
        nn.BatchNorm1d(after),
    ]
    if activation:
        layers.append(ACTIVATIONS[activation]())
    return nn.Sequential(*layers)


def signal_kernel(sizes: Sizes) -> Sample:
    """Any window over time, dense, grouped or depthwise, with a step and a dilation."""
    kernel = sizes.pick(1, 2, 3, 3, 4, 5, 7, 8, 9, 11, 15, 16, 25, 29, 40, 64)
    stride = sizes.pick(1, 2, 3, 4, 8, p=(0.55, 0.25, 0.05, 0.1, 0.05))
    dilation = sizes.pick(1, 2, 4, 8, 16) if stride == 1 and kernel < 16 else 1
    channels, by_channel = sizes.channels(4, 256), sizes.chance(0.35)
    after = channels if by_channel else sizes.channels(8, 256)
    work = kernel * after * (1 if by_channel else channels)
    window = dilation * (kernel - 1) + 1
    steps = sizes.light_length(work, low=max(8, window), high=1000)
    block = over_time(
        *(channels, after, kernel),
        stride=stride,
        dilation=dilation,
        groups=channels if by_channel else 1,
        activation=sizes.activation(),
        padded=sizes.chance(0.8),
    )
    return block, (1, channels, steps)


def raw_signal(sizes: Sizes) -> Sample:
    """The first layer over samples of a sensor: a long window with a large step."""
    kernel, stride = sizes.pick(10, 16, 20, 32, 40, 64, 80), sizes.pick(2, 4, 5, 8, 10, 16)
    channels, steps = sizes.pick(1, 1, 1, 2, 3, 6, 12), sizes.log_uniform(256, 8000)
    block = over_time(
        *(channels, sizes.channels(8, 128), kernel),
        stride=stride,
        activation=sizes.activation(),
        padded=sizes.chance(0.5),
    )
    pool = [nn.MaxPool1d(sizes.pick(2, 3, 4))] if sizes.chance(0.4) else []
    return nn.Sequential(block, *pool), (1, channels, steps)


def residual_in_time(channels: int, kernel: int, dilation: int, activation: str) -> nn.Module:
    """Two dilated convolutions and a residual (Bai et al., 2018)."""
    branch = nn.Sequential(
        over_time(channels, channels, kernel, dilation=dilation, activation=activation),
        over_time(channels, channels, kernel, dilation=dilation),
    )
    return Residual(branch, activation=activation)


def dilated_residual_in_time(sizes: Sizes) -> Sample:
    """One residual block of a temporal network; half of them only look back."""
    channels, kernel = sizes.channels(8, 160), sizes.pick(3, 5, 7, 9)
    dilation, activation = sizes.pick(1, 2, 4, 8, 16, 32), sizes.activation()
    steps = sizes.light_length(2 * kernel * channels**2, low=16, high=400)
    if sizes.chance(0.5):
        return residual_in_time(channels, kernel, dilation, activation), (1, channels, steps)
    branch = nn.Sequential(
        nn.ConstantPad1d((dilation * (kernel - 1), 0), 0.0),
        over_time(
            *(channels, channels, kernel), dilation=dilation, activation=activation, padded=False
        ),
    )
    return Residual(branch), (1, channels, steps)


def separable_in_time(
    channels: int, after: int, kernel: int, stride: int, activation: str
) -> nn.Sequential:
    """Depthwise over time, then 1x1."""
    return nn.Sequential(
        over_time(
            channels, channels, kernel, stride=stride, groups=channels, activation=activation
        ),
        over_time(channels, after, 1, activation=activation),
    )


def separable_signal(sizes: Sizes) -> Sample:
    """A separable convolution with a short or long window, a residual where it fits."""
    channels, stride = sizes.channels(8, 256), sizes.pick(1, 2, p=(0.7, 0.3))
    after = channels if stride == 1 and sizes.chance(0.5) else sizes.channels(8, 256)
    kernel = sizes.pick(3, 5, 7, 9, 11, 13, 15, 21, 31, 51, 65, 75)
    steps = sizes.light_length(channels * after, low=kernel, high=400)
    block = separable_in_time(channels, after, kernel, stride, sizes.activation())
    if stride == 1 and after == channels:
        return Residual(block), (1, channels, steps)
    return block, (1, channels, steps)


def gated_signal(sizes: Sizes) -> Sample:
    """A gated linear unit around a depthwise convolution over time (Gulati et al., 2020)."""
    channels, kernel = sizes.channels(16, 256), sizes.pick(3, 7, 15, 31)
    steps = sizes.light_length(3 * channels**2, low=kernel, high=400)
    block = nn.Sequential(
        *(nn.Conv1d(channels, 2 * channels, 1), nn.GLU(1)),
        over_time(channels, channels, kernel, groups=channels, activation="silu"),
        nn.Conv1d(channels, channels, 1),
    )
    return Residual(block) if sizes.chance(0.6) else block, (1, channels, steps)


def pooled_signal(sizes: Sizes) -> Sample:
    """A pooling over time, or the mean over all of it with a linear layer."""
    channels, steps = sizes.channels(8, 384), sizes.log_uniform(8, 1000)
    kernel, form = sizes.pick(2, 3, 4, 8), sizes.pick(0, 1, 2, 3)
    if form < 2:
        pool = nn.MaxPool1d(kernel, sizes.pick(1, kernel)) if form else nn.AvgPool1d(kernel)
        return pool, (1, channels, steps)
    head = nn.Linear(channels, sizes.pick(2, 10, 12, 35))
    if form == 2:
        return Apply(lambda x: head(x.mean(2)), head), (1, channels, steps)
    return nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten(), head), (1, channels, steps)
