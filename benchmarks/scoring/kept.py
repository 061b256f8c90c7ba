"""Scores of many networks, kept in a file as they are computed: a run that is stopped goes on."""

import csv
import gzip
import math
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

from nas_ray import zero_shot
from nas_ray.errors import ScoreError
from scoring.tables import Benchmark

#: The shape of the random images that networks are scored on.
BATCH = (16, 3, 32, 32)

Scores = dict[str, float]


def scored(
    benchmark: Benchmark, networks: Sequence[str], names: Sequence[str], seed: int, folder: Path
) -> dict[str, Scores]:
    """The scores in `names` of each of `networks`, with initial weights and images of `seed`.

    A score that cannot be computed is nan. Rows are appended to a file in `folder`; a later row of
    a network adds to an earlier one.
    """
    path = folder / f"{benchmark.name.lower()}_seed{seed}.csv"
    kept = _read(path)
    missing = [n for n in dict.fromkeys(networks) if not kept.get(n, {}).keys() >= set(names)]
    folder.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["network", *zero_shot.SCORES, *zero_shot.DESCRIPTORS])
        if file.tell() == 0:
            writer.writeheader()
        for network in track(missing, f"{benchmark.name}, initialisation {seed}"):
            known = kept.setdefault(network, {})
            new = _score(benchmark, network, [name for name in names if name not in known], seed)
            known |= new
            writer.writerow({"network": network, **{k: f"{v:.7g}" for k, v in new.items()}})
            file.flush()
    return {network: kept[network] for network in networks}


def seconds(benchmark: Benchmark, networks: Sequence[str]) -> Scores:
    """Median seconds over `networks` of each score alone, and of the default ones together."""
    groups: dict[str, Sequence[str]] = {name: (name,) for name in zero_shot.SCORES}
    groups["default ensemble"] = zero_shot.DEFAULT_SCORES
    found: dict[str, list[float]] = {name: [] for name in groups}
    for network in networks:
        model, batch = _made(benchmark, network, seed=0)
        zero_shot.score(model, batch, ["depth"])  # the first run sets up memory
        for name, members in groups.items():
            start = time.perf_counter()
            zero_shot.score(model, batch, members)
            found[name].append(time.perf_counter() - start)
    return {name: float(np.median(times)) for name, times in found.items()}


def write(
    benchmark: Benchmark, scores: dict[str, Scores], names: Sequence[str], path: Path
) -> None:
    """One row for each network of `benchmark`, with `names` at five digits; nothing for nan."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without the time of writing in its header, the same scores are the same file.
    with gzip.GzipFile(path, "wb", mtime=0) as file:
        rows = [",".join([benchmark.column, *names])]
        for network, one in zip(benchmark.networks, benchmark.classes, strict=True):
            found = [scores[one][name] for name in names]
            rows.append(",".join([network, *("" if math.isnan(v) else f"{v:.5g}" for v in found)]))
        file.write(("\n".join(rows) + "\n").encode())


def _made(benchmark: Benchmark, network: str, seed: int) -> tuple[torch.nn.Module, torch.Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        batch = torch.randn(BATCH)
        return benchmark.network(network), batch


def _score(benchmark: Benchmark, network: str, names: Iterable[str], seed: int) -> Scores:
    passes = zero_shot.Passes(*_made(benchmark, network, seed))
    known = {**zero_shot.SCORES, **zero_shot.DESCRIPTORS}
    result = {}
    for name in names:
        try:
            result[name] = known[name](passes)
        except ScoreError:
            result[name] = math.nan
    return result


def _read(path: Path) -> dict[str, Scores]:
    kept: dict[str, Scores] = {}
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                scores = {k: float(v) for k, v in row.items() if k != "network" and v}
                kept.setdefault(row["network"], {}).update(scores)
    return kept
