"""Benchmarks of trained networks as tables: which networks there are and how good they became."""

import csv
import gzip
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import nasbench201
import nasbench_macro
import numpy as np
from numpy.typing import NDArray
from torch import nn

Array = NDArray[np.float64]
Choices = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """`M` networks, named by digits; `classes[m]` is the one that m is the same network as.

    `accuracies` in percent `(M,)` by data set; `params` and `flops` as the benchmark counts them.
    """

    name: str
    column: str
    networks: Sequence[str]
    classes: Sequence[str]
    accuracies: dict[str, Array]
    params: Array
    flops: Array
    build: Callable[[Choices], nn.Module]

    def network(self, digits: str) -> nn.Module:
        """The untrained network of a class."""
        return self.build(tuple(map(int, digits)))


def nas_bench_201(data: Path) -> Benchmark:
    """All 15,625 cells; two of the same live edges are the same network.

    What runs are the live edges: a branch that is never used has no influence on the accuracy.
    """
    rows = _rows(data / "nasbench201.csv.gz")
    cells = [row["ops"] for row in rows]
    return Benchmark(
        name="NAS-Bench-201",
        column="ops",
        networks=cells,
        classes=[_digits(_live(tuple(map(int, cell)))) for cell in cells],
        accuracies={
            "CIFAR-10": _column(rows, "cifar10_test_acc"),
            "CIFAR-100": _column(rows, "cifar100_test_acc"),
        },
        params=_column(rows, "params"),
        flops=_column(rows, "macs"),
        build=lambda cell: nasbench201.network(cell, as_compiled=any(cell)),
    )


def nas_bench_macro(data: Path) -> Benchmark:
    """The 3,969 different networks of NAS-Bench-Macro; its accuracies are means of 3 trainings."""
    rows = _rows(data / "nasbench_macro.csv.gz")
    first = {row["canonical"]: row for row in reversed(rows)}
    rows = [first[key] for key in sorted(first)]
    names = [row["canonical"].zfill(8) for row in rows]
    return Benchmark(
        name="NAS-Bench-Macro",
        column="canonical",
        networks=names,
        classes=names,
        accuracies={"CIFAR-10": _column(rows, "mean_acc")},
        params=_column(rows, "params"),
        flops=_column(rows, "flops"),
        build=nasbench_macro.network,
    )


def _live(cell: Choices) -> Choices:
    live = nasbench201.live_edges(cell)
    return tuple(op if n in live else nasbench201.NONE for n, op in enumerate(cell))


def _digits(choices: Choices) -> str:
    return "".join(map(str, choices))


def _rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _column(rows: Sequence[dict[str, str]], name: str) -> Array:
    return np.array([float(row[name]) for row in rows])
