"""What the latency of an operator is regressed on: its work, its shape, and its neighbours.

Axes: `O` operators, `F` features. A neighbour on the other side of a cut is unknown: NaN.
"""

import numpy as np

from nas_ray.estimate.effort import Effort
from nas_ray.estimate.hardware import Hardware
from nas_ray.estimate.operator_table import Array, OperatorTable
from nas_ray.estimate.tiling import round_up

#: Changes whenever a feature, or what is kept of a fit, does: older fits are of no use then.
VERSION = 10


#: Values that are equal but for rounding are equal: a split must not depend on the last bits.
DIGITS = 9


def features(
    table: OperatorTable, work: Effort, bounds_ms: Array, guess_ms: Array, hardware: Hardware
) -> Array:
    """Return `(O, F)`; `bounds_ms` `(O, R + 1)` and `guess_ms` `(O,)` come from the roofline."""
    brick = hardware.array.brick_channels if hardware.array else hardware.parallelism_factor
    guess = np.log(guess_ms)
    found = [
        *_of_roofline(bounds_ms, guess),
        *_of_kind(table, brick),
        *_of_shape(table),
        *_of_making(table, work),
        *_of_amount(table, work),
        *_of_channels(table, brick, hardware.parallelism_factor),
        *_of_neighbours(table, work, guess),
    ]
    rounded: Array = np.column_stack(found).astype(np.float64).round(DIGITS)
    return rounded


def _of_roofline(bounds_ms: Array, guess: Array) -> list[Array]:
    ordered = np.sort(bounds_ms, axis=1)
    largest = ordered[:, -1]
    return [
        guess,
        *np.log(bounds_ms / largest[:, None]).T,
        np.log(ordered[:, -2] / largest),
        np.log(largest) - guess,
    ]


def _of_kind(table: OperatorTable, brick: int) -> list[Array]:
    return [
        *(table[name] for name in ("kind", "variant", "activation", "along_channels", "padding")),
        *(table[name] for name in ("operands", "results", "reads_input", "writes_output")),
        *(_alignment(table[name], brick) for name in ("joined_step", "sliced_step")),
    ]


def _of_shape(table: OperatorTable) -> list[Array]:
    sides = ("height_in", "width_in", "channels_in", "height", "width", "channels")
    window = ("kernel_height", "kernel_width", "stride_height", "stride_width")
    return [
        *(table[name] for name in (*sides, *window, "groups", "swaps")),
        table["dilation_height"] * table["dilation_width"],
        table["channels_in"] / table["groups"],
        table["channels"] / table["groups"],
        np.log1p(table["extent"]),
    ]


def _of_making(table: OperatorTable, work: Effort) -> list[Array]:
    return [
        *(work.window, work.parts, np.log1p(work.operations)),
        *(work.passes, work.blocks, work.slices, work.is_kernel_first.astype(np.float64)),
        *work.block.T,
        work.micro[:, 2],
        np.log1p(work.first_block) - np.log1p(work.bounds["arithmetic"]),
        np.log1p(np.minimum(work.block[:, 2], table["channels"])),
    ]


def _of_amount(table: OperatorTable, work: Effort) -> list[Array]:
    weights, padded, macs = map(np.log1p, (table["weights"], work.padded_weights, table["macs"]))
    return [
        np.log1p(table["read"]) - np.log1p(table["written"]),
        *(weights, padded, macs, padded - np.log1p(work.blocks), weights - macs),
    ]


def _of_channels(table: OperatorTable, brick: int, factor: int) -> list[Array]:
    """Return whether channels fill whole bricks, and how full they leave the lanes."""
    names = ("channel_step", "channels_in", "channels")
    return [
        *((table[name] % brick == 0).astype(np.float64) for name in names),
        *(table[name] / round_up(table[name], factor) for name in names[1:]),
    ]


def _of_neighbours(table: OperatorTable, work: Effort, guess: Array) -> list[Array]:
    weights = np.log1p(table["weights"])
    # Where the network ends is 0, on a device of any speed.
    padded_next = table.of_next(np.log1p(work.padded_weights))
    return [
        table.of_previous(table["kind"] + 1),
        table.of_next(table["kind"] + 1),
        table.of_previous(guess - np.log(1e-6)),
        table.of_previous(weights),
        table.of_next(weights),
        np.where(padded_next > 0, padded_next - guess, padded_next),
    ]


def _alignment(step: Array, brick: int) -> Array:
    """Return 0 for no joint, 1 for one on whole bricks of channels, 2 for one between them."""
    return np.where(step == 0, 0.0, np.where(step % brick == 0, 1.0, 2.0))
