"""What a search adds to Ray Tune: the same trivial trials with random search and FIFO."""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from ray import tune

from nas_ray import CascadeScheduler, CascadeSearch
from nas_ray.record import Record
from scaling import job

#: Trials at once in every run.
CONCURRENT = 2


def measured(trials: int, runs: int) -> dict[str, Any]:
    """Seconds of every kind of run, `runs` of each in turn, and their ratios to Ray Tune alone."""
    kinds: dict[str, Callable[[Path, int], tune.Tuner]] = {
        "Ray Tune, random and FIFO": _alone,
        "cascade": lambda folder, count: _cascade(folder, count, surrogate=True),
        "cascade without surrogate": lambda folder, count: _cascade(folder, count, surrogate=False),
    }
    seconds: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(runs):
        for name, make in kinds.items():
            seconds[name].append(_timed(make, trials))
    base = median(seconds["Ray Tune, random and FIFO"])
    return {
        "trials": trials,
        "seconds": seconds,
        "ratio": {name: median(times) / base for name, times in seconds.items()},
    }


def reuse(trials: int, runs: int) -> dict[str, Any]:
    """Seconds a trial with reused and with fresh actors, Ray Tune alone; how many times more."""
    reused, fresh = [], []
    for _ in range(runs):
        reused.append(_timed(_alone, trials) / trials)
        fresh.append(_timed(lambda f, n: _alone(f, n, reuse_actors=False), trials) / trials)
    return {
        "trials": trials,
        "reused_s": reused,
        "fresh_s": fresh,
        "ratio": median(fresh) / median(reused),
    }


def _timed(make: Callable[[Path, int], tune.Tuner], trials: int) -> float:
    # Neither writes result files: what is compared is the searches.
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        tuner = make(Path(folder), trials)
        begun = time.perf_counter()
        results = tuner.fit()
        seconds = time.perf_counter() - begun
    if len(results) < trials or results.errors:
        raise RuntimeError(f"{len(results)} trials ran, {len(results.errors)} failed.")
    return seconds


def _alone(folder: Path, trials: int, *, reuse_actors: bool = True) -> tune.Tuner:
    return tune.Tuner(
        job.train,
        param_space=job.space().to_tune(),
        tune_config=tune.TuneConfig(
            num_samples=trials,
            max_concurrent_trials=CONCURRENT,
            reuse_actors=reuse_actors,
        ),
        run_config=tune.RunConfig(storage_path=str(folder), verbose=0),
    )


def _cascade(folder: Path, trials: int, *, surrogate: bool) -> tune.Tuner:
    archive = job.archive(Record.open(folder, {"seed": 0}), surrogate=surrogate)
    return tune.Tuner(
        job.train,
        tune_config=tune.TuneConfig(
            search_alg=CascadeSearch(
                archive,
                trials=trials,
                max_concurrent=CONCURRENT,
                screen=job.SCREEN,
                train_baseline=False,
            ),
            scheduler=CascadeScheduler(archive=archive),
            num_samples=-1,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(name="checkpoints", storage_path=str(folder), verbose=0),
    )
