"""Searches side by side on benchmarks of trained networks, all baselines in one run.

    python benchmarks/search.py --data ../shared/data --seeds 20 --json --plot docs/search.svg

Tasks, measures and methods are in benchmarks/searching/. Each method runs with the same seeds on
each task; printed are medians with quartiles over the seeds. For a group of budgets the regrets are
averaged over the budgets first, and the mean over the seeds is given beside.
"""

import argparse
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table as Printed
from searching.methods import METHODS
from searching.plotting import plot
from searching.running import run
from searching.suite import tasks
from searching.tasks import Front, Task

Rows = list[int]


def main() -> None:
    """Run what was asked for, print a table a task, and with --json one JSON object."""
    options = _options()
    if not (options.data / "nasbench201.csv.gz").is_file():
        print(f"Skipped: no nasbench201.csv.gz in {options.data}. Name the folder by --data.")
        return
    groups = [g for g in tasks(options.data) if options.tasks in g[0].name]
    # "cifar100" alone is a task of that name, not all that begin with it.
    groups = [g for g in groups if g[0].name == options.tasks] or groups
    if not groups:
        print(f"No task has {options.tasks!r} in its name; see benchmarks/searching/suite.py.")
        return
    console = Console(width=120)
    found: dict[str, Any] = {}
    shares: dict[str, dict[str, list[list[float]]]] = {}
    for group in groups:
        begun = time.monotonic()
        runs = _runs(group, options)
        found[group[0].name] = {method: _summary(group, rows) for method, rows in runs.items()}
        console.print(_printed(group[0].name, found[group[0].name], options.seeds))
        console.print(f"{time.monotonic() - begun:.0f} s\n")
        if isinstance(group[0], Front) and options.plot:
            shares[group[0].name] = _curves(group[0], runs)
    if options.json:
        print(json.dumps({"seeds": options.seeds, "workers": options.workers, "tasks": found}))
    if shares:
        plot(shares, options.plot)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("NAS_RAY_DATA", "../shared/data"))
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--tasks", default="", help="only tasks with this in their name")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--workers", type=int, default=1, help="networks trained at a time")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--plot", type=Path, help="draw hypervolume against queries to this file")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    options = parser.parse_args()
    if options.seeds < 1 or options.workers < 1:
        parser.error("--seeds and --workers must be at least 1")
    return options


def _runs(group: Sequence[Task], options: argparse.Namespace) -> dict[str, list[list[Rows]]]:
    """Queries by method, seed and task of the group."""
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    # The tables are large and the tasks hold functions: a process reads them itself.
    with ProcessPoolExecutor(
        options.processes, initializer=_read, initargs=(options.data, group[0].name)
    ) as pool:
        waiting = {
            method: [pool.submit(_one, method, seed, options.workers) for seed in seeds]
            for method in options.methods
        }
        return {method: [run.result() for run in runs] for method, runs in waiting.items()}


_GROUP: list[Task] = []


def _read(data: Path, name: str) -> None:
    _GROUP[:] = next(group for group in tasks(data) if group[0].name == name)


def _one(method: str, seed: int, workers: int) -> list[Rows]:
    return [run(task, method, seed, workers) for task in _GROUP]


def _summary(group: Sequence[Task], runs: Sequence[Sequence[Rows]]) -> dict[str, Any]:
    """Quartiles over the seeds of each measure, after a mean over the tasks of the group."""
    measured = [
        [task.measured(rows) for task, rows in zip(group, one, strict=True)] for one in runs
    ]
    columns = {
        name: np.mean([[task[name] for task in one] for one in measured], axis=1)
        for name in measured[0][0]
    }
    return {
        name: {
            "median": float(np.median(values)),
            "q25": float(np.quantile(values, 0.25)),
            "q75": float(np.quantile(values, 0.75)),
            "mean": float(values.mean()),
            "worst": float(values.min() if name.startswith("share") else values.max()),
        }
        for name, values in columns.items()
    }


def _curves(task: Front, runs: dict[str, list[list[Rows]]]) -> dict[str, list[list[float]]]:
    """Shares after 10, 20, ... queries by method and seed."""
    steps = range(10, task.queries + 1, 10)
    return {
        method: [[task.share(one[0][:n]) for n in steps] for one in of_method]
        for method, of_method in runs.items()
    }


def _printed(name: str, methods: dict[str, Any], seeds: int) -> Printed:
    measures = list(next(iter(methods.values())))
    title = f"{name}: median, quartiles, worst of {seeds} seeds, and mean"
    table = Printed("", *measures, title=title)
    for method, measured in methods.items():
        table.add_row(method, *(_cell(name, measured[name]) for name in measures))
    return table


def _cell(name: str, of: dict[str, float]) -> str:
    digits = 1 if name == "queries" else 4 if name.startswith("share") else 3
    numbers = [f"{of[key]:.{digits}f}" for key in ("median", "q25", "q75", "worst", "mean")]
    return "{} [{}, {}] {}, {}".format(*numbers)


if __name__ == "__main__":
    main()
