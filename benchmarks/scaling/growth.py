"""What a trial costs the controller as the archive grows, without Ray: its own part alone."""

import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from nas_ray.evolution import Archive
from nas_ray.evolution.archive import Started
from nas_ray.evolution.planning import TRAINED_PER_CHOICE
from nas_ray.evolution.screen import violation
from nas_ray.record import Batch, Record
from nas_ray.tune.pace import MOST
from scaling import job

#: Trials around the early and the late point that a time is the mean of.
WINDOW = 50
#: When trials report: at both rungs, where most are stopped, and at the end.
EPOCHS = (1, 3, 9)


def measured(trials: int, early: int) -> dict[str, Any]:
    """Mean seconds a trial at `early` and at the end, by part; memory in MiB; bytes written."""
    with tempfile.TemporaryDirectory() as folder:
        archive = job.archive(Record.open(folder, {"seed": 0}), max_epochs=EPOCHS[-1])
        before = _rss_mib()
        parts = _grown(archive, trials)
        choose_s = _a_choice_s(archive)
        written = (Path(folder) / "journal.jsonl").stat().st_size
        begun = time.perf_counter()
        replayed = job.archive(Record.open(folder, {"seed": 0}), max_epochs=EPOCHS[-1])
        replay_s = time.perf_counter() - begun
        if replayed.finished != trials:
            raise RuntimeError(f"{replayed.finished} of {trials} trials were replayed.")
    late = slice(trials - WINDOW, trials)
    first = slice(early - WINDOW // 2, early + WINDOW // 2)
    means = {
        name: {
            "early_ms": 1e3 * float(times[first].mean()),
            "late_ms": 1e3 * float(times[late].mean()),
        }
        for name, times in parts.items()
    }
    total = np.sum(list(parts.values()), axis=0)
    return {
        "trials": trials,
        "early": early,
        "parts": means,
        "ratio": float(total[late].mean() / total[first].mean()),
        "choose_s": choose_s,
        "at_once": max(1, trials // TRAINED_PER_CHOICE),
        "memory_mib": _rss_mib() - before,
        "journal_bytes_per_trial": written / trials,
        "replay_s": replay_s,
    }


def _grown(archive: Archive, trials: int) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
    parts = {name: np.zeros(trials) for name in ("breed and cost", "choose", "tell")}
    for number in range(trials):
        begun = time.perf_counter()
        if archive.ready == 0 or archive.started_since_batch >= job.SCREEN.kept // 2:
            _pass(archive)
        bred = time.perf_counter()
        started = archive.start_next()
        chosen = time.perf_counter()
        if started is None:
            raise RuntimeError("nothing was left to train.")
        _train(archive, started)
        told = time.perf_counter()
        for name, seconds in zip(parts, (bred - begun, chosen - bred, told - chosen), strict=True):
            parts[name][number] = seconds
    return parts


def _a_choice_s(archive: Archive) -> float:
    """Seconds for each further network of a plan, what is known being learned already."""
    _pass(archive)
    times = {}
    for at_least in (MOST, 1, MOST):  # the first one learns
        begun = time.perf_counter()
        chosen = len(archive.search.plan(at_least).next)
        times[chosen] = time.perf_counter() - begun
    if len(times) < 2:
        raise RuntimeError(
            f"plans of {MOST} networks are compared with smaller ones, but at this size all have "
            f"{list(times)}. Use a smaller --grown."
        )
    few, many = sorted(times)
    return (times[many] - times[few]) / (many - few)


def _train(archive: Archive, started: Started) -> None:
    """Report as a trial does, which the rungs stop perhaps; accuracies rise with the epochs."""
    last = job.accuracy(dict(started.config))
    for epoch in EPOCHS:
        if not archive.report(started.number, epoch, {"accuracy": last * (1 - 0.1 / epoch)}):
            archive.finish(started.number, "stopped")
            return
    archive.finish(started.number, "completed")


def _pass(archive: Archive) -> None:
    """A pass of the pre-filter as the searcher makes it, its tasks done here."""
    search = archive.search
    draws, told = search.draws, len(search.observations)
    costed = search.costed(search.candidates(job.SCREEN.pool))
    feasible = [c for c in costed if violation(c, search.constraints) == 0]
    rng = np.random.default_rng([search.seed, draws, 1])
    survivors = search.best(feasible, job.SCREEN.pool, rng)
    archive.add_batch(
        Batch(draws=draws, costed=len(costed), feasible=len(feasible), scored=0, told=told),
        survivors,
    )


def _rss_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
