"""The tasks.

Settings of the search were compared on NAS-Bench-Macro and on CIFAR-10; CIFAR-100 and the devices
are what it is judged by (docs/search.md).
"""

from pathlib import Path

import numpy as np

from searching.tables import Table, nas_bench_201, nas_bench_macro
from searching.tasks import Budget, Front, Optimum, Task

_DEVICES = ("pixel3", "raspi4", "gold_6226", "titan_rtx_256")
_MODELLED = ("eyeriss",)


def tasks(data: Path) -> list[list[Task]]:
    """Tasks in groups of one figure each: a group's regrets are averaged."""
    macro, cells = nas_bench_macro(data), nas_bench_201(data)
    fronts = [
        cell_front(cells, "cifar10", "macs"),
        *(cell_front(cells, "cifar100", f"{device}_ms") for device in (*_MODELLED, *_DEVICES[:3])),
    ]
    groups: list[list[Task]] = [
        [
            Front(
                name="macro x macs",
                table=macro,
                accuracy="accuracy",
                cost="macs",
                worst_accuracy=float(macro.columns["accuracy"].min()),
                points=(50, 100, 200, 500),
            )
        ],
        [_macro_budget(macro, millions * 1e6) for millions in range(20, 71, 10)],
    ]
    groups += [
        [Optimum(name=name, table=cells, accuracy=f"{name}_test_acc")]
        for name in ("cifar10", "cifar100")
    ]
    groups += [[front] for front in fronts]
    groups.append(
        [
            _device_budget(cells, device, quantile)
            for device in _DEVICES
            for quantile in (0.2, 0.4, 0.6)
        ]
    )
    return groups


def cell_front(cells: Table, dataset: str, cost: str) -> Front:
    """Accuracy on `dataset` against a cost, cells that are 20 points below the best left out."""
    accuracy = f"{dataset}_test_acc"
    return Front(
        name=f"{dataset} x {cost.removesuffix('_ms')}",
        table=cells,
        accuracy=accuracy,
        cost=cost,
        worst_accuracy=float(cells.columns[accuracy].max()) - 20,
        points=(20, 50, 100, 200),
    )


def _macro_budget(macro: Table, upper: float) -> Budget:
    return Budget(
        name="macro within FLOPs", table=macro, accuracy="accuracy", cost="macs", upper=upper
    )


def _device_budget(cells: Table, device: str, quantile: float) -> Budget:
    column = f"{device}_ms"
    return Budget(
        name="cifar100 within latency",
        table=cells,
        accuracy="cifar100_test_acc",
        cost=column,
        upper=float(np.quantile(cells.columns[column], quantile)),
    )
