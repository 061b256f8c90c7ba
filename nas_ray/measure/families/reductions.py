"""Means over every set of axes and poolings of every window."""

import torch
from torch import nn

from nas_ray.measure.families.sample import Sample
from nas_ray.measure.layers import Apply, Beside, convolved, pointwise
from nas_ray.measure.sizes import Sizes

_AXES = ((2, 3), (2,), (3,), (1,), (1, 2, 3), (1, 2))
#: Elements that a reduction reads at most.
_LARGEST = 1_000_000


def _map(sizes: Sizes, low: int = 1, high: int = 96) -> tuple[int, int, int, int]:
    channels = sizes.channels(8, 640)
    most = max(low, min(high, int((_LARGEST / channels) ** 0.5)))
    height = sizes.log_uniform(low, most)
    return (1, channels, height, sizes.log_uniform(low, most) if sizes.chance(0.25) else height)


def mean_over(sizes: Sizes) -> Sample:
    """A mean, a maximum or a sum over any set of axes of a map, with or without keeping them."""
    axes = _AXES[int(sizes.rng.choice(6, p=[0.35, 0.17, 0.17, 0.21, 0.05, 0.05]))]
    kept, shape = sizes.chance(0.6), _map(sizes)
    form = sizes.pick(0, 1, 2, p=(0.65, 0.2, 0.15))
    function = (torch.mean, torch.amax, torch.sum)[form]
    return Apply(lambda x: function(x, axes, keepdim=kept)), shape


def mean_of_tokens(sizes: Sizes) -> Sample:
    """A mean over tokens or time steps, or over channels."""
    axis, kept = sizes.pick(1, 2), sizes.chance(0.4)
    shape = (1, sizes.log_uniform(2, 400), sizes.channels(8, 512))
    return Apply(lambda x: x.mean(axis, keepdim=kept)), shape


def mean_then_linear(sizes: Sizes) -> Sample:
    """The head of a classifier, from small and from large maps, through one or two layers."""
    shape, classes = _map(sizes, high=32), sizes.pick(1, 2, 10, 10, 35, 100, 1000)
    channels = shape[1]
    pool: nn.Module = Apply(lambda x: x.mean((2, 3)))
    if sizes.chance(0.4):
        largest = nn.AdaptiveMaxPool2d(1) if sizes.chance(0.4) else nn.AdaptiveAvgPool2d(1)
        pool = nn.Sequential(largest, nn.Flatten())
    layers: list[nn.Module] = [pool]
    if sizes.chance(0.35):
        inner = sizes.channels(16, 512)
        layers += [nn.Linear(channels, inner), nn.Hardswish() if sizes.chance(0.6) else nn.ReLU()]
        channels = inner
    layers.append(nn.Linear(channels, classes))
    if sizes.chance(0.2):
        layers.append(nn.Softmax(1) if sizes.chance(0.6) else nn.Sigmoid())
    return nn.Sequential(*layers), shape


def flattened_head(sizes: Sizes) -> Sample:
    """A whole map read by one linear layer, pooled to a few positions before or not."""
    channels, side = sizes.channels(4, 128), sizes.log_uniform(2, 8)
    classes = sizes.pick(2, 10, 16, 64, 128)
    if sizes.chance(0.3):
        cells, times = sizes.pick(2, 3, 4), sizes.pick(1, 2, 3)
        layers = [
            nn.AdaptiveAvgPool2d(cells),
            nn.Flatten(),
            nn.Linear(channels * cells**2, classes),
        ]
        return nn.Sequential(*layers), (1, channels, cells * times, cells * times)
    layers = [nn.Flatten(), nn.Linear(channels * side**2, classes)]
    return nn.Sequential(*layers), (1, channels, side, side)


def pooled(sizes: Sizes, kind: type[nn.MaxPool2d] | type[nn.AvgPool2d]) -> Sample:
    """A pooling of any window, step and padding."""
    kernel = sizes.pick(2, 3, 3, 4, 5, 6, 7, 8, 9)
    stride = sizes.pick(1, 2, 3, 4, p=(0.35, 0.45, 0.1, 0.1))
    padding = kernel // 2 if sizes.chance(0.6) else 0
    shape = _map(sizes, low=kernel)
    if sizes.chance(0.1):
        rows, columns = (kernel, 1) if sizes.chance(0.5) else (1, kernel)
        return kind((rows, columns), (rows, columns)), shape
    return kind(kernel, stride, padding), shape


def max_pooled(sizes: Sizes) -> Sample:
    """A pooling by the maximum."""
    return pooled(sizes, nn.MaxPool2d)


def average_pooled(sizes: Sizes) -> Sample:
    """A pooling by the mean; one in four spans the whole map."""
    if sizes.chance(0.25):
        channels, side = sizes.channels(8, 640), sizes.log_uniform(2, 32)
        return nn.AvgPool2d(side), (1, channels, side, side)
    return pooled(sizes, nn.AvgPool2d)


def pooled_and_convolved(sizes: Sizes) -> Sample:
    """A pooling beside, before or behind a convolution."""
    channels, after, stride = sizes.channels(8, 192), sizes.channels(8, 192), sizes.pick(1, 2)
    height, width = sizes.light_image(9 * channels * after, low=6, high=96)
    pool = nn.MaxPool2d(3, stride, 1) if sizes.chance(0.5) else nn.AvgPool2d(3, stride, 1)
    activation = sizes.activation()
    conv = convolved(channels, after, 3, stride=stride, activation=activation)
    if sizes.chance(0.5):
        return Beside(pool, conv), (1, channels, height, width)
    last = pointwise(channels, after, activation)
    return nn.Sequential(pool, last), (1, channels, height, width)


def pool_cascade(sizes: Sizes) -> Sample:
    """Poolings of one window in a row, all of their results joined (spatial pyramid pooling)."""
    channels, kernel = sizes.channels(8, 192), sizes.pick(3, 5, 5, 7, 9)
    inner = max(4, channels // 2)
    height, width = sizes.light_image(4 * inner * channels + channels * inner, high=40)
    activation = sizes.activation()
    first, last = pointwise(channels, inner, activation), pointwise(4 * inner, channels, activation)
    pool = nn.MaxPool2d(kernel, 1, kernel // 2)

    def cascade(x: torch.Tensor) -> torch.Tensor:
        made = [first(x)]
        for _ in range(3):
            made.append(pool(made[-1]))
        result: torch.Tensor = last(torch.cat(made, 1))
        return result

    return Apply(cascade, first, pool, last), (1, channels, height, width)


def scene_pyramid(sizes: Sizes) -> Sample:
    """A map and its coarse averages, resized back and joined (Zhao et al., 2017)."""
    channels, cells = sizes.channels(8, 192), ((1, 2, 4), (1, 2, 3, 6), (1, 4))[sizes.pick(0, 1, 2)]
    inner, side = max(4, channels // len(cells)), 12 * sizes.pick(1, 2, 3)
    mode = sizes.name("nearest", "bilinear")
    branches = [
        nn.Sequential(
            nn.AdaptiveAvgPool2d(cell),
            pointwise(channels, inner, "relu"),
            nn.Upsample(size=(side, side), mode=mode),
        )
        for cell in cells
    ]
    return Beside(nn.Identity(), *branches), (1, channels, side, side)
