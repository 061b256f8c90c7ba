"""What a compiler makes of an operator before it runs: how many operations, and one of them.

An accelerator has limits. A convolution or pooling with a larger stride than it has, and nothing
around the image, becomes one operation an output pixel (ethos-u-vela, `UnrollKernelStrides`); with
padding, and for a depthwise convolution, one operation an element of the kernel
(`DecomposeForStrides`). A larger dilation becomes a larger kernel with zeros between its weights
(`FixupDilationGT2`). Groups become convolutions of their own, and a batch of matrix products as
many single ones. A transposed convolution is a plain one of the image with zeros between its
pixels, or, for each of its steps, one of the image as it is with a part of the kernel
(`DecomposeTransposeConv2DLargeStride`). A transposition is made of swaps (`swapping.py`).

Axes: `O` operators.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas_ray.estimate.array import Array as ArithmeticArray
from nas_ray.estimate.operator_table import KINDS, Array, OperatorTable

_CONVOLUTIONS = tuple(float(KINDS.index(kind)) for kind in ("conv", "pointwise"))
_DEPTHWISE = float(KINDS.index("depthwise"))
_SLIDING = (*_CONVOLUTIONS, _DEPTHWISE, float(KINDS.index("pool")))
_TRANSPOSED = float(KINDS.index("transposed_conv"))


@dataclass(frozen=True, kw_only=True)
class Operations:
    """`count` `(O,)` operations, each with the columns `(O,)` of one.

    Kernels are as the hardware runs them, with the zeros that a dilation needs; `reach_height` and
    `reach_width` are what they cover of the input, or of a larger kernel the part that is worked on
    at a time, `parts` how many such parts there are. `weights` counts no zeros.
    """

    count: Array
    height: Array
    width: Array
    channels: Array
    channels_in: Array
    kernel_height: Array
    kernel_width: Array
    reach_height: Array
    reach_width: Array
    parts: Array
    stride_height: Array
    stride_width: Array
    weights: Array
    read: Array
    written: Array

    @property
    def window(self) -> Array:
        """Elements of the kernel `(O,)`."""
        return np.asarray(self.kernel_height * self.kernel_width)


def operations(table: OperatorTable, array: ArithmeticArray | None) -> Operations:
    """Return what each operator of `table` becomes on `array`; itself where none is known."""
    large = _has_large_stride(table, array)
    is_split = large & (_is_padded(table) | (table["kind"] == _DEPTHWISE))
    unrolled = large & ~is_split
    is_convolution = np.isin(table["kind"], _CONVOLUTIONS)
    groups = np.where(is_convolution, table["groups"], 1.0)
    pixels = np.where(unrolled, table["height"] * table["width"], 1.0)
    taps = np.where(is_split, table["kernel_height"] * table["kernel_width"], 1.0)
    steps = _steps(table, array)
    dealt = steps.prod(axis=1)
    parts = groups * pixels * taps * table["batches"] * dealt
    kernel, reach = (
        [
            np.where(is_split, 1.0, np.ceil(side(table, axis, array) / steps[:, n]))
            for n, axis in enumerate(("height", "width"))
        ]
        for side in (_kernel, _reach)
    )
    limit = float(array.kernel_limit) if array and array.kernel_limit else np.inf
    return Operations(
        count=parts * table["swaps"],
        height=np.where(unrolled, 1.0, np.ceil(table["height"] / steps[:, 0])),
        width=np.where(unrolled, 1.0, np.ceil(table["width"] / steps[:, 1])),
        channels=table["channels"] / groups,
        channels_in=table["channels_in"] / groups,
        kernel_height=kernel[0],
        kernel_width=kernel[1],
        reach_height=np.minimum(reach[0], limit),
        reach_width=np.minimum(reach[1], limit),
        parts=np.maximum(1, np.ceil(reach[0] / limit)) * np.maximum(1, np.ceil(reach[1] / limit)),
        stride_height=np.where(unrolled, 1.0, table["stride_height"]),
        stride_width=np.where(unrolled, 1.0, table["stride_width"]),
        weights=table["weights"] / groups / taps / dealt,
        # Each swap of a transposition reads and writes all of it.
        read=table["read"] / parts,
        written=table["written"] / parts,
    )


def _steps(table: OperatorTable, array: ArithmeticArray | None) -> Array:
    """Return `(O, 2)`: the convolutions along height and width that make a transposed one."""
    strides = np.stack([table["stride_height"], table["stride_width"]], axis=1)
    is_dealt = (table["kind"] == _TRANSPOSED) & bool(array and array.splits_transposed)
    return np.where(is_dealt[:, None], strides, 1.0)


def _has_large_stride(table: OperatorTable, array: ArithmeticArray | None) -> NDArray[np.bool_]:
    most = array.largest_stride if array and array.largest_stride else np.inf
    is_large = (table["stride_height"] > most) | (table["stride_width"] > most)
    return np.asarray(is_large & np.isin(table["kind"], _SLIDING))


def _is_padded(table: OperatorTable) -> NDArray[np.bool_]:
    """Tell where a window reaches beyond the image."""
    beyond = np.zeros(len(table), dtype=np.bool_)
    for side in ("height", "width"):
        wanted = (table[side] - 1) * table[f"stride_{side}"] + _reach(table, side, None)
        beyond |= wanted > table[f"{side}_in"]
    return beyond


def _reach(table: OperatorTable, side: str, _: ArithmeticArray | None) -> Array:
    """Return the side of what a kernel covers of the input."""
    return np.asarray((table[f"kernel_{side}"] - 1) * table[f"dilation_{side}"] + 1)


def _kernel(table: OperatorTable, side: str, array: ArithmeticArray | None) -> Array:
    """Return the side of the kernel as it runs, with zeros where a dilation is too large."""
    kernel, dilation = table[f"kernel_{side}"], table[f"dilation_{side}"]
    most = array.largest_dilation if array and array.largest_dilation else np.inf
    kept = np.where((dilation > most) & (dilation % most == 0), most, 1.0)
    zeros = np.where(dilation > most, dilation / kept, 1.0)
    return np.asarray((kernel - 1) * zeros + 1)
