"""Benchmarks of trained networks as search spaces whose costs, scores and accuracies are known."""

import csv
import gzip
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nasbench_macro
import numpy as np
from numpy.typing import NDArray

from nas_ray import Categorical, SearchSpace
from nas_ray.zero_shot import DEFAULT_SCORES, DESCRIPTORS

Array = NDArray[np.float64]
Config = Mapping[str, Any]

_SCORES = Path(__file__).parents[1] / "scores"


class Table:
    """Every network of a space with what is known of it: `columns[name]` are numbers `(N,)`.

    `scores` are zero-shot scores and descriptors of the untrained networks, of one initialisation
    (`benchmarks/zero_shot.py --all`).
    """

    def __init__(
        self, space: SearchSpace, columns: Mapping[str, Array], rows: Mapping[str, int], file: str
    ) -> None:
        self.space = space
        self.columns = columns
        self._rows = rows
        self._scores = _read_scores(_SCORES / file)

    def row(self, config: Config) -> int:
        """Where the network of `config` is in the columns."""
        return self._rows[_digits(config)]

    def value(self, config: Config, column: str) -> float:
        """One number of the network of `config`."""
        return float(self.columns[column][self.row(config)])

    def scores(self, config: Config) -> Mapping[str, float]:
        """Scores and descriptors of the untrained network of `config`."""
        return self._scores[_digits(config)]


def _digits(config: Config) -> str:
    return "".join(str(value) for value in config.values())


def nas_bench_201(data: Path) -> Table:
    """All 15,625 cells. Each was trained on its own, so none stands for another."""
    rows = _read(data / "nasbench201.csv.gz")
    choices = {f"edge{n}": Categorical(*range(5)) for n in range(6)}
    names = [name for name in rows[0] if name != "ops"]
    return Table(
        SearchSpace(name="nas-bench-201", choices=choices),
        {name: _column(rows, name) for name in names},
        {row["ops"]: n for n, row in enumerate(rows)},
        "nasbench201.csv.gz",
    )


def nas_bench_macro(data: Path) -> Table:
    """The 3,969 different networks of eight layers; MACs are the benchmark's FLOPs."""
    found = _read(data / "nasbench_macro.csv.gz")
    first = {row["canonical"].zfill(8): row for row in reversed(found)}
    rows = list(first.values())
    choices = {f"layer{n}": Categorical(*range(3)) for n in range(8)}
    return Table(
        SearchSpace(
            name="nas-bench-macro",
            choices=choices,
            canonical_form=_canonical(nasbench_macro.canonical),
        ),
        {
            "accuracy": _column(rows, "mean_acc"),
            "macs": _column(rows, "flops"),
            "params": _column(rows, "params"),
        },
        {digits: n for n, digits in enumerate(first)},
        "nasbench_macro.csv.gz",
    )


def _canonical(
    form: Callable[[tuple[int, ...]], tuple[int, ...]],
) -> Callable[[Config], dict[str, Any]]:
    return lambda config: dict(zip(config, form(tuple(config.values())), strict=True))


def _read(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _column(rows: list[dict[str, str]], name: str) -> Array:
    return np.array([float(row[name]) for row in rows])


def _read_scores(path: Path) -> dict[str, dict[str, float]]:
    """Default scores and descriptors by network; one that could not be computed is left out."""
    wanted = {*DEFAULT_SCORES, *DESCRIPTORS}
    rows = [list(row.items()) for row in _read(path)]
    return {
        digits: {name: float(value) for name, value in scores if value and name in wanted}
        for (_, digits), *scores in rows
    }
