"""How well zero-shot scores rank networks whose accuracy after training is known.

    python benchmarks/zero_shot.py --data ../shared/data --scores runs/zero_shot --json

NAS-Bench-201: random cells, three initialisations. NAS-Bench-Macro: random networks, one. Each
score and each log-rank ensemble by three figures - Kendall tau, the same among pairs whose FLOPs
differ by at most 5 %, recall of the best tenth when the best quarter is kept - beside parameters
and FLOPs. Scores are kept in the folder `--scores`; a run that is stopped goes on from there.

`--all` instead scores every network of both, by the default scores and a few that come with their
passes, with initialisation 0, and writes benchmarks/scores/. On 2,000 networks it compares all
log-rank sums of those scores, and prints the best.
"""

import argparse
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from scoring.comparison import ENSEMBLES, best_sums, compared, printable
from scoring.kept import scored, seconds, write
from scoring.tables import Benchmark, nas_bench_201, nas_bench_macro

from nas_ray import zero_shot

#: What `--all` computes: the default scores, those that need no further pass, and descriptors.
SHARED = (
    *(*zero_shot.DEFAULT_SCORES, "complexity", "depth", "naswot", "progressivity"),
    *zero_shot.DESCRIPTORS,
)
WRITTEN = (*zero_shot.DEFAULT_SCORES, "complexity", "depth", *zero_shot.DESCRIPTORS)
#: What does not depend on the initial weights.
FIXED = ("zen", "complexity", "depth", "effective_macs")
TIMED = 15
#: Networks on which `--all` compares all log-rank sums.
COMPARED = 2000
COLUMNS = ("tau", "tau_spread", "tau_of_mean", "tau_equal_flops", "recall")

Result = dict[str, Any]


def benchmarks(data: Path) -> Iterator[tuple[Benchmark, int, Path]]:
    """The benchmarks in the folder `data`, how many initialisations each gets, their files here."""
    here = Path(__file__).parent / "scores"
    for file, read, seeds in (
        ("nasbench_macro.csv.gz", nas_bench_macro, 1),
        ("nasbench201.csv.gz", nas_bench_201, 3),
    ):
        if (data / file).is_file():
            yield read(data), seeds, here / file
        else:
            print(f"Skipped: no {file} in {data}. Name the folder by --data or NAS_RAY_DATA.")


def sampled(benchmark: Benchmark, networks: int, seeds: int, folder: Path) -> Result:
    """All scores on random `networks`, drawn with seed 2, and their seconds."""
    order = np.random.default_rng(2).permutation(len(benchmark.networks))
    chosen = order[:networks]
    classes = [benchmark.classes[m] for m in chosen]
    kept = [scored(benchmark, classes, [*zero_shot.SCORES], 0, folder)]
    for seed in range(1, seeds):
        random = [name for name in zero_shot.SCORES if name not in FIXED]
        fixed = {one: {name: kept[0][one][name] for name in FIXED} for one in classes}
        new = scored(benchmark, classes, random, seed, folder)
        kept.append({one: fixed[one] | new[one] for one in classes})
    return {
        "networks": len(chosen),
        "initialisations": seeds,
        "data": compared(benchmark, chosen, kept),
        "seconds": seconds(benchmark, classes[:TIMED]),
    }


def complete(benchmark: Benchmark, folder: Path, path: Path) -> Result:
    """The scores that share passes on all networks, written to `path`."""
    chosen = np.random.default_rng(2).permutation(len(benchmark.networks))
    classes = [benchmark.classes[m] for m in chosen]
    # The cache may know more of some of them.
    kept = {
        network: {name: scores[name] for name in SHARED if name in scores}
        for network, scores in scored(benchmark, classes, SHARED, 0, folder).items()
    }
    write(benchmark, kept, WRITTEN, path)
    return {
        "networks": len(chosen),
        "initialisations": 1,
        "data": compared(benchmark, chosen, [kept]),
        "seconds": {},
        "best_sums": best_sums(benchmark, np.sort(chosen[:COMPARED]), kept),
    }


def show(name: str, result: Result, console: Console) -> None:
    """One table for each data set, the best first."""
    for data, rows in result["data"].items():
        title = f"{name}, {data}: {result['networks']} networks, {result['initialisations']} inits"
        table = Table(*("score", *COLUMNS, "seconds"), title=title)
        for score, row in sorted(rows.items(), key=lambda item: -item[1]["tau"]):
            figures = [f"{row[column]:.3f}" for column in COLUMNS]
            time_s = result["seconds"].get(score)
            table.add_row(score, *figures, "" if time_s is None else f"{time_s:.3f}")
        console.print(table)
    if "best_sums" in result:
        best = Table(
            "place", "tau", "tau_equal_flops", "recall", "log-rank sum", title=f"{name}: best"
        )
        for members, row in result["best_sums"].items():
            figures = [f"{row[column]:.3f}" for column in ("tau", "tau_equal_flops", "recall")]
            best.add_row(str(row["place"]), *figures, members)
        console.print(best)


def plot(results: Mapping[str, Result], path: Path) -> None:
    """Bars of Kendall tau, over all pairs and those of equal FLOPs."""
    panels = [(n, d, rows) for n, r in results.items() for d, rows in r["data"].items()]
    figure, axes = plt.subplots(1, len(panels), figsize=(5 * len(panels), 7), layout="tight")
    for axis, (name, data, rows) in zip(np.atleast_1d(axes), panels, strict=True):
        shown = [score for score in rows if "without" not in score]
        shown.sort(key=lambda score: rows[score]["tau"])
        places = np.arange(len(shown))
        for key, shift, label in (
            ("tau", 0.2, "all pairs"),
            ("tau_equal_flops", -0.2, "equal FLOPs"),
        ):
            axis.barh(places + shift, [rows[score][key] for score in shown], 0.4, label=label)
        axis.set_yticks(places, shown)
        axis.set_xlabel("Kendall tau with accuracy")
        axis.set_title(f"{name}, {data}")
        axis.legend(loc="lower right")
    figure.savefig(path)


def main() -> None:
    """Score, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("NAS_RAY_DATA", "../shared/data")
    )
    parser.add_argument("--scores", type=Path, default=Path("runs/zero_shot"))
    parser.add_argument("--cells", type=int, default=1000, help="random cells of NAS-Bench-201")
    parser.add_argument("--macro", type=int, default=600, help="networks of NAS-Bench-Macro")
    parser.add_argument("--all", action="store_true", help="score every network, write scores/")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    parser.add_argument("--plot", type=Path, help="an image to write, such as scores.svg")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    counts = {"NAS-Bench-201": arguments.cells, "NAS-Bench-Macro": arguments.macro}
    results: dict[str, Result] = {}
    for benchmark, seeds, path in benchmarks(Path(arguments.data)):
        name = benchmark.name
        if arguments.all:
            results[name] = complete(benchmark, arguments.scores, path)
        else:
            results[name] = sampled(benchmark, counts[name], seeds, arguments.scores)
        show(name, results[name], Console(width=120))
    if arguments.plot and results:
        plot(results, arguments.plot)
    if arguments.json:
        ensembles = {name: list(members) for name, members in ENSEMBLES.items()}
        print(json.dumps({"ensembles": ensembles, **printable(results)}))


if __name__ == "__main__":
    main()
