"""What early stopping saves: training time to the same hypervolume, with and without it.

    python benchmarks/multi_fidelity.py --data ../shared/data --seeds 20 --json

NAS-Bench-201 on CIFAR-10, accuracy against a cost. A network is trained for 200 epochs, or for 12
first: its validation accuracy then is in the table, and patient rungs say who is trained on. Time
is counted in epochs, one network after another. Compared are medians over the seeds: how long the
search with rungs takes to the hypervolume that the one without has after some numbers of networks.
"""

import argparse
import json
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table as Printed
from searching.methods import cascade
from searching.suite import cell_front
from searching.tables import nas_bench_201
from searching.tasks import Front, answer

from nas_ray.evolution import Rungs

Array = NDArray[np.float64]

LOW = "cifar10_val_acc_12ep"
SHORT, LONG = 12, 200
REDUCTION_FACTOR = 16
#: Networks trained in full whose hypervolume is to be reached, and the time that is given for it.
REACHED = (50, 100)
HORIZON = 10_000
#: The rungs were tuned on the first cost.
COSTS = ("macs", "pixel3_ms", "raspi4_ms")


def main() -> None:
    """Run both on every cost, print a table, and with --json one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("NAS_RAY_DATA", "../shared/data"))
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    options = parser.parse_args()
    if not (options.data / "nasbench201.csv.gz").is_file():
        print(f"Skipped: no nasbench201.csv.gz in {options.data}. Name the folder by --data.")
        return
    table = Printed(
        "accuracy against", "networks", "hypervolume", "epochs in full", "with rungs", "ratio",
        title=f"training time to the same hypervolume, medians of {options.seeds} seeds",
    )  # fmt: skip
    found = {}
    with ProcessPoolExecutor(options.processes) as pool:
        for cost in COSTS:
            full = list(pool.map(partial(in_full, options.data, cost), range(options.seeds)))
            rungs = list(pool.map(partial(with_rungs, options.data, cost), range(options.seeds)))
            found[cost] = compared(full, rungs)
            for row in found[cost]:
                table.add_row(cost, *(_cell(value) for value in row.values()))
    Console(width=110).print(table)
    if options.json:
        print(json.dumps({"seeds": options.seeds, "reduction": REDUCTION_FACTOR, "costs": found}))


def in_full(data: Path, cost: str, seed: int) -> list[tuple[int, float]]:
    """Epochs spent and share of hypervolume after each network, all trained in full."""
    task = cell_front(nas_bench_201(data), "cifar10", cost)
    search, rows = cascade(task, seed), list[int]()
    spent: list[tuple[int, float]] = []
    for n in range(1, max(REACHED) + 1):
        config = search.ask()
        search.tell(config, answer(task, config))
        rows.append(task.table.row(config))
        spent.append((n * LONG, task.share(rows)))
    return spent


def with_rungs(data: Path, cost: str, seed: int) -> list[tuple[int, float]]:
    """The same with patient rungs after 12 epochs; only networks trained in full count."""
    task = cell_front(nas_bench_201(data), "cifar10", cost)
    run = _Halving(task, seed)
    spent: list[tuple[int, float]] = []
    while run.epochs < HORIZON:
        run.step()
        spent.append((run.epochs, task.share(run.rows)))
    return spent


class _Halving:
    """One worker that trains on whoever the rungs promote, and else begins a new network."""

    def __init__(self, task: Front, seed: int) -> None:
        self.epochs = 0
        self.rows: list[int] = []
        self._task = task
        self._search: Any = cascade(task, seed)
        self._rungs = Rungs(
            max_epochs=LONG,
            grace_epochs=SHORT,
            reduction_factor=REDUCTION_FACTOR,
            patient=True,
        )
        self._begun: dict[str, dict[str, Any]] = {}
        self._stopped: dict[str, None] = {}

    def step(self) -> None:
        promoted = self._rungs.promotable(self._stopped)
        if promoted is not None:
            self._rungs.promote(*promoted)
            del self._stopped[promoted[0]]
            self._finish(self._begun[promoted[0]])
        else:
            self._begin()

    def _begin(self) -> None:
        config = self._search.ask()
        trial = str(len(self._begun))
        self._begun[trial] = config
        self.epochs += SHORT
        low = self._task.table.value(config, LOW)
        cost = self._task.table.value(config, self._task.cost)
        if self._rungs.goes_on(trial, SHORT, [-low, cost]):
            self._finish(config)
            return
        self._search.tell_stopped(config, {"accuracy": low}, {SHORT: {"accuracy": low}})
        self._stopped[trial] = None

    def _finish(self, config: dict[str, Any]) -> None:
        self.epochs += LONG - SHORT
        low = {"accuracy": self._task.table.value(config, LOW)}
        high = answer(self._task, config)
        self._search.tell(config, high, {SHORT: low, LONG: high})
        self.rows.append(self._task.table.row(config))


def compared(
    full: Sequence[Sequence[tuple[int, float]]], rungs: Sequence[Sequence[tuple[int, float]]]
) -> list[dict[str, float | None]]:
    """For some numbers of networks: hypervolume, epochs without and with rungs, their ratio."""
    grid = np.arange(50, HORIZON + 1, 50)
    reached = np.median([_on(grid, one) for one in rungs], axis=0)
    rows: list[dict[str, float | None]] = []
    for networks in REACHED:
        share = float(np.median([one[networks - 1][1] for one in full]))
        enough = np.flatnonzero(reached >= share)
        epochs = float(grid[enough[0]]) if len(enough) else None
        ratio = None if epochs is None else epochs / (networks * LONG)
        rows.append({"networks": networks, "share": share, "epochs_full": networks * LONG,
                     "epochs_rungs": epochs, "ratio": ratio})  # fmt: skip
    return rows


def _on(grid: NDArray[np.int64], spent: Sequence[tuple[int, float]]) -> Array:
    """The share after each number of epochs; 0 before the first network was trained in full."""
    epochs, shares = np.array(spent, dtype=float).T
    last = np.searchsorted(epochs, grid, side="right") - 1
    return np.where(last >= 0, shares[last], 0.0)


def _cell(value: float | None) -> str:
    if value is None:
        return "not reached"
    return f"{value:.4f}" if value < 1 else f"{value:.0f}"


if __name__ == "__main__":
    main()
