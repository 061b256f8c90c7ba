"""What is asked of a search, and how the answer is measured.

Accuracies are mean accuracies of the benchmark, without noise. Hypervolume is a share of that of
the exact front, both axes scaled to [0, 1]. Notation: `N` networks, `q` queries in their order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nas_ray import Constraint, Objective
from nas_ray.pareto import hypervolume, non_dominated
from searching.tables import Config, Table

Array = NDArray[np.float64]
Rows = Sequence[int]


@dataclass(frozen=True, kw_only=True)
class Optimum:
    """Find the network of the best accuracy: how many queries until it was among them."""

    name: str
    table: Table
    accuracy: str
    queries: int = 150
    costs: tuple[str, ...] = ("macs", "params")

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What is improved."""
        return (Objective("accuracy", "max"),)

    constraints: tuple[Constraint, ...] = ()

    def is_over(self, row: int) -> bool:
        """Whether the search can stop: the optimum was asked for."""
        return bool(self.table.columns[self.accuracy][row] == self._best)

    @cached_property
    def _best(self) -> float:
        return float(self.table.columns[self.accuracy].max())

    def measured(self, rows: Rows) -> dict[str, float]:
        """Queries to the optimum; one more than the budget where it was not found."""
        found = [n for n, row in enumerate(rows, 1) if self.is_over(row)]
        return {"queries": found[0] if found else self.queries + 1}


@dataclass(frozen=True, kw_only=True)
class Front:
    """Find the front of accuracy and a cost: the share of the exact front's hypervolume.

    The reference point is `worst_accuracy` and the largest cost of the table.
    """

    name: str
    table: Table
    accuracy: str
    cost: str
    worst_accuracy: float
    points: tuple[int, ...]
    constraints: tuple[Constraint, ...] = ()

    @property
    def queries(self) -> int:
        """The budget."""
        return max(self.points)

    @property
    def costs(self) -> tuple[str, ...]:
        """What is known before training."""
        return tuple(dict.fromkeys((self.cost, "macs", "params")))

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What is improved."""
        return (Objective("accuracy", "max"), Objective(self.cost, "min"))

    def is_over(self, row: int) -> bool:  # noqa: ARG002 - one signature for all tasks
        """Never before the budget is spent."""
        return False

    @cached_property
    def _scaled(self) -> Array:
        """Minimised points `(N, 2)`; the reference point is (1, 1)."""
        accuracy, cost = self.table.columns[self.accuracy], self.table.columns[self.cost]
        best = accuracy.max()
        return np.column_stack(
            [(best - accuracy) / (best - self.worst_accuracy), cost / cost.max()]
        )

    @cached_property
    def _exact(self) -> float:
        points = self._scaled[(self._scaled < 1).all(axis=1)]
        return hypervolume(points[non_dominated(points)], np.ones(2))

    def share(self, rows: Rows) -> float:
        """The share of the exact hypervolume that these networks have."""
        return hypervolume(self._scaled[list(rows)], np.ones(2)) / self._exact

    def measured(self, rows: Rows) -> dict[str, float]:
        """Shares after some numbers of queries."""
        return {f"share@{n}": self.share(rows[:n]) for n in self.points}


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Find the best accuracy within an upper bound on a cost: regret in points of accuracy."""

    name: str
    table: Table
    accuracy: str
    cost: str
    upper: float
    points: tuple[int, ...] = (20, 50, 100)

    @property
    def queries(self) -> int:
        """The budget."""
        return max(self.points)

    @property
    def costs(self) -> tuple[str, ...]:
        """What is known before training."""
        return tuple(dict.fromkeys((self.cost, "macs", "params")))

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What is improved."""
        return (Objective("accuracy", "max"),)

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """What every network must keep to."""
        return (Constraint(self.cost, upper=self.upper),)

    def is_over(self, row: int) -> bool:  # noqa: ARG002 - one signature for all tasks
        """Never before the budget is spent."""
        return False

    def measured(self, rows: Rows) -> dict[str, float]:
        """Regrets after some numbers of queries; raises where a query breaks the bound."""
        accuracy, cost = self.table.columns[self.accuracy], self.table.columns[self.cost]
        if (cost[list(rows)] > self.upper).any():
            raise ValueError(f"{self.name}: a network was proposed that breaks the bound.")
        best = accuracy[cost <= self.upper].max()
        return {f"regret@{n}": float(best - accuracy[list(rows[:n])].max()) for n in self.points}


Task = Optimum | Front | Budget


def answer(task: Task, config: Config) -> dict[str, float]:
    """What training the network of `config` tells."""
    return {"accuracy": task.table.value(config, task.accuracy)}


def known(task: Task, config: Config) -> dict[str, float]:
    """What is known of the network of `config` before it is trained."""
    return {name: task.table.value(config, name) for name in task.costs}
