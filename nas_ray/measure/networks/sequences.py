"""Networks over time: words in sound, vibration, sensors; and plain MLPs over a window."""

from itertools import pairwise

import torch
from torch import nn

from nas_ray.measure.blocks import ACTIVATIONS, Residual
from nas_ray.measure.families.sample import Sample
from nas_ray.measure.families.signals import over_time, residual_in_time, separable_in_time
from nas_ray.measure.layers import Apply, convolved, depthwise, pointwise
from nas_ray.measure.sizes import Sizes

_CLASSES = (2, 4, 10, 12, 35)


def _last(sizes: Sizes, channels: int) -> nn.Module:
    """Mean over time and the classes."""
    head = nn.Linear(channels, sizes.pick(*_CLASSES))
    return Apply(lambda x: head(x.mean(2)), head)


def separable_words(sizes: Sizes) -> Sample:
    """Separable convolutions over the frames of a spectrogram (Kriman et al., 2020)."""
    features, steps = sizes.pick(10, 13, 32, 40, 64, 80), sizes.log_uniform(49, 200)
    channels, activation = sizes.channels(16, 128), sizes.activation()
    layers: list[nn.Module] = [
        over_time(features, channels, sizes.pick(3, 5, 11), stride=2, activation=activation)
    ]
    for _ in range(sizes.pick(2, 3, 4, 6)):
        kernel = sizes.pick(3, 5, 9, 13, 15, 17, 25)
        if sizes.chance(0.6):
            block = separable_in_time(channels, channels, kernel, 1, activation)
            layers.append(Residual(block))
        else:
            after = sizes.channels(16, 192)
            layers.append(separable_in_time(channels, after, kernel, 1, activation))
            channels = after
    return nn.Sequential(*layers, _last(sizes, channels)), (1, features, steps)


def temporal_residuals(sizes: Sizes) -> Sample:
    """Residual blocks with growing dilations (Bai et al., 2018)."""
    features, steps = sizes.pick(1, 3, 6, 9, 40), sizes.log_uniform(32, 400)
    channels, kernel = sizes.channels(8, 96), sizes.pick(3, 5, 7)
    activation = sizes.activation()
    layers: list[nn.Module] = [over_time(features, channels, kernel, activation=activation)]
    layers += [
        residual_in_time(channels, kernel, 2**n, activation) for n in range(sizes.pick(2, 3, 4, 5))
    ]
    return nn.Sequential(*layers, _last(sizes, channels)), (1, features, steps)


def raw_signal(sizes: Sizes) -> Sample:
    """A long first window over samples, then convolutions and poolings (Dai et al., 2017)."""
    channels, steps = sizes.channels(8, 64), sizes.log_uniform(1000, 16000)
    kernel, activation = sizes.pick(10, 16, 32, 40, 80), sizes.activation()
    first = over_time(1, channels, kernel, stride=sizes.pick(4, 8), activation=activation)
    layers: list[nn.Module] = [first, nn.MaxPool1d(4)]
    for _ in range(sizes.pick(1, 2, 3)):
        after = sizes.channels(channels, 2 * channels + 2)
        layers += [over_time(channels, after, 3, activation=activation), nn.MaxPool1d(2)]
        channels = after
    return nn.Sequential(*layers, _last(sizes, channels)), (1, 1, steps)


def spectrogram(sizes: Sizes) -> Sample:
    """Separable convolutions over a spectrogram as an image that is not square."""
    height, width = sizes.log_uniform(24, 128), sizes.pick(10, 13, 32, 40, 64, 80)
    channels, activation = sizes.channels(16, 96), sizes.activation()
    kernel, stride = ((10, 4), (8, 3), (5, 5))[sizes.pick(0, 1, 2)], (2, sizes.pick(1, 2))
    layers: list[nn.Module] = [convolved(1, channels, kernel, stride=stride, activation=activation)]
    for _ in range(sizes.pick(2, 3, 4, 5)):
        layers.append(depthwise(channels, 3, activation=activation))
        layers.append(pointwise(channels, channels, activation))
    head = nn.Linear(channels, sizes.pick(*_CLASSES))
    pool = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, *pool, head), (1, 1, height, width)


def recurrent(sizes: Sizes) -> Sample:
    """Convolutions over time, then a short recurrence over what they leave."""
    features, channels, hidden = (
        sizes.pick(3, 6, 10, 40),
        sizes.channels(16, 64),
        sizes.channels(16, 96),
    )
    steps, activation = sizes.pick(8, 12, 16, 24), sizes.activation()
    first = over_time(features, channels, 5, stride=2, activation=activation)
    layer = (nn.GRU if sizes.chance(0.5) else nn.LSTM)(channels, hidden, batch_first=True)
    head = nn.Linear(hidden, sizes.pick(*_CLASSES))

    def run(x: torch.Tensor) -> torch.Tensor:
        states = layer(first(x).transpose(1, 2))[0]
        result: torch.Tensor = head(states[:, -1])
        return result

    return Apply(run, first, layer, head), (1, features, steps)


def perceptrons(sizes: Sizes) -> Sample:
    """Linear layers on a vector: a classifier of features, or an autoencoder of them."""
    features, activation = sizes.log_uniform(8, 640), ACTIVATIONS[sizes.any_activation()]
    widths = [features, *(sizes.channels(8, 256) for _ in range(sizes.pick(2, 3, 4, 6)))]
    widths.append(features if sizes.chance(0.4) else sizes.pick(*_CLASSES))
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), activation()]
    return nn.Sequential(*layers[:-1]), (1, features)
