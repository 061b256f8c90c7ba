"""What the latency of an operator is regressed on: its work, its shape, and its neighbours.

Axes: `O` operators, `F` features. A neighbour on the other side of a cut is unknown: NaN.
"""

import numpy as np

from nas_ray.estimate.effort import Effort
from nas_ray.estimate.hardware import Hardware
from nas_ray.estimate.operator_table import Array, OperatorTable
from nas_ray.estimate.tiling import round_up

#: Changes whenever a feature, or what is kept of a fit, does: older fits are of no use then.
VERSION = 9


def features(
    table: OperatorTable, work: Effort, bounds_ms: Array, guess_ms: Array, hardware: Hardware
) -> Array:
    """`(O, F)`; `bounds_ms` `(O, R + 1)` and `guess_ms` `(O,)` come from the roofline."""
    factor = hardware.parallelism_factor
    brick = hardware.array.brick_channels if hardware.array else factor
    ordered = np.sort(bounds_ms, axis=1)
    largest = ordered[:, -1]
    guess = np.log(guess_ms)
    log = np.log1p
    weights, padded = log(table["weights"]), log(work.padded_weights)
    own = [
        guess,
        *np.log(bounds_ms / largest[:, None]).T,
        np.log(ordered[:, -2] / largest),
        np.log(largest) - guess,
        table["kind"],
        table["variant"],
        table["activation"],
        table["along_channels"],
        table["height_in"],
        table["width_in"],
        table["channels_in"],
        table["height"],
        table["width"],
        table["channels"],
        work.window,
        table["kernel_height"],
        table["kernel_width"],
        table["stride_height"],
        table["stride_width"],
        table["dilation_height"] * table["dilation_width"],
        table["groups"],
        table["channels_in"] / table["groups"],
        table["channels"] / table["groups"],
        table["operands"],
        table["results"],
        table["padding"],
        table["channel_step"] % brick == 0,
        _alignment(table["joined_step"], brick),
        _alignment(table["sliced_step"], brick),
        table["reads_input"],
        table["writes_output"],
        log(table["extent"]),
        table["swaps"],
        work.parts,
        log(work.operations),
        log(table["read"]) - log(table["written"]),
        work.passes,
        work.blocks,
        work.slices,
        work.is_kernel_first,
        *work.block.T,
        work.micro[:, 2],
        log(work.first_block) - log(work.bounds["arithmetic"]),
        log(np.minimum(work.block[:, 2], table["channels"])),
        weights,
        padded,
        padded - log(work.blocks),
        log(table["macs"]),
        weights - log(table["macs"]),
        table["channels_in"] % brick == 0,
        table["channels"] % brick == 0,
        table["channels_in"] / round_up(table["channels_in"], factor),
        table["channels"] / round_up(table["channels"], factor),
    ]
    # Where the network ends is 0, on a device of any speed.
    padded_next = table.of_next(padded)
    around = [
        table.of_previous(table["kind"] + 1),
        table.of_next(table["kind"] + 1),
        table.of_previous(guess - np.log(1e-6)),
        table.of_previous(weights),
        table.of_next(weights),
        np.where(padded_next > 0, padded_next - guess, padded_next),
    ]
    return np.column_stack([*own, *around]).astype(np.float64)


def _alignment(step: Array, brick: int) -> Array:
    """Return 0 for no joint, 1 for one on whole bricks of channels, 2 for one between them."""
    return np.where(step == 0, 0.0, np.where(step % brick == 0, 1.0, 2.0))
