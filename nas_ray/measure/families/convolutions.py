"""Convolutions by their attributes: kernel, dilation, stride, groups, padding and activation."""

from torch import nn

from nas_ray.measure.blocks import Residual
from nas_ray.measure.families.sample import Sample
from nas_ray.measure.layers import Beside, Summed, convolved, depthwise, pointwise
from nas_ray.measure.sizes import Sizes


def dilated(sizes: Sizes) -> Sample:
    """One dilated convolution, dense or depthwise; one in seven is dilated along one axis only."""
    rate = sizes.pick(2, 2, 3, 4, 5, 6, 8, 9, 12, 16, 18, 24)
    kernel = sizes.pick(2, 3, 4, 5, p=(0.1, 0.6, 0.1, 0.2))
    channels, by_channel = sizes.channels(8, 256), sizes.chance(0.4)
    after = channels if by_channel else sizes.channels(8, 192)
    work = kernel**2 * after * (1 if by_channel else channels)
    height, width = sizes.light_image(work, low=6, high=96)
    along = sizes.pick(0, 1, 2, p=(0.86, 0.07, 0.07))
    block = convolved(
        *(channels, after, kernel),
        dilation=((rate, rate), (rate, 1), (1, rate))[along],
        groups=channels if by_channel else 1,
        activation=sizes.any_activation() if sizes.chance(0.8) else "",
        padded=min(height, width) <= rate * (kernel - 1) or sizes.chance(0.85),
        norm=sizes.chance(0.8),
    )
    return block, (1, channels, height, width)


def atrous_pyramid(sizes: Sizes) -> Sample:
    """Dilated convolutions side by side and their projection (Chen et al., 2017)."""
    rates = ((6, 12, 18), (2, 4, 8), (12, 24), (3, 6, 9, 12), (2, 4))[sizes.pick(0, 1, 2, 3, 4)]
    channels, inner = sizes.channels(16, 320), sizes.channels(8, 128)
    activation, is_separable = sizes.activation(), sizes.chance(0.3)
    per_branch = 9 * channels + channels * inner if is_separable else 9 * channels * inner
    height, width = sizes.light_image(len(rates) * per_branch, high=65)
    branches: list[nn.Module] = [pointwise(channels, inner, activation)]
    for rate in rates:
        if is_separable:
            by_channel = convolved(channels, channels, 3, dilation=rate, groups=channels)
            branches.append(nn.Sequential(by_channel, pointwise(channels, inner, activation)))
        else:
            branches.append(convolved(channels, inner, 3, dilation=rate, activation=activation))
    joined = Beside(*branches)
    last = pointwise(len(branches) * inner, sizes.channels(8, 256), activation)
    return nn.Sequential(joined, last), (1, channels, height, width)


def dilated_residual(sizes: Sizes) -> Sample:
    """A residual block whose convolutions are dilated, as networks for segmentation have."""
    channels, rate = sizes.channels(8, 256), sizes.pick(2, 4, 8, 16)
    height, width = sizes.light_image(18 * channels**2, high=96)
    activation = sizes.activation()
    branch = nn.Sequential(
        convolved(channels, channels, 3, dilation=rate, activation=activation),
        convolved(channels, channels, 3, dilation=rate if sizes.chance(0.5) else 1),
    )
    return Residual(branch, activation=activation), (1, channels, height, width)


def any_kernel(sizes: Sizes) -> Sample:
    """Any window of 1 to 13 by 1 to 13, even ones too; seven of ten are depthwise."""
    rows = sizes.pick(*range(1, 14))
    form = sizes.pick(0, 1, 2, 3, p=(0.55, 0.15, 0.15, 0.15))
    kernel = ((rows, rows), (1, rows), (rows, 1), (rows, sizes.pick(*range(1, 14))))[form]
    by_channel = sizes.chance(0.7 if max(kernel) > 5 else 0.4)
    channels = sizes.channels(8, 384 if by_channel else 96)
    after = channels if by_channel else sizes.channels(8, 96)
    work = kernel[0] * kernel[1] * after * (1 if by_channel else channels)
    height, width = sizes.light_image(work, low=max(4, *kernel), high=96)
    block = convolved(
        *(channels, after, kernel),
        stride=sizes.pick(1, 2, p=(0.75, 0.25)),
        groups=channels if by_channel else 1,
        activation=sizes.any_activation(),
        padded=sizes.chance(0.75),
        norm=sizes.chance(0.8),
    )
    return block, (1, channels, height, width)


def in_two_strips(sizes: Sizes) -> Sample:
    """A row and a column instead of a square window, one after the other or side by side."""
    kernel = sizes.pick(3, 5, 7, 9, 11, 13)
    by_channel = sizes.chance(0.5)
    channels = sizes.channels(8, 320 if by_channel else 128)
    height, width = sizes.light_image(2 * kernel * (1 if by_channel else channels) * channels)
    groups, activation = channels if by_channel else 1, sizes.activation()
    strips = [
        convolved(channels, channels, window, groups=groups, activation=activation)
        for window in ((1, kernel), (kernel, 1))
    ]
    form = sizes.pick(0, 1, 2, p=(0.6, 0.2, 0.2))
    block = (nn.Sequential(*strips), Beside(*strips), Summed(*strips))[form]
    last = [pointwise(channels, channels, activation)] if form != 1 and by_channel else []
    return nn.Sequential(block, *last), (1, channels, height, width)


def uneven_stride(sizes: Sizes) -> Sample:
    """Another step along the height than along the width, as spectrograms are reduced."""
    stride = ((1, 2), (2, 1), (1, 3), (3, 1), (2, 3), (1, 4), (4, 2))[sizes.pick(*range(7))]
    kernel = (sizes.pick(1, 3, 4, 5), sizes.pick(1, 3, 4, 5, 8, 10))
    channels, by_channel = sizes.channels(4, 192), sizes.chance(0.3)
    after = channels if by_channel else sizes.channels(8, 192)
    work = kernel[0] * kernel[1] * after * (1 if by_channel else channels) / 2
    height, width = sizes.light_image(work, low=10)
    block = convolved(
        *(channels, after, kernel),
        stride=stride,
        groups=channels if by_channel else 1,
        activation=sizes.any_activation(),
        padded=sizes.chance(0.8),
    )
    return block, (1, channels, height, width)


def any_groups(sizes: Sizes) -> Sample:
    """Groups of any size, as many results a group as wanted."""
    groups, each = sizes.log_uniform(2, 64), sizes.log_uniform(2, 48)
    each_after = each if sizes.chance(0.6) else sizes.log_uniform(1, 48)
    kernel = sizes.pick(1, 3, 5, 7, p=(0.3, 0.5, 0.1, 0.1))
    channels, after = groups * each, groups * each_after
    height, width = sizes.light_image(kernel**2 * each * after, high=80)
    block = convolved(
        *(channels, after, kernel),
        stride=sizes.pick(1, 2, p=(0.75, 0.25)),
        groups=groups,
        activation=sizes.any_activation(),
    )
    return block, (1, channels, height, width)


def channel_multiplier(sizes: Sizes) -> Sample:
    """A depthwise convolution that makes several channels of each."""
    channels, more = sizes.channels(4, 192), sizes.pick(2, 3, 4, 6, 8)
    kernel = sizes.pick(2, 3, 5, 7)
    height, width = sizes.light_image(kernel**2 * channels * more, high=96)
    block = convolved(
        *(channels, channels * more, kernel),
        stride=sizes.pick(1, 2),
        groups=channels,
        activation=sizes.any_activation(),
    )
    return block, (1, channels, height, width)


def unpadded(sizes: Sizes) -> Sample:
    """Convolutions that lose the border."""
    kernel, by_channel = sizes.pick(2, 3, 4, 5, 7), sizes.chance(0.35)
    channels = sizes.channels(8, 256)
    after = channels if by_channel else sizes.channels(8, 192)
    work = kernel**2 * after * (1 if by_channel else channels)
    height, width = sizes.light_image(work, low=kernel + 1)
    block = convolved(
        *(channels, after, kernel),
        stride=sizes.pick(1, 2, 3, p=(0.6, 0.3, 0.1)),
        groups=channels if by_channel else 1,
        activation=sizes.any_activation(),
        padded=False,
        norm=sizes.chance(0.5),
    )
    return block, (1, channels, height, width)


def activated(sizes: Sizes) -> Sample:
    """A plain convolution for the sake of its activation, each about as often."""
    activation, kernel = sizes.any_activation(), sizes.pick(1, 3, 5, p=(0.5, 0.4, 0.1))
    channels = sizes.channels(8, 384)
    if kernel > 1 and sizes.chance(0.4):
        height, width = sizes.light_image(kernel**2 * channels)
        stride = sizes.pick(1, 2)
        block = depthwise(channels, kernel, stride=stride, activation=activation)
        return block, (1, channels, height, width)
    after = sizes.channels(8, 384)
    height, width = sizes.light_image(kernel**2 * channels * after)
    return convolved(channels, after, kernel, activation=activation), (1, channels, height, width)
