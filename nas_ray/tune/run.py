"""`search`: the whole way from a space and a task to trained networks, wired up."""

import os
import pickle
import re
import signal
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray import tune
from rich.console import Console

from nas_ray.device import Device, load_device
from nas_ray.errors import InterruptedSearchError, SearchError
from nas_ray.evolution.archive import BASELINE, Archive
from nas_ray.evolution.screen import Screen
from nas_ray.evolution.search import EvolutionarySearch
from nas_ray.evolution.warm_start import warm_start
from nas_ray.objective import Constraint, Objective
from nas_ray.record import Record
from nas_ray.report import SearchResult
from nas_ray.space import SearchSpace
from nas_ray.studies import LiveStudy
from nas_ray.tune.budget import Budget
from nas_ray.tune.header import header
from nas_ray.tune.lightning import require_data, require_task
from nas_ray.tune.local import ray_runtime
from nas_ray.tune.metrics import Metrics
from nas_ray.tune.mirroring import Mirroring
from nas_ray.tune.progress import Progress
from nas_ray.tune.reach import require_reach
from nas_ray.tune.resources import Resources
from nas_ray.tune.scheduler import CascadeScheduler
from nas_ray.tune.searcher import CascadeSearch
from nas_ray.tune.shared_data import shared
from nas_ray.tune.testing import test_networks
from nas_ray.tune.trial import LightningTrial, Task
from nas_ray.tune.watchdog import Watchdog

DEFAULT_OBJECTIVES = (Objective("accuracy", "max"), Objective("latency_ms", "min"))
REPORT = "report.html"


def search(  # noqa: PLR0913 - the public contract: everything a search can be told
    space: SearchSpace,
    task: Task,
    data: Any,
    *,
    device: Device | str | Path,
    objectives: Sequence[Objective] = DEFAULT_OBJECTIVES,
    constraints: Sequence[Constraint] = (),
    trials: int = 60,
    time_s: float | None = None,
    stall: int | None = None,
    max_epochs: int = 9,
    storage: str | Path | None = None,
    warm_starts: Sequence[str | Path] = (),
    seed: int = 0,
    screen: Screen | None = None,
    surrogate: bool = True,
    early_stopping: bool = True,
    resources: Resources | None = None,
) -> SearchResult:
    """Search `space` for networks that trade off `objectives` best, and train them.

    `task`, `data` as for `LightningTrial`, but the data are loaded once and shared (`SharedData`):
    their numpy arrays are read-only in `setup` and the dataloaders. `device` a Device, the name of
    a shipped one, a folder. The baseline of the space is trained first, in full, as what everything
    is compared with. Costs are estimates of the device; a network whose costs break a constraint is
    never trained.
    A `surrogate` learned from trained networks chooses among the candidates that the `screen` lets
    through, and `early_stopping` trains only the best on after 1, 3, 9, ... epochs: without one of
    them, or with `Screen(scored=0)`, that part of the cascade is left out.
    It ends after `trials`, after `stall` trials in a row that did not change the front, or after
    `time_s` seconds; trials under way then stay open. Everything goes to `storage`: a folder
    (`runs/<space>` by default) or a URI that pyarrow.fs knows, such as s3://bucket/run (see
    `nas_ray.storage`). The same call with the same storage resumes, and with more trials or more
    time goes on. `warm_starts` are folders or URIs of other searches, over a similar space, whose
    networks are hints for this one (`nas_ray.evolution.warm_start`); warnings say what could not be
    mapped. The front is tested at the end, where the task and the data have a test.

    Raises a NasRayError that says rule, value and way out: before anything is trained where the
    settings cannot work, `InterruptedSearchError` after Ctrl-C once everything is saved.
    """
    if not (isinstance(max_epochs, int) and max_epochs >= 1):
        raise SearchError(
            f"max_epochs must be at least 1 and a whole number, but got max_epochs={max_epochs!r}."
        )
    require_task(task)
    require_data(data)
    budget = Budget(trials=trials, stall=stall, time_s=time_s)
    device = load_device(device) if isinstance(device, (str, Path)) else device
    evolution = EvolutionarySearch(
        space,
        objectives=objectives,
        constraints=constraints,
        costs=device,
        surrogate=surrogate,
        seed=seed,
    )
    evolution.check_feasible()
    _require_picklable(space=space, task=task, data=data)
    record = Record.open(
        storage or Path("runs") / re.sub(r"[^\w-]+", "-", space.name),
        header(evolution, device, task, data, max_epochs=max_epochs),
    )
    trial = LightningTrial(space, task, data, device=device, max_epochs=max_epochs, seed=seed)
    with record.held():
        archive = Archive(
            evolution,
            max_epochs=max_epochs,
            # A rung at the last epoch is none: nobody is stopped.
            grace_epochs=1 if early_stopping else max_epochs,
            record=record,
        )
        for other in warm_starts:
            _warm_up(archive, other)
        _run(archive, record, trial, budget, screen, resources or Resources())
        return _result(archive, record, budget)


def _warm_up(archive: Archive, other: str | Path) -> None:
    name = Record.name_of(other)
    if name in archive.warmed_by:
        return
    if archive.record is not None and name == archive.record.name:
        raise SearchError(
            f"a search knows its own networks already, but {name} is named as a warm start of "
            "itself. Name the folder of another search."
        )
    start = warm_start(Record.read(other), archive.search)
    archive.warm_up(start)
    for note in start.notes:
        warnings.warn(f"warm start: {note}", UserWarning, stacklevel=3)


def _require_picklable(**parts: Any) -> None:
    for name, part in parts.items():
        try:
            ray.cloudpickle.dumps(part)
        except (TypeError, AttributeError, pickle.PicklingError) as error:
            first = str(error).strip().splitlines()[0]
            raise SearchError(
                f"the {name} is sent to Ray's workers and must be picklable, but: {first}. Make "
                "what cannot be sent (locks, open files) inside the function that uses it."
            ) from error


def _run(
    archive: Archive,
    record: Record,
    trial: LightningTrial,
    budget: Budget,
    screen: Screen | None,
    resources: Resources,
) -> None:
    """Train what the searcher suggests, then test what is worth it."""
    with _stopping_on_interrupt(archive), ray_runtime() as is_own:
        resources.check(can_grow=not is_own)
        if not is_own:
            require_reach(record.place)
        trial = replace(trial, data=shared(trial.data, trial.seed))
        searcher = CascadeSearch(
            archive,
            trials=budget.trials,
            stall=budget.stall,
            max_concurrent=resources.concurrent(can_grow=not is_own),
            screen=screen,
        )
        with budget.counted(archive):
            archive.begin_run(trials=budget.trials)
            _train(archive, record, trial, searcher, budget.trials, resources)
        if budget.is_spent or not archive.interrupted:
            test_networks(archive, trial, _worth_testing(archive))


def _result(archive: Archive, record: Record, budget: Budget) -> SearchResult:
    """What was found, with its report written; or what ended the search before its time."""
    if archive.fault is not None:
        raise archive.fault
    result = SearchResult(record)
    result.report(record.folder / REPORT)
    LiveStudy(record).update(record.trials())
    if archive.interrupted and not budget.is_spent:
        raise InterruptedSearchError(
            f"stopped by hand after {archive.finished} of {budget.trials} trials. The front and "
            f"the checkpoints so far are in {record.name}; the same call with this storage "
            "resumes."
        )
    _require_success(archive, record)
    if why := budget.why_early(archive):
        warnings.warn(f"the search ended {why}", UserWarning, stacklevel=3)
    return result


def _train(
    archive: Archive,
    record: Record,
    trial: LightningTrial,
    searcher: CascadeSearch,
    trials: int,
    resources: Resources,
) -> None:
    progress = Progress(archive, trials, Console())
    try:
        _tuner(archive, record, trial, searcher, progress, resources).fit()
    except (tune.TuneError, OSError) as error:
        # Ray Tune wraps what its hooks raise; the archive has kept an error of ours itself.
        if archive.fault is None:
            last = str(error).strip().splitlines()[-1]
            archive.stop_with(
                SearchError(
                    f"Ray Tune gave up: {last}. Everything up to here is kept in {record.name}; "
                    "once the cause is mended, the same command goes on."
                )
            )
    finally:
        progress.close()


def _tuner(
    archive: Archive,
    record: Record,
    trial: LightningTrial,
    searcher: CascadeSearch,
    progress: Progress,
    resources: Resources,
) -> tune.Tuner:
    callbacks: list[tune.Callback] = [progress, Mirroring(archive), Metrics(archive)]
    if resources.silent_s is not None:
        callbacks.append(Watchdog(archive, resources.silent_s))
    return tune.Tuner(
        resources.given_to(trial),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=CascadeScheduler(archive=archive),
            num_samples=-1,
            reuse_actors=True,
            trial_dirname_creator=lambda t: f"{archive.number_of(t.trial_id):05d}-{t.trial_id}",
        ),
        run_config=tune.RunConfig(
            name="checkpoints",
            storage_path=record.place.path,
            storage_filesystem=record.filesystem,
            verbose=0,
            callbacks=callbacks,
            failure_config=tune.FailureConfig(max_failures=resources.retries),
            stop=_StopWhenInterrupted(archive),
            # Two: Ray deletes the older one before the journal names the newer one.
            checkpoint_config=tune.CheckpointConfig(num_to_keep=2),
        ),
    )


class _StopWhenInterrupted(tune.Stopper):
    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        self._archive.require_upload()
        return self._archive.interrupted


@contextmanager
def _stopping_on_interrupt(archive: Archive) -> Iterator[None]:
    """The first Ctrl-C ends the search after what is being written; the second ends it at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def stop(*_: object) -> None:
        archive.interrupted = True
        signal.signal(signal.SIGINT, before)

    own_handler = os.environ.get("TUNE_DISABLE_SIGINT_HANDLER")
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"
    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if own_handler is None:
            del os.environ["TUNE_DISABLE_SIGINT_HANDLER"]


def _worth_testing(archive: Archive) -> list[Any]:
    """The trials on the front, and the baseline."""
    front = {archive.search.space.key(o.config) for o in archive.search.front()}
    return [
        t
        for t in archive.trials.values()
        if t.origin == BASELINE or archive.search.space.key(t.config) in front
    ]


def _require_success(archive: Archive, record: Record) -> None:
    failed = [t for t in archive.trials.values() if t.status == "failed"]
    if failed and len(failed) == archive.started:
        last = failed[-1].error.strip().splitlines()[-1]
        raise SearchError(
            f"all {len(failed)} trials failed, the last with: {last}. Every traceback is in "
            f"{record.folder / REPORT}."
        )
