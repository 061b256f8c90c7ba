"""Fit the latency regression to measured samples.

Where a back-end says what a subgraph takes and not what each operator does, shares are guessed
from the profile, then from the regression itself, a few rounds (expectation maximisation).

Axes: `N` rows of the table, `O` operators.
"""

import numpy as np
from numpy.typing import NDArray

from nas_ray.estimate.boosting import fit_chances, fit_trees
from nas_ray.estimate.coverage import coverage_of
from nas_ray.estimate.effort import Effort
from nas_ray.estimate.features import DIGITS
from nas_ray.estimate.hardware import Hardware
from nas_ray.estimate.latency import LatencyModel, inputs, work_of
from nas_ray.estimate.operator_table import Array, OperatorTable
from nas_ray.estimate.roofline import Roofline
from nas_ray.estimate.roofs import fit_roofline
from nas_ray.estimate.samples import Samples
from nas_ray.estimate.trees import Trees

#: Rounds of guessing shares where the table has none.
_ROUNDS = 2


def fit_latency(found: Samples, hardware: Hardware, rows: NDArray[np.bool_]) -> LatencyModel:
    """The regression on those samples for whose row `rows` `(N,)` is set."""
    table = found.table
    work = work_of(table, hardware)
    within = rows[found.operator_row]
    operators_ms = _first_shares(found, hardware, work)
    is_guess = np.isnan(found.operators_ms)
    used = within & (operators_ms > 0)
    roofline, trees = _fit(table, work, hardware, operators_ms, used)
    for _ in range(_ROUNDS if is_guess[used].any() else 0):
        given, guess_ms = inputs(table, work, roofline, hardware)
        predicted = guess_ms * np.exp(trees.predict(given))
        scale = found.latency_ms / np.maximum(found.row_total(predicted), 1e-12)
        operators_ms = np.where(is_guess, predicted * scale[found.operator_row], operators_ms)
        roofline, trees = _fit(table, work, hardware, operators_ms, used)
    given, _ = inputs(table, work, roofline, hardware)
    return LatencyModel(
        hardware=hardware,
        roofline=roofline,
        trees=trees,
        paying=fit_chances(given[within], (operators_ms > 0)[within]),
        coverage=coverage_of(table, within),
    )


def _fit(
    table: OperatorTable,
    work: Effort,
    hardware: Hardware,
    operators_ms: Array,
    used: NDArray[np.bool_],
) -> tuple[Roofline, Trees]:
    kind = table.kind
    roofline = fit_roofline(_some(work, used), kind[used], operators_ms[used])
    given, guess_ms = inputs(table, work, roofline, hardware)
    target: Array = np.log(operators_ms[used] / guess_ms[used]).round(DIGITS)
    return roofline, fit_trees(given[used], target)


def _some(work: Effort, used: NDArray[np.bool_]) -> Effort:
    return Effort(
        bounds={name: values[used] for name, values in work.bounds.items()},
        **{name: values[used] for name, values in vars(work).items() if name != "bounds"},
    )


def _first_shares(found: Samples, hardware: Hardware, work: Effort) -> Array:
    """Latencies of operators; where unknown, a row's in proportion to what the profile says."""
    bandwidth = max(one.bandwidth_bytes_per_s for one in hardware.memories.values())
    compute_s = work.bounds["arithmetic"] / hardware.clock_hz
    moved = work.bounds["moved"] * hardware.activation_bytes
    stored = work.bounds["weights"] * hardware.weight_bytes
    guess = np.maximum(compute_s, (moved + stored) / bandwidth)
    total = np.maximum(found.row_total(guess), 1e-15)
    row = found.operator_row
    shared = guess / total[row] * found.latency_ms[row]
    return np.where(np.isnan(found.operators_ms), shared, found.operators_ms)
