"""`CascadeScheduler`: successive halving on several objectives, for any Ray Tune run."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from nas_ray.errors import RecordError, SearchError, nearest
from nas_ray.evolution.archive import Archive
from nas_ray.evolution.rungs import Rungs
from nas_ray.objective import Objective
from nas_ray.tune.results import EPOCH, ERROR, STORAGE_ERROR, checkpoint_of, numbers_in

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController

#: With this variable a person limits the trials that wait for a worker; without it a
#: `CascadeSearch` does, which knows how many may be live.
PENDING_VARIABLE = "TUNE_MAX_PENDING_TRIALS_PG"
MOST_PENDING = 10_000


class CascadeScheduler(FIFOScheduler):
    """Stops trials that others dominate at the same epoch (see `nas_ray.evolution.rungs`).

    Alone in a Ray Tune run it needs `objectives` and `max_epochs`; trials must report every
    objective at every `training_iteration`. Beside a `CascadeSearch` it takes that searcher's
    `archive` instead and writes every result there, so that both are restored together.
    """

    # One result at a time: a buffered batch would pass a rung unseen.
    _supports_buffered_results = False

    def __init__(
        self,
        objectives: Sequence[Objective] = (),
        *,
        max_epochs: int = 0,
        grace_epochs: int = 1,
        reduction_factor: int = 3,
        archive: Archive | None = None,
    ) -> None:
        if (archive is None) == (not objectives):
            raise SearchError(
                "a CascadeScheduler takes `objectives` and `max_epochs`, or else the `archive` of "
                f"a CascadeSearch, but got objectives={tuple(objectives)} and archive={archive!r}."
            )
        super().__init__()  # type: ignore[no-untyped-call]  # Ray leaves it untyped
        self._archive = archive
        self._objectives = tuple(objectives) if archive is None else archive.search.objectives
        self._rungs = (
            Rungs(
                max_epochs=max_epochs,
                grace_epochs=grace_epochs,
                reduction_factor=reduction_factor,
            )
            if archive is None
            else archive.rungs
        )

    def on_trial_add(self, tune_controller: "TuneController", trial: Trial) -> None:
        """Let all trials start together that the searcher hands out; called by Ray Tune.

        By itself it asks a searcher for another trial once the last one has a worker that runs: a
        hundred workers would be busy after as many starts.
        """
        if self._archive is not None and PENDING_VARIABLE not in os.environ:
            tune_controller.update_max_pending_trials(MOST_PENDING)

    def on_trial_result(
        self, tune_controller: "TuneController", trial: Trial, result: dict[str, Any]
    ) -> str:
        """Whether the trial goes on; called by Ray Tune for every report."""
        goes_on = (
            self._judge_alone(trial, result)
            if self._archive is None
            else self._judge_in(self._archive, trial, result)
        )
        return str(TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP)

    def _judge_alone(self, trial: Trial, result: Mapping[str, Any]) -> bool:
        for objective in self._objectives:
            if objective.metric not in result:
                raise SearchError(
                    f"objective {objective.metric!r} was not reported by trial {trial.trial_id}; "
                    f"{nearest(objective.metric, numbers_in(result))}"
                )
        values = [o.minimised(result[o.metric]) for o in self._objectives]
        return self._rungs.goes_on(trial.trial_id, result["training_iteration"], values)

    def _judge_in(self, archive: Archive, trial: Trial, result: Mapping[str, Any]) -> bool:
        number = archive.number_of(trial.trial_id)
        if STORAGE_ERROR in result:
            archive.stop_with(RecordError(result[STORAGE_ERROR]))
            return False
        if ERROR in result:
            archive.finish(number, "failed", result[ERROR])
            return False
        epoch = int(result[EPOCH])
        goes_on = archive.report(
            number, epoch, numbers_in(result), checkpoint_of(archive, trial, result)
        )
        if not goes_on:
            archive.finish(number, "stopped")
        return goes_on

    def on_trial_complete(
        self, tune_controller: "TuneController", trial: Trial, result: dict[str, Any]
    ) -> None:
        """Close a trial that ran to its end by itself, or to a criterion of the user's own."""
        if self._archive is None or self._archive.interrupted:
            return
        number = self._archive.number_of(trial.trial_id)
        if self._archive.is_open(number) and EPOCH in result:
            # A trial that Ray itself stops is not judged, and its last report comes only here.
            self._judge_in(self._archive, trial, result)
        self._archive.finish(number, "completed")

    def on_trial_error(self, tune_controller: "TuneController", trial: Trial) -> None:
        """Note that a trial whose worker died is tried again, or close it as failed."""
        if self._archive is None or self._archive.interrupted:
            return
        number = self._archive.number_of(trial.trial_id)
        reason = self._archive.explained(number) or _reason(trial)
        if trial.should_recover():
            self._archive.retry(number, reason)
        else:
            self._archive.finish(number, "failed", reason)


def _reason(trial: Trial) -> str:
    """What Ray Tune wrote down of the last failure of a trial that raised, or whose worker died."""
    path = Path(trial.error_file) if trial.error_file else None
    text = path.read_text(errors="replace") if path is not None and path.exists() else ""
    last = re.split(r"^Failure # \d+ .*$", text, flags=re.MULTILINE)[-1]
    return last.strip() or "the worker died"
