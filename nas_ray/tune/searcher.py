"""`CascadeSearch`: the evolution and its pre-filter as a Ray Tune searcher."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher

from nas_ray.errors import NasRayError, SearchError
from nas_ray.evolution.archive import Archive, Started
from nas_ray.evolution.costing import cost_candidates
from nas_ray.evolution.screen import Screen
from nas_ray.tune.pace import Pace
from nas_ray.tune.results import EPOCH, ERROR, RESUME_FROM, numbers_in
from nas_ray.tune.screening import Pass, Screening

#: Seconds between looks at how many trials may be live.
LOOK_EVERY_S = 5.0


class CascadeSearch(Searcher):
    """Suggests what an earlier run left unfinished, then the baseline, then bred networks.

    Thousands of candidates are screened by cost and zero-shot score in Ray tasks while trials
    train; only survivors are suggested. At most `max_concurrent` trials are live: a number, or a
    function that is asked again every few seconds, for clusters that grow. With one, the
    same seed suggests the same networks: candidates are then screened between trials, since what is
    found beside one would depend on which of the two is over first. After `trials`, or `stall` of
    them in a row that did not change the front, no more are begun. Give the same `archive` to a
    `CascadeScheduler`.
    """

    def __init__(
        self,
        archive: Archive,
        *,
        trials: int,
        max_concurrent: int | Callable[[], int] = 1,
        stall: int | None = None,
        screen: Screen | None = None,
        train_baseline: bool = True,
    ) -> None:
        super().__init__()
        limit = max_concurrent if isinstance(max_concurrent, int) else max_concurrent()
        if trials < 1 or limit < 1 or (stall is not None and stall < 1):
            raise SearchError(
                "trials, max_concurrent and stall must be at least 1, but got "
                f"trials={trials}, max_concurrent={limit}, stall={stall}."
            )
        self._archive = archive
        self._trials = trials
        self._max_concurrent = max_concurrent
        self._limit = limit
        self._looked = time.monotonic()
        self._stall = stall
        self._train_baseline = train_baseline
        self._screen = screen or Screen()
        self._alone = max_concurrent == 1
        # Between trials every CPU is free.
        tasks = (os.cpu_count() or 1) if self._alone else limit
        self._screening = Screening(archive.search, self._screen, tasks, archive.batches)
        self._pace = Pace()
        self._live: set[str] = set()
        self._unused: dict[str, None] = {}

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        """Accept a Tuner's `param_space` when it is this space's `to_tune()`.

        Ray Tune merges what is suggested into it, so choices that are not in use are overwritten.
        """
        space = self._archive.search.space
        self._unused = dict.fromkeys(config)
        return all(name in space.choices for name in config)

    def suggest(  # type: ignore[override]  # Ray Tune's own annotation forgets FINISHED
        self, trial_id: str
    ) -> dict[str, Any] | str | None:
        """The next config; None while there is none yet; FINISHED when the search is over."""
        try:
            return self._suggest(trial_id)
        except NasRayError as error:
            self._archive.stop_with(error)
            raise

    def _suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        self._look_again()
        self._take(self._screening.advance(timeout_s=0))
        if self._is_over():
            return str(Searcher.FINISHED)
        if len(self._live) >= self._limit:
            return None
        started = (
            self._archive.resume_one()
            or self._first()
            or self._archive.promote_one()
            or self._warm()
            or self._next()
        )
        if started is None:
            return str(Searcher.FINISHED) if self._is_over() else None
        if not self._alone:
            self._begin_when_low()
        self._archive.bind(trial_id, started.number)
        self._live.add(trial_id)
        return {**self._unused, **started.config, RESUME_FROM: self._path_of(started.checkpoint)}

    def _look_again(self) -> None:
        """Follow a cluster that grows or shrinks."""
        if isinstance(self._max_concurrent, int) or time.monotonic() - self._looked < LOOK_EVERY_S:
            return
        self._looked = time.monotonic()
        self._limit = self._screening.max_tasks = self._max_concurrent()

    def _is_over(self) -> bool:
        if self._archive.interrupted:
            return True
        if self._archive.resumable:
            return False
        idle = not self._archive.ready and not self._screening.under_way
        used_up = idle and self._screening.exhausted
        if not self._has_enough and not used_up:
            return False
        if self._archive.started >= self._trials and not self._archive.rungs.patient:
            # Ray Tune then lets go of its actors one by one, beside the last trials.
            return True
        # Trials under way may yet change the front, or bring a stopped one among the best of its
        # rung.
        return not self._live and not self._archive.has_promotable

    @property
    def _has_enough(self) -> bool:
        """Whether no further trial is to be begun."""
        stalled = self._stall is not None and self._archive.stalled_for >= self._stall
        return stalled or self._archive.started >= self._trials

    def _first(self) -> Started | None:
        if self._archive.started or not self._train_baseline:
            return None
        search = self._archive.search
        (candidate,) = cost_candidates(search.space, search.costs, [search.space.baseline])
        if candidate.error:
            raise SearchError(f"the baseline cannot be trained: {candidate.error}")
        return self._archive.start_baseline(candidate)

    def _warm(self) -> Started | None:
        return None if self._has_enough else self._archive.start_warm()

    def _next(self) -> Started | None:
        """The best candidate that is ready. Waits for one only while no trial is live.

        With nothing live Ray Tune's controller would block in a loop of its own that handles
        neither callbacks nor Ctrl-C, so the waiting is done here, a second at a time.
        """
        if self._has_enough:
            return None
        self._begin_when_low()
        while self._alone and self._screening.under_way and not self._archive.interrupted:
            self._take(self._screening.advance(timeout_s=1.0))
        while (started := self._chosen()) is None:
            if self._live or self._is_over():
                return None
            self._screening.begin()
            self._take(self._screening.advance(timeout_s=1.0))
        return started

    def _chosen(self) -> Started | None:
        begun = time.monotonic()
        if self._archive.plan(at_least=self._at_once):
            self._pace.note(
                begun,
                time.monotonic(),
                trials_ended=self._archive.finished,
                workers=self._limit,
            )
        return self._archive.start_next()

    @property
    def _at_once(self) -> int:
        # Alone, who comes next must not depend on how long anything took. Without a surrogate a
        # choice takes no time.
        return self._pace.at_once if self._archive.search.learns and not self._alone else 1

    def _begin_when_low(self) -> None:
        """Begin a pass early enough to end before the last candidates of this one are handed out.

        Not earlier: the later it begins, the more it knows of the trials before it. A surrogate
        chooses among many that wait, and gets new ones to choose among just as often.
        """
        often = max(self._screen.kept // 2, self._at_once)
        low = self._archive.ready <= max(self._limit, often)
        if self._archive.search.learns:
            low = low or self._archive.started_since_batch >= often
        if low and not self._has_enough:
            self._screening.begin()

    def _take(self, found: Pass | None) -> None:
        if found is not None:
            self._archive.add_batch(found.batch, found.survivors)

    def _path_of(self, checkpoint: str) -> str:
        """Where it lies on the filesystem that Ray Tune was given."""
        record = self._archive.record
        return record.place.below(checkpoint).path if record is not None and checkpoint else ""

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Take a report in runs without a `CascadeScheduler`; a second time it changes nothing."""
        number = self._archive.number_of(trial_id)
        if ERROR in result:
            self._archive.finish(number, "failed", result[ERROR])
        elif self._archive.is_open(number) and EPOCH in result:
            self._archive.report(number, int(result[EPOCH]), numbers_in(result))

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Free the trial's place, and close it if nobody has."""
        self._live.discard(trial_id)
        if not self._archive.interrupted:
            if result is not None:
                self.on_trial_result(trial_id, result)
            status = "failed" if error else "completed"
            self._archive.finish(self._archive.number_of(trial_id), status)

    def save(self, checkpoint_path: str) -> None:
        """Write what Ray Tune asks for: JSON, and little, since the record is the truth."""
        Path(checkpoint_path).write_text(json.dumps({"started": self._archive.started}))

    def restore(self, checkpoint_path: str) -> None:
        """Refuse: what Ray Tune restores is a copy of long ago, and the record knows more."""
        raise SearchError(
            "a search with CascadeSearch is not resumed by Tuner.restore. Make the archive anew "
            "with record=Record.open(...) of the same folder, and a new Tuner: it goes on from "
            "the record."
        )
