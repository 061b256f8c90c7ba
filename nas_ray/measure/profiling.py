"""`profile`: fill the measurement table of a device by asking its back-end about random subgraphs.

The back-end runs in a process of its own: a crash or a hang costs one sample, not the table.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas_ray.errors import MeasureError
from nas_ray.graph import signature
from nas_ray.measure.backends import backend_of, read_settings
from nas_ray.measure.measurement import Backend
from nas_ray.measure.sampling import sample_subgraphs
from nas_ray.measure.table import Row, append_rows, pack, read_table, unpack
from nas_ray.measure.worker import Worker


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Given to the callback after each sample: `done` of `count`, and the failures so far."""

    done: int
    count: int
    failed: int


@dataclass(frozen=True, kw_only=True)
class ProfileReport:
    """What a profile did: the table, its rows, how many are new, and what could not be measured.

    `failed` holds `(signature, reason)` of each lost sample.
    """

    table: Path
    rows: int
    added: int
    failed: tuple[tuple[str, str], ...]


def profile(
    folder: str | Path,
    count: int,
    seed: int = 0,
    *,
    timeout_s: float = 60.0,
    on_progress: Callable[[Progress], None] | None = None,
    backend: Backend | None = None,
) -> ProfileReport:
    """Measure the first `count` random subgraphs of `seed` and leave them in the table of `folder`.

    Rows that exist are kept and not measured again, so an interrupted profile is resumed by the
    same call. `backend` overrides the one named in device.toml; it must be a module-level function.
    Raises DeviceError for an unsound device.toml or table, and MeasureError when nothing at all
    could be measured.
    """
    folder = Path(folder)
    settings, multiple = read_settings(folder / "device.toml")
    measure = backend or backend_of(settings)
    plain = unpack(folder)
    known = {row.signature for row in read_table(plain)} if plain.exists() else set()
    wanted = map(signature, sample_subgraphs(count, np.random.default_rng(seed), multiple))
    failed: list[tuple[str, str]] = []
    with Worker(measure, settings, timeout_s) as worker:
        new = _measured((text for text in wanted if text not in known), worker, failed)
        added = 0
        for added, _ in enumerate(append_rows(plain, new), start=1):
            if on_progress:
                on_progress(Progress(done=len(known) + added, count=count, failed=len(failed)))
    if failed and not known and not added:
        raise MeasureError(f"none of {len(failed)} subgraphs could be measured: {failed[0][1]}")
    return ProfileReport(
        table=pack(folder), rows=len(known) + added, added=added, failed=tuple(failed)
    )


def _measured(
    wanted: Iterator[str], worker: Worker, failed: list[tuple[str, str]]
) -> Iterator[Row]:
    """A row for each signature that could be measured; the others go to `failed`."""
    for text in wanted:
        answer = worker.ask(text)
        if isinstance(answer, str):
            failed.append((text, answer))
        elif answer.cpu_operators:
            failed.append((text, f"{answer.cpu_operators} operators run on the host processor"))
        else:
            yield Row(
                signature=text,
                latency_ms=answer.latency_ms,
                peak_memory_bytes=answer.peak_memory_bytes,
                weight_bytes=answer.weight_bytes,
                macs=answer.macs,
                operators_ms=answer.operators_ms,
            )
