"""Scores of many networks, kept in a file as they are computed: a run that is stopped goes on."""

import csv
import math
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path

import torch
from rich.progress import track

from nas_ray import zero_shot
from nas_ray.errors import ScoreError
from scoring.tables import Benchmark

#: The shape of the random images that networks are scored on.
BATCH = (16, 3, 32, 32)
#: Scores of shapes alone: the network need not be run.
STRUCTURAL = ("complexity", "depth", "effective_macs")

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
        writer = csv.DictWriter(file, ["network", *zero_shot.SCORES])
        if file.tell() == 0:
            writer.writeheader()
        for network in track(missing, f"{benchmark.name}, initialisation {seed}"):
            known = kept.setdefault(network, {})
            new = [name for name in names if name not in known]
            known |= score(benchmark, network, new, seed)
            writer.writerow({"network": network, **{name: f"{known[name]:.7g}" for name in new}})
            file.flush()
    return {network: kept[network] for network in networks}


def score(benchmark: Benchmark, network: str, names: Iterable[str], seed: int) -> Scores:
    """The scores in `names` of one network; nan for one that cannot be computed."""
    names = list(names)
    on_meta = set(names) <= set(STRUCTURAL)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        batch = torch.randn(BATCH)
        with torch.device("meta") if on_meta else nullcontext():
            model = benchmark.network(network)
    passes = zero_shot.Passes(model, batch.to("meta") if on_meta else batch)
    result = {}
    for name in names:
        try:
            result[name] = zero_shot.SCORES[name](passes)
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
