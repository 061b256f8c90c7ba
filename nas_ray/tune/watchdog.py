"""Ends trials that hang: Ray Tune itself waits for a report for ever."""

import time
from typing import Any

import ray
from ray.tune import Callback
from ray.tune.experiment import Trial

from nas_ray.evolution.archive import Archive


class Watchdog(Callback):
    """Kills the worker of a trial that has reported nothing for `silent_s` seconds.

    The trial is then retried or has failed, like any other whose worker died.
    """

    def __init__(self, archive: Archive, silent_s: float) -> None:
        self._archive = archive
        self._silent_s = silent_s
        self._heard: dict[str, float] = {}

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Begin to wait; called by Ray Tune for every attempt of a trial."""
        self._heard[trial.trial_id] = time.monotonic()

    def on_trial_result(
        self,
        iteration: int,
        trials: list[Trial],
        trial: Trial,
        result: dict[str, Any],
        **info: Any,
    ) -> None:
        """Wait anew; called by Ray Tune for every report."""
        self._heard[trial.trial_id] = time.monotonic()

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Kill who was silent for too long; called by Ray Tune about ten times a second."""
        now = time.monotonic()
        for trial in trials:
            actor = trial.temporary_state.ray_actor
            heard = self._heard.get(trial.trial_id, now)
            if trial.status == Trial.RUNNING and actor and now - heard > self._silent_s:
                self._heard[trial.trial_id] = now
                self._archive.explain(
                    self._archive.number_of(trial.trial_id),
                    f"it reported nothing for {self._silent_s:g} s and was ended",
                )
                ray.kill(actor)
