"""Profile a device: measure a round of subgraphs, see what is estimated badly, choose the next.

The back-end runs in processes of its own: a crash or a hang costs one sample, not the table. What
is measured next depends on the seed and on the table alone, so a profile that was killed and
started again ends with the same rows as one that was not.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, islice, zip_longest
from pathlib import Path

import numpy as np

from nas_ray.errors import MeasureError
from nas_ray.estimate.hardware import read_hardware
from nas_ray.measure.backends import backend_of, read_settings
from nas_ray.measure.measured_with import FILE, facts, require_same_device, write_facts
from nas_ray.measure.table import Row, append_rows, pack, read_table, unpack
from nas_ray.measure.workers import Answer, MeasureMany, local_workers
from nas_ray.profiling import notes
from nas_ray.profiling.adaptive import around_the_worst
from nas_ray.profiling.balancing import Balance
from nas_ray.profiling.regression import held_out_errors
from nas_ray.profiling.set_aside import set_aside
from nas_ray.profiling.starting import Networks, starting_samples
from nas_ray.record import alone_in

TIMEOUT_S = 60.0
#: Samples of the first round; a later one is half of what there is, at least so many.
_FIRST, _LEAST, _GROWTH = 400, 100, 0.5
#: Of a later round, so much lies around what is estimated badly; the rest is as the first round.
_ADAPTIVE_SHARE = 0.25
#: Failures one after the other that are the back-end's fault and not that of the samples.
FAILURES_IN_A_ROW = 30
#: The same where all samples so far failed for the same reason, as with a wrong setting.
ALIKE_FROM_THE_FIRST = 5


@dataclass(frozen=True, kw_only=True)
class Budget:
    """When to stop: `count` subgraphs in all, a held-out error, or a time, whichever is first."""

    count: int
    target_mape: float | None = None
    time_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Progress:
    """After each sample: `done` of `count`, those that failed, and the last held-out error."""

    done: int
    count: int
    failed: int
    mape: float | None


@dataclass(frozen=True, kw_only=True)
class ProfileReport:
    """What a profile did: the table, its rows, how many are new, and what could not be measured.

    `failed` holds `(signature, reason)` of each lost sample, of earlier calls too; `stopped` says
    which part of the budget ended it. `set_aside` is where the files of an earlier table are now.
    """

    table: Path
    rows: int
    added: int
    failed: tuple[tuple[str, str], ...]
    stopped: str
    set_aside: tuple[Path, ...] = ()


def profile(
    folder: str | Path,
    budget: Budget,
    seed: int = 0,
    *,
    measure_many: MeasureMany | None = None,
    networks: Networks | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    anew: bool = False,
) -> ProfileReport:
    """Measure subgraphs until `budget` is spent and leave them in the table of `folder`.

    Rows that exist are kept and not measured again, so the same call goes on where it was
    interrupted; nor are the samples in `failed.csv`. With `anew` all of them are measured, and the
    table in `folder` gets another name at the first row. `measure_many` stands in for one process
    with the back-end of device.toml. Raises DeviceError for an unsound device.toml or table and,
    without `anew`, for a table that was measured with another device.toml; MeasureError when
    nothing can be measured, or nothing for many samples in a row; and RecordError while another
    profile is writing to `folder`.
    """
    settings, factor = read_settings(Path(folder) / "device.toml")
    with ExitStack() as stack:
        busy = f"another profile is writing to {folder}. Wait for it or stop it."
        stack.enter_context(alone_in(Path(folder), busy))
        run = _Profile(Path(folder), budget, seed, factor, networks, on_progress, anew)
        if measure_many is None:
            workers = local_workers(backend_of(settings), settings, TIMEOUT_S)
            measure_many = stack.enter_context(workers)
        return run.run(measure_many)


class _Profile:
    """The state of one call: the table so far, what failed, and what is held out."""

    def __init__(
        self,
        folder: Path,
        budget: Budget,
        seed: int,
        factor: int,
        networks: Networks | None,
        on_progress: Callable[[Progress], None] | None,
        anew: bool,
    ) -> None:
        self._folder, self._budget, self._seed, self._factor = folder, budget, seed, factor
        self._hardware = read_hardware(folder / "device.toml")
        self._on_progress = on_progress
        self._command = {
            "seed": seed,
            "factor": factor,
            "networks": networks.name if networks else None,
        }
        self._facts = facts(folder)
        #: Whether the table that there is must make room for the first row.
        self._anew = anew
        self._set_aside: tuple[Path, ...] = ()
        self._rows: dict[str, Row] = {}
        self._failed: dict[str, str] = {}
        self._plain = folder / "measurements.csv"
        if anew:
            notes.forget_round(folder)
        else:
            require_same_device(folder)
            self._plain = unpack(folder)
            table = read_table(self._plain) if self._plain.exists() else ()
            self._rows = {row.signature: row for row in table}
            self._failed = notes.read_failures(folder)
        #: Failures since the last success: recorded once another success shows whose fault it is.
        self._pending: dict[str, str] = {}
        fresh = (key for key in starting_samples(seed, factor, networks) if self._new(key))
        self._fresh = Balance(self._rows, np.random.default_rng([seed, 5])).welcome(fresh)
        self._mape: float | None = None
        self._deadline = time.monotonic() + (budget.time_s or float("inf"))

    def run(self, measure_many: MeasureMany) -> ProfileReport:
        """Round after round until the budget is spent."""
        before = len(self._rows)
        stopped = self._stopped()
        while not stopped:
            wanted = notes.read_round(self._folder, self._command) or self._plan()
            if not wanted:
                stopped = self._stopped() or "nothing new"
                break
            self._measure(wanted, measure_many)
            if not any(map(self._new, wanted)):
                notes.forget_round(self._folder)
            stopped = self._stopped()
        if not self._rows:
            reason = next(iter((self._pending | self._failed).values()), "the budget is spent")
            raise MeasureError(f"none of {self._asked} subgraphs could be measured: {reason}")
        return ProfileReport(
            table=pack(self._folder) if self._plain.exists() else self._plain,
            rows=len(self._rows),
            added=len(self._rows) - before,
            failed=tuple(self._failed.items()),
            stopped=stopped,
            set_aside=self._set_aside,
        )

    @property
    def _asked(self) -> int:
        return len(self._rows) + len(self._failed) + len(self._pending)

    def _new(self, key: str) -> bool:
        return not (key in self._rows or key in self._failed or key in self._pending)

    def _stopped(self) -> str:
        """The part of the budget that is spent, or nothing."""
        if self._asked >= self._budget.count:
            return "count"
        if time.monotonic() > self._deadline:
            return "time"
        target = self._budget.target_mape
        return "target" if target and self._mape is not None and self._mape <= target else ""

    def _plan(self) -> tuple[str, ...]:
        """The samples of the next round; none where the target is reached."""
        errors = held_out_errors(self._rows.values(), self._hardware)
        self._mape = float(np.mean(list(errors.values()))) if errors else None
        if self._stopped():
            return ()
        size = max(_LEAST, int(_GROWTH * self._asked)) if self._asked else _FIRST
        rng = np.random.default_rng([self._seed, 2, self._asked])
        known = self._rows.keys() | self._failed.keys()
        share = int(_ADAPTIVE_SHARE * size)
        hard = around_the_worst(errors, share, rng, self._factor, known)
        fresh = islice(self._fresh, size - len(hard))
        mixed = (key for pair in zip_longest(fresh, hard) for key in pair if key)
        wanted = tuple(dict.fromkeys(mixed))
        notes.write_round(self._folder, self._command, wanted)
        return wanted

    def _measure(self, wanted: Iterable[str], measure_many: MeasureMany) -> None:
        left = self._budget.count - self._asked
        todo = list(islice(filter(self._new, wanted), left))
        answered = self._answered(measure_many(self._until_deadline(todo)))
        # The table is not opened before its first row: until then an older one keeps its place.
        if first := next(answered, None):
            self._begin_rows()
            for row in append_rows(self._plain, chain([first], answered)):
                self._rows[row.signature] = row
                self._tell()
        if self._rows:
            self._record_failures()

    def _begin_rows(self) -> None:
        """Make room for the first row, and write down what it is measured with."""
        if self._anew:
            self._set_aside = set_aside(self._folder)
            self._anew = False
        if not self._rows or not (self._folder / FILE).exists():
            write_facts(self._folder, self._facts)

    def _until_deadline(self, keys: Iterable[str]) -> Iterator[str]:
        for key in keys:
            if time.monotonic() > self._deadline:
                return
            yield key

    def _answered(self, answers: Iterable[tuple[str, Answer]]) -> Iterator[Row]:
        """A row for each sample that could be measured; the others are put aside."""
        for key, answer in answers:
            found = _row(key, answer)
            if isinstance(found, Row):
                yield found
                self._record_failures()
                continue
            self._pending[key] = found
            self._tell()
            if len(self._pending) >= self._patience():
                culprit = f"[measure] in {self._folder / 'device.toml'} or its back-end"
                if self._rows:
                    culprit = "its back-end, and leave [measure] as it is,"
                raise MeasureError(
                    f"{len(self._pending)} subgraphs in a row could not be measured, the last "
                    f"because: {found.rstrip('.')}. What was measured before is kept: mend "
                    f"{culprit} and run the same again."
                )

    def _patience(self) -> int:
        """Failures until it is the back-end's fault: few where nothing else ever came of it."""
        is_always_so = not self._rows and len(set(self._pending.values())) == 1
        return ALIKE_FROM_THE_FIRST if is_always_so else FAILURES_IN_A_ROW

    def _record_failures(self) -> None:
        if self._pending:
            notes.append_failures(self._folder, self._pending)
            self._failed |= self._pending
            self._pending = {}

    def _tell(self) -> None:
        if self._on_progress:
            failed = len(self._failed) + len(self._pending)
            self._on_progress(
                Progress(done=self._asked, count=self._budget.count, failed=failed, mape=self._mape)
            )


def _row(key: str, answer: Answer) -> Row | str:
    if isinstance(answer, str):
        return answer
    if answer.cpu_operators:
        return f"{answer.cpu_operators} operators run on the host processor"
    if answer.latency_ms <= 0:
        return "takes no time, which says nothing"
    return Row(
        signature=key,
        latency_ms=answer.latency_ms,
        peak_memory_bytes=answer.peak_memory_bytes,
        weight_bytes=answer.weight_bytes,
        macs=answer.macs,
        operators_ms=answer.operators_ms,
    )
