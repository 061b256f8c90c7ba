"""What a pass that is made block by block is to the blocks: shape, kernel and what it reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, prod

from nas_ray.estimate.array import Array, Block
from nas_ray.estimate.operator_table import squarest
from nas_ray.estimate.passes import Buffer, Pass
from nas_ray.graph import Graph, Operator


@dataclass(frozen=True, kw_only=True)
class Making:
    """A pass made block by block: height, width and channels of its output.

    `kernel` is how it is stored and `patch` its sides on the input, of which it reads `channels_in`
    for an output.
    """

    one: Pass
    shape: Block
    channels_in: int
    kernel: tuple[int, int]
    patch: tuple[int, int]
    stride: tuple[int, int]
    reads: Buffer
    writes: Buffer
    weights: int

    @property
    def is_by_channel(self) -> bool:
        """Whether an output channel is made from one of the input."""
        return self.channels_in == 1 and (self.weights == 0 or self.one.kind == "depthwise_conv")


def making_of(graph: Graph, one: Pass, buffers: Sequence[Buffer], array: Array) -> Making:
    """Describe what `one` of the passes of `graph` makes on `array`."""
    height, width, channels = image(one.shape)
    kernel, patch, channels_in, weights = one.kernel, one.kernel, 1, 0
    stride = one.stride
    if one.operator >= 0:
        operator = graph.operators[one.operator]
        before = graph.shape(operator.inputs[0])
        kernel, patch = _kernels(operator, array)
        channels_in, weights = before[1 if len(before) > 2 else -1], operator.weight_elements
        if operator.kind == "linear":
            height, width = squarest(prod(one.shape[:-1]))
            channels, channels_in = one.shape[-1], before[-1]
        elif operator.kind == "transposed_conv":
            stride = (1, 1)
            if one.share < 1:
                (down, across), (rows, columns) = operator.stride, kernel
                kernel = (ceil(rows / down), ceil(columns / across))
                height, width = ceil(height / down), ceil(width / across)
        else:
            channels_in //= operator.groups
            channels = round(channels * one.share)
    return Making(
        one=one,
        shape=(height, width, channels),
        channels_in=channels_in,
        kernel=kernel,
        patch=patch,
        stride=stride,
        reads=buffers[one.reads[0]],
        writes=buffers[one.writes],
        weights=round(weights * one.share),
    )


def image(shape: tuple[int, ...]) -> Block:
    """Height, width and channels of a tensor; a signal has the height 1."""
    height, width = (1, 1, *shape[2:])[-2:]
    return height, width, shape[1] if len(shape) > 1 else 1


def _kernels(operator: Operator, array: Array) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the kernel as it is stored, with zeros in wide gaps, and its sides on the input."""
    high, wide = ((k - 1) * d + 1 for k, d in zip(operator.kernel, operator.dilation, strict=True))
    most = array.largest_dilation
    if not most or max(operator.dilation) <= most:
        return operator.kernel, (high, wide)
    gaps = [most if step % most == 0 else 1 for step in operator.dilation]
    return ((high - 1) // gaps[0] + 1, (wide - 1) // gaps[1] + 1), (high, wide)
