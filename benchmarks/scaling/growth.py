"""What a trial costs the controller as the archive grows, without Ray: its own part alone."""

import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from nas_ray.evolution import Archive
from nas_ray.evolution.screen import violation
from nas_ray.record import Batch, Record
from scaling import job

#: Trials around the early and the late point that a time is the mean of.
WINDOW = 50


def measured(trials: int, early: int) -> dict[str, Any]:
    """Mean seconds a trial at `early` and at the end, by part; memory in MiB; bytes written."""
    with tempfile.TemporaryDirectory() as folder:
        archive = job.archive(Record.open(folder, {"seed": 0}))
        before = _rss_mib()
        parts = _grown(archive, trials)
        written = (Path(folder) / "journal.jsonl").stat().st_size
        begun = time.perf_counter()
        replayed = job.archive(Record.open(folder, {"seed": 0}))
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
        archive.report(started.number, 1, {"accuracy": job.accuracy(dict(started.config))})
        archive.finish(started.number, "completed")
        told = time.perf_counter()
        for name, seconds in zip(parts, (bred - begun, chosen - bred, told - chosen), strict=True):
            parts[name][number] = seconds
    return parts


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
