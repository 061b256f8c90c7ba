"""Tensors joined, cut, padded and reordered."""

import torch
from torch import nn

from nas_ray.measure.families.sample import Sample
from nas_ray.measure.layers import Apply, InParts, convolved, depthwise, pointwise
from nas_ray.measure.sizes import Sizes


def _map(sizes: Sizes, high: int = 112) -> tuple[int, int, int, int]:
    channels = sizes.channels(4, 256)
    return (1, channels, *sizes.light_image(100 * channels, high=high))


def concatenated(sizes: Sizes) -> Sample:
    """Two to six tensors joined along channels, height or width; sometimes convolved."""
    count, axis = sizes.pick(2, 2, 3, 4, 5, 6), sizes.pick(1, 1, 1, 1, 2, 3)
    shape = _map(sizes, high=80)
    extents = [max(1, round(shape[axis] * 2.0 ** sizes.rng.uniform(-1, 1))) for _ in range(count)]
    if sizes.chance(0.5):
        extents = [shape[axis]] * count
    shapes = [(*shape[:axis], extent, *shape[axis + 1 :]) for extent in extents]
    total = sum(extents) if axis == 1 else shape[1]
    last: nn.Module = nn.Identity()
    if sizes.chance(0.4) and total * shape[2] * shape[3] * count < 1_000_000:
        last = pointwise(total, sizes.channels(8, 96), sizes.activation())
    return Apply(lambda *parts: last(torch.cat(parts, axis)), last), *shapes


def joined_tokens(sizes: Sizes) -> Sample:
    """Tokens of two origins in one sequence, or two features of each token side by side."""
    channels, tokens = sizes.channels(8, 384), sizes.log_uniform(2, 256)
    axis = sizes.pick(1, 2)
    other = (1, sizes.log_uniform(1, 64), channels) if axis == 1 else (1, tokens, channels)
    return Apply(lambda a, b: torch.cat([a, b], axis)), (1, tokens, channels), other


def in_parts(sizes: Sizes) -> Sample:
    """Channels split, each part worked on for itself, then joined (not always all of them)."""
    count = sizes.pick(2, 2, 3, 4)
    parts = [sizes.channels(4, 96) for _ in range(count)]
    if sizes.chance(0.5):
        parts = [parts[0]] * count
    height, width = sizes.light_image(9 * max(parts) ** 2 * count, high=80)
    branches: list[nn.Module] = [nn.Identity()] if sizes.chance(0.5) else []
    for part in parts[len(branches) :]:
        kernel, activation = sizes.pick(1, 3, 5), sizes.activation()
        if sizes.chance(0.5):
            branches.append(depthwise(part, kernel, activation=activation))
        else:
            branches.append(convolved(part, part, kernel, activation=activation))
    return InParts(parts, branches), (1, sum(parts), height, width)


def several_outputs(sizes: Sizes) -> Sample:
    """A convolution whose result is split into outputs."""
    channels, count = sizes.channels(8, 192), sizes.pick(2, 3, 4)
    each = sizes.channels(2, 96)
    height, width = sizes.light_image(channels * count * each, high=80)
    conv = pointwise(channels, count * each, sizes.activation())
    return Apply(lambda x: conv(x).chunk(count, 1), conv), (1, channels, height, width)


def sliced(sizes: Sizes) -> Sample:
    """A window of a map, every second row or column, or some channels; then a convolution."""
    shape = _map(sizes, high=96)
    axis, form = sizes.pick(1, 2, 3), sizes.pick(0, 1, 2)
    extent = shape[axis]
    begin = sizes.pick(0, 1, extent // 4)
    end = max(begin + 1, extent - sizes.pick(0, 1, extent // 4))
    step = 1 if form == 0 else 2
    window = slice(begin, end, step) if form < 2 else slice(None, None, 2)
    index = tuple(window if n == axis else slice(None) for n in range(4))
    last: nn.Module = nn.Identity()
    if sizes.chance(0.75):
        left = len(range(extent)[window]) if axis == 1 else shape[1]
        light = left * shape[2] * shape[3] < 1_000_000
        last = pointwise(left, sizes.channels(8, 96), "relu") if light else depthwise(left, 3)
    return Apply(lambda x: last(x[index]), last), shape


def padded(sizes: Sizes) -> Sample:
    """Explicit padding, on all sides alike or not, with zeros or reflected; then a convolution."""
    shape = _map(sizes, high=96)
    most = min(4, *shape[2:]) - 1
    sides = [sizes.pick(*range(most + 1)) for _ in range(4)]
    if sizes.chance(0.3):
        sides = [0, 1, 0, 1]
    if not any(sides):
        sides = [1, 1, 1, 1]
    left, right, top, bottom = sides
    pad: nn.Module = nn.ZeroPad2d((left, right, top, bottom))
    if sizes.chance(0.35):
        pad = nn.ReflectionPad2d((left, right, top, bottom))
    kernel, stride = sizes.pick(3, 3, 5, 4), sizes.pick(1, 2)
    kernel = min(kernel, shape[2] + top + bottom, shape[3] + left + right)
    form = sizes.pick(0, 1, 2, p=(0.4, 0.35, 0.25))
    channels = shape[1]
    if form == 0:
        return pad, shape
    by_channel = form == 1 or channels * shape[2] * shape[3] > 100_000
    after = channels if by_channel else sizes.channels(8, 96)
    last = convolved(
        *(channels, after, kernel),
        stride=stride,
        groups=channels if by_channel else 1,
        activation=sizes.activation(),
        padded=False,
    )
    return nn.Sequential(pad, last), shape


def reordered(sizes: Sizes) -> Sample:
    """Axes permuted: channels last, height and width swapped, groups of channels interleaved."""
    shape = _map(sizes, high=64)
    orders = ((0, 2, 3, 1), (0, 1, 3, 2), (0, 3, 2, 1), (0, 3, 1, 2), (0, 2, 1, 3))
    form = sizes.pick(*range(len(orders) + 2))
    if form < len(orders):
        order = orders[form]
        return Apply(lambda x: x.permute(order)), shape
    if form == len(orders):
        return Apply(lambda x: x.transpose(1, 2)), (1, *shape[1:3])
    groups, each = sizes.pick(2, 3, 4, 8), sizes.log_uniform(2, 64)
    last = convolved(groups * each, groups * each, 3, groups=groups, activation="relu")
    height, width = sizes.light_image(9 * groups * each**2, high=64)
    shuffle = nn.ChannelShuffle(groups)
    first = convolved(groups * each, groups * each, 1, groups=groups, activation="relu")
    return nn.Sequential(first, shuffle, last), (1, groups * each, height, width)
