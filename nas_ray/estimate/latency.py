"""Latency of subgraphs, regressed on a measurement table.

What is learned is the latency of an operator beside its neighbours; a subgraph takes the sum.
First a roofline (`roofline.py`), then boosted trees on what is left, log(measured / roofline).
Where a back-end says what a subgraph takes and not what each operator does, shares are guessed
from the roofline and then from the regression itself, a few rounds (expectation maximisation).

Axes: `G` graphs, `O` operators, `K` kinds, `B` properties whose range the table covers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas_ray.estimate.effort import Effort, effort
from nas_ray.estimate.features import features
from nas_ray.estimate.hardware import Hardware
from nas_ray.estimate.operator_table import KINDS, Array, OperatorTable, operator_table
from nas_ray.estimate.roofline import Roofline, fit_roofline
from nas_ray.estimate.samples import Samples
from nas_ray.estimate.trees import Trees, fit_trees
from nas_ray.graph import Graph

#: Rounds of guessing shares where the table has none.
_ROUNDS = 2
#: A property may lie this factor outside the table's range before an estimate is a guess.
_SLACK = 1.1
_BOUNDED = ("height", "width", "channels_in", "channels", "window", "macs", "weights")
_DEPTHWISE = KINDS.index("depthwise")
#: Operators of a kind, after another kind, that take no time in this share of cases are free.
_MOSTLY = 0.5


@dataclass(frozen=True, kw_only=True)
class LatencyModel:
    """A fitted regression.

    `free` `(K, K + 1)` says which kinds take no time of their own after another (the first column
    is the beginning of a graph); `low` and `high` `(K, B + 1)` is what the table covers, in
    logarithms: nothing for a kind it does not have.
    """

    hardware: Hardware
    roofline: Roofline
    trees: Trees
    free: NDArray[np.bool_]
    low: Array
    high: Array

    def predict_ms(self, graphs: Sequence[Graph]) -> tuple[Array, NDArray[np.bool_]]:
        """Latency of each graph, and whether it lies outside what the table covers; both `(G,)`."""
        table = operator_table(graphs)
        if not len(table):
            return np.zeros(len(graphs)), np.zeros(len(graphs), dtype=np.bool_)
        outside = table.total(self._is_outside(table).astype(np.float64)) > 0
        return table.total(self.operators_ms(table)), outside

    def operators_ms(self, table: OperatorTable) -> Array:
        """Latency of each operator `(O,)`."""
        work = _effort(table, self.hardware)
        rows, guess_ms = _inputs(table, work, self.roofline, self.hardware)
        latency_ms = guess_ms * np.exp(self.trees.predict(rows))
        return np.where(_is_free(table, self.free), 0.0, latency_ms)

    def _is_outside(self, table: OperatorTable) -> NDArray[np.bool_]:
        kind = _kind(table)
        values = _bounded(table)
        slack = np.log(_SLACK)
        within = (values >= self.low[kind] - slack) & (values <= self.high[kind] + slack)
        return np.asarray(~within.all(axis=1))


def fit_latency(found: Samples, hardware: Hardware, rows: NDArray[np.bool_]) -> LatencyModel:
    """The regression on those samples for whose row `rows` `(N,)` is set."""
    table = found.table
    work = _effort(table, hardware)
    used = rows[found.operator_row]
    free = _free(table, found.operators_ms, used)
    used &= ~_is_free(table, free)
    operators_ms = _first_shares(found, hardware, work)
    is_guess = np.isnan(found.operators_ms)
    used &= operators_ms > 0
    roofline, trees = _fit(table, work, hardware, operators_ms, used)
    for _ in range(_ROUNDS if is_guess[used].any() else 0):
        inputs, guess_ms = _inputs(table, work, roofline, hardware)
        predicted = np.where(_is_free(table, free), 0.0, guess_ms * np.exp(trees.predict(inputs)))
        scale = found.latency_ms / np.maximum(found.row_total(predicted), 1e-12)
        operators_ms = np.where(is_guess, predicted * scale[found.operator_row], operators_ms)
        roofline, trees = _fit(table, work, hardware, operators_ms, used)
    low, high = _ranges(table, rows[found.operator_row])
    return LatencyModel(
        hardware=hardware, roofline=roofline, trees=trees, free=free, low=low, high=high
    )


def _fit(
    table: OperatorTable,
    work: Effort,
    hardware: Hardware,
    operators_ms: Array,
    used: NDArray[np.bool_],
) -> tuple[Roofline, Trees]:
    kind = _kind(table)
    roofline = fit_roofline(_some(work, used), kind[used], operators_ms[used])
    inputs, guess_ms = _inputs(table, work, roofline, hardware)
    return roofline, fit_trees(inputs[used], np.log(operators_ms[used] / guess_ms[used]))


def _effort(table: OperatorTable, hardware: Hardware) -> Effort:
    return effort(table, hardware.array, hardware.parallelism_factor, hardware.macs_per_cycle)


def _some(work: Effort, used: NDArray[np.bool_]) -> Effort:
    return Effort(
        bounds={name: values[used] for name, values in work.bounds.items()},
        **{name: values[used] for name, values in vars(work).items() if name != "bounds"},
    )


def _inputs(
    table: OperatorTable, work: Effort, roofline: Roofline, hardware: Hardware
) -> tuple[Array, Array]:
    kind = _kind(table)
    bounds_ms = roofline.bounds_ms(work, kind)
    guess_ms = roofline.latency_ms(work, kind, bounds_ms)
    factor = hardware.parallelism_factor
    return features(table, work, bounds_ms, guess_ms, factor), guess_ms


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


def _kind(table: OperatorTable) -> NDArray[np.intp]:
    return table["kind"].astype(np.intp)


def _previous_kind(table: OperatorTable) -> NDArray[np.intp]:
    """Number of the kind before, plus one; 0 at the beginning of a graph."""
    return np.nan_to_num(table.of_previous(table["kind"] + 1)).astype(np.intp)


def _free(table: OperatorTable, operators_ms: Array, used: NDArray[np.bool_]) -> NDArray[np.bool_]:
    count, zero = (np.zeros((len(KINDS), len(KINDS) + 1)) for _ in range(2))
    pair = (_kind(table)[used], _previous_kind(table)[used])
    np.add.at(count, pair, 1.0)
    np.add.at(zero, pair, operators_ms[used] == 0)
    return np.asarray(zero > _MOSTLY * count)


def _is_free(table: OperatorTable, free: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(free[_kind(table), _previous_kind(table)])


def _bounded(table: OperatorTable) -> Array:
    """`(O, B + 1)`: properties in logarithms; the last one is groups, but of depthwise ones."""
    groups = np.where(table["kind"] == _DEPTHWISE, 1.0, table["groups"])
    return np.column_stack([np.log1p(table[name]) for name in _BOUNDED] + [np.log(groups)])


def _ranges(table: OperatorTable, used: NDArray[np.bool_]) -> tuple[Array, Array]:
    values, kind = _bounded(table)[used], _kind(table)[used]
    low = np.full((len(KINDS), values.shape[1]), np.inf)
    high = np.full((len(KINDS), values.shape[1]), -np.inf)
    np.minimum.at(low, kind, values)
    np.maximum.at(high, kind, values)
    return low, high
