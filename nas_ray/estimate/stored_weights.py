"""Bytes of weights, scales and biases as an accelerator stores them, compressed.

Axes: `M` layers.
"""

import numpy as np
from numpy.typing import NDArray

from nas_ray.estimate.array import Array
from nas_ray.estimate.staging import Floats, Staging
from nas_ray.estimate.tiling import Layers, round_up

#: Input channels, and channels of a depthwise convolution, that are stored together.
_TOGETHER = 8


def stored_bytes(
    layers: Layers,
    channels_in: Floats,
    window: Floats,
    weights: Floats,
    kernel_first: NDArray[np.bool_],
    staging: Staging,
    array: Array,
) -> Floats:
    """`(M,)`: what `weights` take, filled up with zeros in channels and kernel elements."""
    depthwise = layers.is_depthwise
    inside = np.where(depthwise, 1.0, channels_in)
    deep = float(array.input_channels[1])
    group = np.where(depthwise, 1.0, np.where(kernel_first, float(_TOGETHER), deep))
    lanes = np.where(depthwise | kernel_first, float(array.kernel_lanes), 1.0)
    outside = np.where(depthwise, float(_TOGETHER), layers.micro[:, 2])
    filled = round_up(layers.channels, outside) * round_up(inside, group) * round_up(window, lanes)
    rows = np.where(kernel_first[:, None], staging.kernel_first_bytes, staging.depth_first_bytes)
    rows = np.where(depthwise[:, None], staging.depthwise_bytes, rows)
    parts = [
        weights,
        filled - weights,
        round_up(layers.channels, array.brick_channels),
        np.ones(len(weights)),
    ]
    found = round_up((rows * np.stack(parts, axis=1)).sum(axis=1), float(array.brick_channels))
    return np.where(weights > 0, found, 0.0)
