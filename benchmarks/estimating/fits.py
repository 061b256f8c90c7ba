"""Regressions on parts of a table, and simpler ones: the only place here that fits anything.

Axes: `N` rows of the table, `G` parts of graphs, `O` operators.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nas_ray.device import as_measured
from nas_ray.estimate.boosting import fit_trees
from nas_ray.estimate.effort import RESOURCES, effort
from nas_ray.estimate.features import features
from nas_ray.estimate.hardware import Hardware
from nas_ray.estimate.latency import LatencyModel
from nas_ray.estimate.operator_table import Array, OperatorTable, operator_table
from nas_ray.estimate.regression import fit_latency
from nas_ray.estimate.samples import Measured, samples
from nas_ray.estimate.trees import Trees
from nas_ray.graph import Graph, subgraphs
from nas_ray.measure.table import Row

#: Graphs in, latencies in ms `(N,)` out.
Predict = Callable[[Sequence[Graph]], Array]


@dataclass(frozen=True, kw_only=True)
class Table:
    """The rows of a table, read once; `measured` is what a regression is fitted to."""

    hardware: Hardware
    rows: tuple[Row, ...]
    measured: tuple[Measured, ...]

    def some(self, places: Sequence[int]) -> "Table":
        """The rows at `places`."""
        return Table(
            hardware=self.hardware,
            rows=tuple(self.rows[n] for n in places),
            measured=tuple(self.measured[n] for n in places),
        )

    @property
    def has_shares(self) -> bool:
        """Whether every row says what each of its operators takes."""
        return all(one.operators_ms for one in self.measured)


def as_table(hardware: Hardware, rows: Sequence[Row]) -> Table:
    """`rows` with their signatures parsed."""
    return Table(hardware=hardware, rows=tuple(rows), measured=tuple(as_measured(rows)))


def regression(table: Table) -> Predict:
    """What a device is fitted to, on these rows alone."""
    model = _fitted(table)

    def predict(parts: Sequence[Graph]) -> Array:
        operators = operator_table(parts)
        return operators.total(model.operators_ms(operators))

    return lambda graphs: _summed(graphs, predict)


def without_prior(table: Table) -> Predict:
    """Trees on the logarithm of latency: the same features but for what the roofline guesses.

    The guess is replaced by a constant, which leaves nothing to split on. Needs `has_shares`.
    """
    found, hardware = samples(table.measured), table.hardware
    used = found.operators_ms > 0
    trees = fit_trees(_raw(found.table, hardware)[used], np.log(found.operators_ms[used]))
    model = _fitted(table)

    def predict(parts: Sequence[Graph]) -> Array:
        operators = operator_table(parts)
        return operators.total(_without_free(operators, model, trees, hardware))

    return lambda graphs: _summed(graphs, predict)


def macs_only(table: Table) -> Predict:
    """One factor from MACs to ms, with the least mean relative error on the table.

    The minimum of sum |factor * macs / ms - 1| is a median of ms / macs weighted by macs / ms.
    """
    macs = np.array([one.graph.macs for one in table.measured], dtype=float)
    latency_ms = np.array([one.latency_ms for one in table.measured])
    has_any = macs > 0
    ratio = latency_ms[has_any] / macs[has_any]
    order = np.argsort(ratio)
    weight = np.cumsum(1 / ratio[order])
    factor = ratio[order][np.searchsorted(weight, weight[-1] / 2)]
    return lambda graphs: np.array([factor * graph.macs for graph in graphs])


def _fitted(table: Table) -> LatencyModel:
    everything = np.ones(len(table.measured), dtype=np.bool_)
    return fit_latency(samples(table.measured), table.hardware, everything)


def _summed(graphs: Sequence[Graph], predict: Callable[[Sequence[Graph]], Array]) -> Array:
    """Each graph as the sum of its subgraphs, all of them predicted at once."""
    parts = [subgraphs(graph) for graph in graphs]
    owner = np.repeat(np.arange(len(parts)), [len(found) for found in parts])
    latency_ms = predict([part for found in parts for part in found])
    return np.bincount(owner, latency_ms, len(parts)).astype(np.float64)


def _without_free(
    operators: OperatorTable, model: LatencyModel, trees: Trees, hardware: Hardware
) -> Array:
    """`(O,)`: what the trees say, and nothing for operators that cost nothing after another."""
    latency_ms = np.exp(trees.predict(_raw(operators, hardware)))
    return np.where(model.operators_ms(operators) == 0, 0.0, latency_ms)


def _raw(operators: OperatorTable, hardware: Hardware) -> Array:
    factor = hardware.parallelism_factor
    work = effort(operators, hardware.array, factor, hardware.macs_per_cycle)
    constant = np.ones((len(operators), len(RESOURCES) + 1))
    return features(operators, work, constant, constant[:, 0], hardware)
