"""What each part of the cascade adds on the main job: digits on ethos-u85-2048, networks trained.

    python benchmarks/main_job_parts.py --seeds 0 1 2 --plot docs/parts.svg --json

The cascade, the cascade without one of its parts, and Ray Tune with Optuna's NSGA-II on the same
space and task, one after another. Compared is the hypervolume of the networks that were trained in
full: validation accuracy (above .8) against estimated latency (below the baseline's), as a share of
what the networks of all methods and seeds reach together. A network counts when its last epoch is
reported; time runs from the call of the search, Ray's start included.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from ray import tune
from ray.tune.search.optuna import OptunaSearch
from rich.console import Console
from rich.table import Table
from searching.parts_plot import parts_plot

import nas_ray
from nas_ray.pareto import hypervolume
from nas_ray.tune import LightningTrial
from nas_ray.tune.local import ray_runtime
from search_spaces import classification
from trainables.classification import Digits, data, task

DEVICE = "ethos-u85-2048"
LEAST_ACCURACY = 0.8
CONCURRENT = 2

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A trial that is over: when, since the start of the search; its point if trained in full."""

    seconds: float
    accuracy: float
    latency_ms: float
    in_full: bool


@dataclass(frozen=True, kw_only=True)
class Job:
    """What every method is given."""

    space: nas_ray.SearchSpace
    device: nas_ray.Device
    trials: int
    epochs: int


Method = Callable[[Job, int, Path], None]


def main() -> None:
    """Run every method with every seed, print a table, and with --json one JSON object."""
    options = _options()
    device = nas_ray.load_device(DEVICE)
    space = classification.space(
        num_classes=Digits.num_classes, channel_multiple=device.hardware.parallelism_factor
    )
    job = Job(space=space, device=device, trials=options.trials, epochs=options.epochs)
    costs = device.estimate_configs(space, [space.baseline])
    reference = np.array([1 - LEAST_ACCURACY, float(costs["latency_ms"].iloc[0])])
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.storage or Path(temporary)
        runs = {
            name: [_run(job, name, seed, folder) for seed in options.seeds]
            for name in options.methods
        }
    together = _reached([f for of_method in runs.values() for run in of_method for f in run])
    exact = hypervolume(together, reference)
    shares = {
        name: [_shares(run, reference, exact) for run in of_method]
        for name, of_method in runs.items()
    }
    Console(width=150).print(_table(shares, runs, options))
    if options.plot:
        parts_plot(shares, options.plot)
    if options.json:
        print(json.dumps({
            "device": DEVICE, "seeds": options.seeds, "trials": options.trials,
            "max_epochs": options.epochs, "shares": shares,
        }))  # fmt: skip


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument(
        "--storage", type=Path, help="folder for the searches (default: thrown away)"
    )
    parser.add_argument("--plot", type=Path, help="draw hypervolume over trials and time here")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    options = parser.parse_args()
    if options.storage and options.storage.exists() and any(options.storage.iterdir()):
        parser.error(f"--storage must be a new folder, but {options.storage} is not empty.")
    return options


def _cascade(job: Job, seed: int, folder: Path, **parts: Any) -> None:
    nas_ray.search(
        job.space,
        task,
        data,
        device=job.device,
        trials=job.trials,
        max_epochs=job.epochs,
        resources=nas_ray.Resources(max_concurrent=CONCURRENT),
        storage=folder,
        seed=seed,
        **parts,
    )


def _ray_tune(job: Job, seed: int, folder: Path) -> None:
    """As someone would write it who has Ray Tune and Optuna and nothing else."""
    trial = LightningTrial(
        job.space, task, data, device=job.device, max_epochs=job.epochs, seed=seed
    )
    with ray_runtime():
        tune.Tuner(
            tune.with_resources(trial, {"cpu": 1}),
            tune_config=tune.TuneConfig(
                search_alg=OptunaSearch(
                    space=job.space.suggest,
                    metric=["accuracy", "latency_ms"],
                    mode=["max", "min"],
                    sampler=optuna.samplers.NSGAIISampler(seed=seed),
                ),
                num_samples=job.trials,
                max_concurrent_trials=CONCURRENT,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(name="trials", storage_path=str(folder), verbose=0),
        ).fit()


METHODS: Mapping[str, Method] = {
    "cascade": _cascade,
    "no zero-shot": partial(_cascade, screen=nas_ray.Screen(scored=0)),
    "no surrogate": partial(_cascade, surrogate=False),
    "no early stopping": partial(_cascade, early_stopping=False),
    "Ray Tune + Optuna NSGA-II": _ray_tune,
}


def _run(job: Job, method: str, seed: int, folder: Path) -> list[Finished]:
    """The finished trials of one search, in the order in which they ended."""
    storage = folder / f"{method.replace(' ', '-')}-{seed}"
    begun = time.time()
    METHODS[method](job, seed, storage)
    found = [_finished(path, begun, job.epochs) for path in storage.rglob("result.json")]
    print(f"{method}, seed {seed}: {len(found)} trials, {time.time() - begun:.0f} s", flush=True)
    return sorted((f for f in found if f is not None), key=lambda f: f.seconds)


def _finished(path: Path, begun: float, epochs: int) -> Finished | None:
    """What Ray Tune's own log of a trial says; None where it has no report."""
    reports = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if not reports or "accuracy" not in reports[-1]:
        return None
    last = reports[-1]
    return Finished(
        seconds=last["timestamp"] - begun,
        accuracy=last["accuracy"],
        latency_ms=last["latency_ms"],
        in_full=last["epoch"] == epochs,
    )


def _reached(finished: list[Finished]) -> Array:
    """Minimised points `(N, 2)` of the networks that were trained in full."""
    points = [[1 - f.accuracy, f.latency_ms] for f in finished if f.in_full]
    return np.array(points, dtype=float).reshape(-1, 2)


def _shares(run: list[Finished], reference: Array, exact: float) -> list[tuple[float, float]]:
    """After each trial: seconds, and the share of the hypervolume."""
    return [
        (run[n].seconds, hypervolume(_reached(run[: n + 1]), reference) / exact)
        for n in range(len(run))
    ]


def _table(
    shares: Mapping[str, list[list[tuple[float, float]]]],
    runs: Mapping[str, list[list[Finished]]],
    options: argparse.Namespace,
) -> Table:
    marks = [-(-options.trials // 4), -(-options.trials // 2), options.trials]
    # The same time for all: when the fastest search was over.
    seconds = min(run[-1][0] for of_method in shares.values() for run in of_method)
    table = Table(
        "", *(f"after {n} trials" for n in marks), f"after {seconds:.0f} s", "in full", "seconds",
        title=f"share of hypervolume, median (lowest-highest) of seeds {options.seeds}",
    )  # fmt: skip
    for name, of_method in shares.items():
        after = [[run[min(n, len(run)) - 1][1] for run in of_method] for n in marks]
        after.append([_at(run, seconds) for run in of_method])
        full = median(sum(f.in_full for f in run) for run in runs[name])
        lasted = median(run[-1][0] for run in of_method)
        cells = [f"{median(s):.4f} ({min(s):.4f}-{max(s):.4f})" for s in after]
        table.add_row(name, *cells, f"{full:.0f}", f"{lasted:.0f}")
    return table


def _at(run: list[tuple[float, float]], seconds: float) -> float:
    reached = [share for when, share in run if when <= seconds]
    return reached[-1] if reached else 0.0


if __name__ == "__main__":
    main()
