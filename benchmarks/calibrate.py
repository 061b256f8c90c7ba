"""Ranking real devices by a compiler's estimates and a few networks measured on them.

    python benchmarks/calibrate.py --data ../shared/data --cache cells.json.gz --json

NAS-Bench-201 with latencies measured by others (HW-NAS-Bench, HELP): networks drawn at random are
measured, the estimator is corrected by them, and the same 2,000 other cells are ranked each time.
Settings of the correction were fixed on pixel2 and gold_6226; pixel3 and raspi4 are the test.
What ran differs. On pixel2 and gold_6226 cells without a path from input to output take as long as
others: all six edges ran. On pixel3 and raspi4 a compiler had removed what does nothing, by the
rule of `compiled_edges`, which was read off cells of pixel3 outside the test cells.
"""

import argparse
import csv
import gzip
import json
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nasbench201 import compiled, live_edges, network
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.stats import spearmanr

import nas_ray
from nas_ray.estimate.correction import fit_correction
from nas_ray.graph import Graph, parse_signature, signature, subgraphs, trace

Array = NDArray[np.float64]
Cell = tuple[int, ...]

#: Whether a compiler removed edges before the network ran.
COMPILED = {"pixel2": False, "gold_6226": False, "pixel3": True, "raspi4": True}
TEST = 2000
#: Networks are drawn from so many others: 4,000 to trace, not 15,284.
POOL = 2000
#: Networks measured, and how many draws of them.
DRAWS = {5: 10, 10: 10, 100: 10, 900: 3}
METRICS = ("spearman", "mape", "within_10_percent")


@dataclass(frozen=True, kw_only=True)
class Cells:
    """`N` networks: `counts[n]` says how often each of the subgraphs in `parts` occurs.

    `run` are the cells as they ran: with the edges that a compiler removes as `none`.
    """

    cells: Sequence[Cell]
    run: Sequence[Cell]
    latency_ms: Array
    counts: Sequence[Mapping[str, int]]
    parts: Mapping[str, Graph]
    base_ms: Mapping[str, float]


def read_cells(data: Path, device: str) -> tuple[list[Cell], Array]:
    """The cells with a path from input to output, and their latencies on `device`."""
    path = data / "nasbench201.csv.gz"
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = [(tuple(map(int, row["ops"])), row) for row in csv.DictReader(file)]
    rows = [(cell, row) for cell, row in rows if live_edges(cell)]
    return [cell for cell, _ in rows], np.array([float(row[f"{device}_ms"]) for _, row in rows])


def draws(count: int) -> tuple[NDArray[np.intp], dict[int, list[NDArray[np.intp]]]]:
    """Indices of the test cells, and for each number of measurements those of every draw."""
    order = np.random.default_rng(0).permutation(count)
    pool = order[TEST : TEST + POOL]
    return order[:TEST], {
        n: [np.random.default_rng(1 + seed).choice(pool, n, replace=False) for seed in range(seeds)]
        for n, seeds in DRAWS.items()
    }


def counted(cell: Cell, *, as_compiled: bool) -> Counter[str]:
    """The subgraphs of the network of `cell`."""
    with torch.device("meta"):
        graph = trace(network(cell, as_compiled=as_compiled).eval(), torch.empty(1, 3, 32, 32))
    return Counter(signature(part) for part in subgraphs(graph))


def traced(
    cells: Iterable[Cell], *, as_compiled: bool, cache: Path | None
) -> dict[Cell, Counter[str]]:
    """Each cell's subgraphs; tracing takes 0.05 s a cell, so they may be kept at `cache`."""
    kept: dict[str, dict[str, int]] = {}
    if cache is not None and cache.is_file():
        kept = json.loads(gzip.decompress(cache.read_bytes()))
    keys = {cell: _key(cell, as_compiled=as_compiled) for cell in cells}
    new = sorted({key for key in keys.values() if key not in kept})
    for key in track(new, "tracing", disable=not new, console=Console(stderr=True)):
        kept[key] = counted(tuple(map(int, key[1:])), as_compiled=as_compiled)
    if cache is not None and new:
        cache.write_bytes(gzip.compress(json.dumps(kept).encode(), 1, mtime=0))
    return {cell: Counter(kept[key]) for cell, key in keys.items()}


def _key(cell: Cell, *, as_compiled: bool) -> str:
    digits = compiled(cell) if as_compiled else cell
    return ("p" if as_compiled else "a") + "".join(map(str, digits))


def spearman_mape_within(estimated_ms: Array, measured_ms: Array) -> tuple[float, float, float]:
    """The three METRICS."""
    error = np.abs(estimated_ms / measured_ms - 1)
    rank = float(spearmanr(estimated_ms, measured_ms).statistic)
    return rank, float(error.mean()), float((error <= 0.1).mean())


def corrected(all_cells: Cells, train: NDArray[np.intp], test: NDArray[np.intp]) -> Array:
    """The product: the estimator, corrected by the networks `train`."""
    correction = fit_correction(
        [all_cells.counts[n] for n in train],
        all_cells.parts,
        all_cells.base_ms,
        all_cells.latency_ms[train].tolist(),
    )
    keys = sorted({key for n in test for key in all_cells.counts[n]})
    base_ms = np.array([all_cells.base_ms[key] for key in keys])
    one = dict(
        zip(keys, correction.apply([all_cells.parts[key] for key in keys], base_ms), strict=True)
    )
    return _summed(all_cells, test, one)


def scaled(all_cells: Cells, train: NDArray[np.intp], test: NDArray[np.intp]) -> Array:
    """The estimator times one factor."""
    base = _summed(all_cells, train, all_cells.base_ms)
    factor = np.exp(np.mean(np.log(all_cells.latency_ms[train] / base)))
    return np.asarray(factor * _summed(all_cells, test, all_cells.base_ms))


def by_flops(all_cells: Cells, train: NDArray[np.intp], test: NDArray[np.intp]) -> Array:
    """A straight line through multiply-accumulates, least squares."""
    macs = {key: float(part.macs) for key, part in all_cells.parts.items()}
    line = np.polyfit(_summed(all_cells, train, macs), all_cells.latency_ms[train], 1)
    return np.asarray(np.polyval(line, _summed(all_cells, test, macs)))


def one_hot(all_cells: Cells, train: NDArray[np.intp], test: NDArray[np.intp]) -> Array:
    """Ridge (strength 1) on which of five operations each of the six edges has."""
    return _one_hot(all_cells.cells, all_cells.latency_ms, train, test)


def one_hot_run(all_cells: Cells, train: NDArray[np.intp], test: NDArray[np.intp]) -> Array:
    """The same on the cells as they ran: it knows what the corrected estimator knows."""
    return _one_hot(all_cells.run, all_cells.latency_ms, train, test)


def _one_hot(
    cells: Sequence[Cell], latency_ms: Array, train: NDArray[np.intp], test: NDArray[np.intp]
) -> Array:
    x = np.eye(5)[np.array(cells)].reshape(len(cells), -1)
    mean_x, mean_y = x[train].mean(axis=0), latency_ms[train].mean()
    centred = x[train] - mean_x
    weights = np.linalg.solve(
        centred.T @ centred + np.eye(x.shape[1]), centred.T @ (latency_ms[train] - mean_y)
    )
    return np.asarray((x[test] - mean_x) @ weights + mean_y)


METHODS: Mapping[str, Callable[[Cells, NDArray[np.intp], NDArray[np.intp]], Array]] = {
    "corrected estimator": corrected,
    "estimator x one factor": scaled,
    "FLOPs, linear": by_flops,
    "one-hot, ridge": one_hot,
    "one-hot as run, ridge": one_hot_run,
}


def _summed(all_cells: Cells, which: NDArray[np.intp], values: Mapping[str, float]) -> Array:
    return np.array([sum(values[key] * n for key, n in all_cells.counts[i].items()) for i in which])


def results(data: Path, name: str, estimator: str, cache: Path | None) -> list[dict[str, Any]]:
    """One row for each number of measurements and method, with quartiles over the draws."""
    cells, latency_ms = read_cells(data, name)
    test, trains = draws(len(cells))
    needed = np.unique(np.concatenate([test, *(draw for many in trains.values() for draw in many)]))
    found = traced([cells[n] for n in needed], as_compiled=COMPILED[name], cache=cache)
    parts = {key: parse_signature(key) for key in sorted({k for c in found.values() for k in c})}
    # All in one prediction: 10,000 subgraphs one by one take minutes.
    base = nas_ray.load_device(estimator)._estimator.latencies(parts)  # noqa: SLF001
    everything = Cells(
        cells=cells,
        run=[compiled(cell) if COMPILED[name] else cell for cell in cells],
        latency_ms=latency_ms,
        counts=[found.get(cell, Counter()) for cell in cells],
        parts=parts,
        base_ms={key: row.latency_ms for key, row in base.items()},
    )
    rows = []
    for n, many in trains.items():
        for method, estimate in METHODS.items():
            each = [
                spearman_mape_within(estimate(everything, train, test), latency_ms[test])
                for train in many
            ]
            quartiles = np.quantile(each, [0.25, 0.5, 0.75], axis=0).T
            numbers = dict(zip(METRICS, quartiles.round(5).tolist(), strict=True))
            rows.append(
                {"device": name, "measured": n, "draws": len(many), "method": method} | numbers
            )
    return rows


def show(rows: Sequence[Mapping[str, Any]], estimator: str) -> None:
    """A table: medians, and the quartiles of the rank correlation."""
    table = Table(title=f"NAS-Bench-201, estimates of {estimator} as the start, {TEST} test cells")
    for column in ("device", "measured", "method", "Spearman", "quartiles", "MAPE", "within 10 %"):
        table.add_column(column)
    for row in rows:
        low, middle, high = row["spearman"]
        table.add_row(
            row["device"],
            str(row["measured"]),
            row["method"],
            f"{middle:.3f}",
            f"{low:.3f}-{high:.3f}",
            f"{row['mape'][1]:.1%}",
            f"{row['within_10_percent'][1]:.0%}",
        )
    Console(width=110).print(table)


def main() -> None:
    """Print a table, and with --json one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("NAS_RAY_DATA"))
    parser.add_argument("--device", default="ethos-u85-2048", help="whose estimates are corrected")
    parser.add_argument(
        "--on", nargs="+", choices=COMPILED, default=list(COMPILED), help="real devices"
    )
    parser.add_argument("--cache", type=Path, help="file that keeps the traced cells")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    options = parser.parse_args()
    if options.data is None or not (options.data / "nasbench201.csv.gz").is_file():
        parser.error("--data (or NAS_RAY_DATA) must be a folder with nasbench201.csv.gz")
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    rows = []
    for name in options.on:
        rows += results(options.data, name, options.device, options.cache)
        show(rows[-len(METHODS) * len(DRAWS) :], options.device)
    if options.json:
        print(json.dumps({"estimator": options.device, "test": TEST, "results": rows}))


if __name__ == "__main__":
    main()
