"""`Archive`: the one state that searcher, scheduler and progress of a search share.

Every change goes to the record first, so a search that was killed is rebuilt by replaying it. Ray
Tune would save a searcher and forget its scheduler; here neither has anything of its own to save.
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from nas_ray.errors import NasRayError, RecordError, SearchError, nearest
from nas_ray.evolution.observation import Observation, observation
from nas_ray.evolution.rungs import Rungs
from nas_ray.evolution.screen import Candidate
from nas_ray.evolution.search import EvolutionarySearch
from nas_ray.evolution.waiting import Plan
from nas_ray.evolution.warm_start import WarmStart
from nas_ray.record import Batch, Record, Trial
from nas_ray.redaction import redacted

BASELINE = "baseline"
WARM_START = "warm start"


@dataclass(frozen=True, kw_only=True)
class Started:
    """A trial handed out for training; `checkpoint` is where to go on from, if anywhere."""

    number: int
    config: Mapping[str, Any]
    checkpoint: str = ""


class Archive:
    """Trials by number, over an `EvolutionarySearch` and the rungs of successive halving.

    `record` keeps every event; without one the archive lives in memory only. A record that already
    has events is replayed, and its unfinished trials are the first that are handed out. With
    `patient` rungs, trials that were stopped are trained on from their checkpoints once they stand
    among the best.
    """

    def __init__(
        self,
        search: EvolutionarySearch,
        *,
        max_epochs: int,
        grace_epochs: int = 1,
        reduction_factor: int = 3,
        patient: bool = False,
        record: Record | None = None,
    ) -> None:
        self.search = search
        self.rungs = Rungs(
            max_epochs=max_epochs,
            grace_epochs=grace_epochs,
            reduction_factor=reduction_factor,
            patient=patient,
        )
        self.record = record
        self.trials: dict[int, Trial] = {}
        self.batches: list[Batch] = []
        #: Set from outside to end the run; what is unfinished then stays open, to be resumed.
        self.interrupted = False
        #: The error that ended the run: an unwritable record, or settings that cannot work.
        self.fault: NasRayError | None = None
        #: How many trials were handed out since the last pass of the pre-filter.
        self.started_since_batch = 0
        #: How many trials ended since the front last changed.
        self.stalled_for = 0
        self._resumable: deque[Started] = deque()
        #: The searches that this one learned from at its start.
        self.warmed_by: set[str] = set()
        self._warm_first: deque[Observation] = deque()
        self._numbers: dict[str, int] = {}
        self._explanations: dict[int, str] = {}
        if record is not None:
            self._replay(record)

    # Handing out

    def begin_run(self, *, trials: int) -> None:
        """Note that a run over this archive begins, and how many trials it is to have."""
        self._write({"event": "run", "trials": trials})

    @property
    def started(self) -> int:
        """How many trials were handed out, those waiting to be resumed included."""
        return len(self.trials)

    @property
    def finished(self) -> int:
        """How many trials are closed: completed, stopped early or failed."""
        return sum(trial.status != "running" for trial in self.trials.values())

    @property
    def ready(self) -> int:
        """How many screened candidates wait for a worker."""
        return self.search.waiting

    def resume_one(self) -> Started | None:
        """A trial that an earlier run left unfinished, with its last checkpoint; or None."""
        return self._resumable.popleft() if self._resumable else None

    @property
    def resumable(self) -> int:
        """How many trials of an earlier run are unfinished."""
        return len(self._resumable)

    def promote_one(self) -> Started | None:
        """A stopped trial that by now is among the best of its rung, to be trained on; or None."""
        found = self._promotable()
        if found is None:
            return None
        number, epoch = int(found[0]), found[1]
        self._apply({"event": "promote", "trial": number, "epoch": epoch})
        self._promote(self.trials[number], epoch)
        trial = self.trials[number]
        return Started(number=number, config=trial.config, checkpoint=trial.checkpoint)

    @property
    def has_promotable(self) -> bool:
        """Whether a stopped trial is to be trained on."""
        return self._promotable() is not None

    def _promotable(self) -> tuple[str, int] | None:
        if not self.rungs.patient:
            return None
        # What left no checkpoint would have to be trained anew.
        return self.rungs.promotable(
            [str(t.number) for t in self.trials.values() if t.status == "stopped" and t.checkpoint]
        )

    def _promote(self, trial: Trial, epoch: int) -> None:
        self.rungs.promote(str(trial.number), epoch)
        self.search.admit(_candidate(trial))

    def start_baseline(self, candidate: Candidate) -> Started:
        """Hand out the network to beat: trained in full, whatever the constraints say of it."""
        return self._start(candidate, BASELINE)

    def warm_up(self, start: WarmStart) -> None:
        """Take what another search found out."""
        event = {
            "event": "warm_start",
            "source": start.source,
            "observed": [asdict(one) for one in start.observed],
            "first": list(start.first),
        }
        self._write(event)
        self._warm(event)

    def _warm(self, event: Mapping[str, Any]) -> None:
        self.warmed_by.add(event["source"])
        observed = [observation(fields) for fields in event["observed"]]
        self.search.tell_elsewhere(observed)
        known = {self.search.space.key(one.config): one for one in observed}
        self._warm_first.extend(known[self.search.space.key(config)] for config in event["first"])

    def start_warm(self) -> Started | None:
        """Hand out one of the best networks of a warm start that was not handed out; or None."""
        while self._warm_first:
            one = self._warm_first.popleft()
            if not self.search.is_known(self.search.space.key(one.config)):
                candidate = Candidate(config=one.config, costs=one.costs, scores=one.scores)
                return self._start(candidate, WARM_START)
        return None

    def plan(self, at_least: int = 1) -> bool:
        """Choose who is handed out next, `at_least` so many, where that is due; whether it was."""
        if self.search.planned is not None or not self.search.waiting:
            return False
        plan = self.search.plan(at_least)
        self._write({"event": "plan", "chosen": self.search.choices, **asdict(plan)})
        self.search.follow(plan)
        return True

    def start_next(self) -> Started | None:
        """Hand out the screened candidate that is most worth training by now; or None."""
        self.plan()
        candidate = self.search.planned
        return None if candidate is None else self._start(candidate, "evolution")

    def add_batch(self, batch: Batch, survivors: Sequence[Candidate]) -> None:
        """Take what the pre-filter let through."""
        kept = replace(batch, survivors=tuple(c.plain() for c in survivors))
        self._write({"event": "batch", **vars(kept)})
        self._offer(kept)

    def _offer(self, batch: Batch) -> None:
        # One survivor says that there were some; all of thousands of passes would fill the memory.
        self.batches.append(replace(batch, survivors=batch.survivors[:1], infeasible=()))
        self.started_since_batch = 0
        self.search.offer([Candidate(**fields) for fields in batch.survivors])

    def _start(self, candidate: Candidate, origin: str) -> Started:
        number = self.started
        fields: dict[str, Any] = {
            "config": candidate.config,
            "origin": origin,
            "costs": dict(candidate.costs),
            "scores": dict(candidate.scores),
        }
        self._write({"event": "start", "trial": number, **fields})
        self._admit(Trial(number=number, **fields))
        return Started(number=number, config=candidate.config)

    def _admit(self, trial: Trial) -> None:
        self.trials[trial.number] = trial
        self.started_since_batch += 1
        self.search.admit(_candidate(trial))

    def bind(self, trial_id: str, number: int) -> None:
        """Remember under which id Ray Tune runs trial `number`."""
        self._numbers[trial_id] = number

    def number_of(self, trial_id: str) -> int:
        """The number of the trial that Ray Tune runs under `trial_id`."""
        if trial_id not in self._numbers:
            raise SearchError(
                f"trial {trial_id!r} was not suggested by the searcher of this archive. Give the "
                "same archive to CascadeSearch and CascadeScheduler, or none to the scheduler."
            )
        return self._numbers[trial_id]

    # Results

    def report(
        self, number: int, epoch: int, metrics: Mapping[str, float], checkpoint: str = ""
    ) -> bool:
        """Take the metrics of one epoch, and whether the trial goes on.

        A trial without a finite value of every objective is closed as failed. Raises SearchError
        where no trial has ever reported an objective: then its name is wrong, not the network.
        """
        trial = self.trials[number]
        refusal = self._refusal(trial, metrics)
        if refusal:
            self.finish(number, "failed", refusal)
            return False
        if epoch not in trial.curve:
            event = {"event": "result", "trial": number, "epoch": epoch}
            self._apply({**event, "metrics": dict(metrics), "checkpoint": checkpoint})
        return self._judge(self.trials[number], epoch)

    def finish(self, number: int, status: str, error: str = "") -> None:
        """Close a trial as completed, stopped or failed. Closing twice changes nothing."""
        if self.trials[number].status == "running":
            why = redacted(error)
            self._apply({"event": "end", "trial": number, "status": status, "error": why})
            self._tell(self.trials[number])

    def retry(self, number: int, error: str) -> None:
        """Note that a trial is trained on from its last checkpoint after an attempt failed."""
        attempt = len(self.trials[number].retries) + 1
        event = {"event": "retry", "trial": number, "attempt": attempt}
        self._apply({**event, "error": redacted(error)})

    def explain(self, number: int, reason: str) -> None:
        """Say why the worker of a trial is about to die, where Ray will only see that it did."""
        self._explanations[number] = reason

    def explained(self, number: int) -> str:
        """What was said with `explain` since it was last asked; empty if nothing was."""
        return self._explanations.pop(number, "")

    def is_open(self, number: int) -> bool:
        """Whether a trial still runs, or would if nobody had interrupted it."""
        return self.trials[number].status == "running"

    def add_test(self, number: int, metrics: Mapping[str, float]) -> None:
        """Keep what a trained network does on data that neither training nor search saw."""
        self._apply({"event": "test", "trial": number, "metrics": dict(metrics)})

    def stop_with(self, error: NasRayError) -> None:
        """End the run because of `error`; what is unfinished stays open, to be resumed."""
        self.interrupted = True
        self.fault = error

    def _refusal(self, trial: Trial, metrics: Mapping[str, float]) -> str:
        """Why a report cannot be used, or nothing."""
        known = {**trial.costs, **metrics}
        wanted = [objective.metric for objective in self.search.objectives]
        wanted += [constraint.quantity for constraint in self.search.constraints]
        missing = [name for name in wanted if name not in known]
        if missing:
            reason = f"{missing[0]!r} was not reported; {nearest(missing[0], known)}"
            if not any(other.curve for other in self.trials.values()):
                self.stop_with(SearchError(reason))
                raise SearchError(reason)
            return reason
        broken = [name for name in wanted if not math.isfinite(known[name])]
        return f"{broken[0]!r} must be finite, but is {known[broken[0]]}." if broken else ""

    def _judge(self, trial: Trial, epoch: int) -> bool:
        metrics = {**trial.costs, **trial.curve[epoch]}
        values = [o.minimised(metrics[o.metric]) for o in self.search.objectives]
        goes_on = self.rungs.goes_on(str(trial.number), epoch, values)
        return goes_on or trial.origin == BASELINE

    def _tell(self, trial: Trial) -> None:
        self.stalled_for += 1
        if trial.status == "completed" and trial.curve:
            self.search.tell(trial.config, trial.metrics, trial.curve)
            if self.search.is_on_front(trial.config):
                self.stalled_for = 0
        elif trial.status == "stopped":
            self.search.tell_stopped(trial.config, trial.metrics, trial.curve)
        else:
            self.search.tell_failed(trial.config)

    # Record

    def require_upload(self) -> None:
        """End the run if its record is not uploaded any more."""
        if self.record is not None and self.record.fault is not None and self.fault is None:
            self.stop_with(self.record.fault)

    def _write(self, event: Mapping[str, Any]) -> None:
        if self.record is None:
            return
        try:
            self.record.append(event)
        except RecordError as error:
            self.stop_with(error)
            raise

    def _apply(self, event: Mapping[str, Any]) -> None:
        self._write(event)
        number = event["trial"]
        self.trials[number] = self.trials[number].after(event)

    def _replay(self, record: Record) -> None:
        """Let everything happen again, in the order in which it did."""
        begun = {number: trial.as_begun() for number, trial in record.trials().items()}
        batches = {batch.draws: batch for batch in record.batches()}
        losing: dict[int, None] = {}
        planned: set[object] = set()
        for event in record.events():
            kind, number = event["event"], event.get("trial", -1)
            if kind == "batch" and event["draws"] in batches:
                # Once: the same event twice changes nothing.
                batch = batches.pop(event["draws"])
                self._recall(batch)
                self._offer(batch)
                self.search.skip_draws(batch.draws + 1)
            elif kind == "plan" and event.get("chosen") not in planned:
                planned.add(event.get("chosen"))
                self._follow(record, event)
            elif kind == "warm_start" and event.get("source") not in self.warmed_by:
                with record.understood(event):
                    self._warm(event)
            elif kind == "start" and number not in self.trials:
                self._admit(begun[number])
            elif number >= 0 and not (kind == "end" and not self.is_open(number)):
                self.trials[number] = self.trials[number].after(event)
                self._replay_one(event, losing)
        # A crash may have come between the report that lost and the end of the trial. Who reported
        # again after it lost was not stopped: there is no scheduler.
        for number in losing:
            self.finish(number, "stopped")
        self._resumable.extend(
            Started(number=t.number, config=t.config, checkpoint=t.checkpoint)
            for t in self.trials.values()
            if t.status == "running"
        )

    def _recall(self, batch: Batch) -> None:
        self.search.recall(
            [Candidate(**fields) for fields in batch.infeasible],
            built=batch.costed - sum(batch.unbuildable.values()),
            feasible=batch.feasible,
            unbuildable=next(iter(batch.unbuildable), ""),
        )

    def _follow(self, record: Record, event: Mapping[str, Any]) -> None:
        with record.understood(event):
            self.search.follow(Plan(next=event["next"], dropped=event["dropped"]))

    def _replay_one(self, event: Mapping[str, Any], losing: dict[int, None]) -> None:
        """Let rungs and search know what happened to a trial; `losing` are to be stopped yet."""
        trial = self.trials[event["trial"]]
        if event["event"] == "result":
            losing.pop(trial.number, None)
            if not self._judge(trial, event["epoch"]):
                losing[trial.number] = None
        elif event["event"] == "end":
            losing.pop(trial.number, None)
            self._tell(trial)
        elif event["event"] == "promote":
            self._promote(trial, event["epoch"])


def _candidate(trial: Trial) -> Candidate:
    return Candidate(config=dict(trial.config), costs=trial.costs, scores=trial.scores)
