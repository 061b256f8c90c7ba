"""What a compiler makes of an operator before it runs: how many operations, and one of them.

An accelerator has limits. A convolution or pooling with a larger stride than it has, and nothing
around the image, becomes one operation an output pixel (ethos-u-vela, `UnrollKernelStrides`). A
larger dilation becomes a larger kernel with zeros between its weights (`FixupDilationGT2`). Groups
become convolutions of their own, and a batch of matrix products as many single ones.

Axes: `O` operators.
"""

from dataclasses import dataclass

import numpy as np

from nas_ray.estimate.array import Array as ArithmeticArray
from nas_ray.estimate.operator_table import KINDS, Array, OperatorTable

_CONVOLUTIONS = tuple(float(KINDS.index(kind)) for kind in ("conv", "pointwise"))
_SLIDING = (*_CONVOLUTIONS, float(KINDS.index("pool")))


@dataclass(frozen=True, kw_only=True)
class Operations:
    """`count` `(O,)` operations, each with the columns `(O,)` of one.

    Kernels are as the hardware runs them, with the zeros that a dilation needs; `reach_height` and
    `reach_width` are what they cover of the input. `weights` counts no zeros.
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
    unrolled = _is_unrolled(table, array)
    is_convolution = np.isin(table["kind"], _CONVOLUTIONS)
    groups = np.where(is_convolution, table["groups"], 1.0)
    pixels = np.where(unrolled, table["height"] * table["width"], 1.0)
    count = groups * pixels * table["batches"]
    by_kernel = [_kernel(table, side, array) for side in ("height", "width")]
    return Operations(
        count=count,
        height=np.where(unrolled, 1.0, table["height"]),
        width=np.where(unrolled, 1.0, table["width"]),
        channels=table["channels"] / groups,
        channels_in=table["channels_in"] / groups,
        kernel_height=by_kernel[0],
        kernel_width=by_kernel[1],
        reach_height=(table["kernel_height"] - 1) * table["dilation_height"] + 1,
        reach_width=(table["kernel_width"] - 1) * table["dilation_width"] + 1,
        stride_height=np.where(unrolled, 1.0, table["stride_height"]),
        stride_width=np.where(unrolled, 1.0, table["stride_width"]),
        weights=table["weights"] / groups,
        read=table["read"] / count,
        written=table["written"] / count,
    )


def _is_unrolled(table: OperatorTable, array: ArithmeticArray | None) -> Array:
    most = array.largest_stride if array and array.largest_stride else np.inf
    is_large = (table["stride_height"] > most) | (table["stride_width"] > most)
    return np.asarray(is_large & np.isin(table["kind"], _SLIDING) & ~_is_padded(table))


def _is_padded(table: OperatorTable) -> Array:
    """Tell where a window reaches beyond the image."""
    beyond = np.zeros(len(table), dtype=np.bool_)
    for side in ("height", "width"):
        reach = (table[f"kernel_{side}"] - 1) * table[f"dilation_{side}"] + 1
        wanted = (table[side] - 1) * table[f"stride_{side}"] + reach
        beyond |= wanted > table[f"{side}_in"]
    return beyond


def _kernel(table: OperatorTable, side: str, array: ArithmeticArray | None) -> Array:
    """Return the side of the kernel as it runs, with zeros where a dilation is too large."""
    kernel, dilation = table[f"kernel_{side}"], table[f"dilation_{side}"]
    most = array.largest_dilation if array and array.largest_dilation else np.inf
    kept = np.where((dilation > most) & (dilation % most == 0), most, 1.0)
    zeros = np.where(dilation > most, dilation / kept, 1.0)
    return np.asarray((kernel - 1) * zeros + 1)
