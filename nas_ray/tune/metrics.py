"""How far a search is, as metrics of Ray's own: what scrapes the cluster sees them.

`nas_ray_trials` by `state`, `nas_ray_candidates` by `stage` of the funnel, `nas_ray_front`, each
with the name of the `space`.
"""

import time
from typing import Any

from ray.tune import Callback
from ray.util.metrics import Gauge

from nas_ray.evolution.archive import Archive

#: Seconds between updates.
EVERY_S = 5.0
_STATES = ("running", "completed", "stopped", "failed")


class Metrics(Callback):
    """Keeps the metrics of a search up to date while it runs."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._updated = -EVERY_S
        self._gauges: tuple[Gauge, Gauge, Gauge] | None = None

    def __getstate__(self) -> dict[str, Any]:
        # Ray Tune pickles its callbacks; a gauge belongs to its process.
        return {**self.__dict__, "_gauges": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Tell Ray what changed; called by Ray Tune about ten times a second."""
        if time.monotonic() - self._updated >= EVERY_S:
            self._updated = time.monotonic()
            self.update()

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        """Tell Ray how it ended; called by Ray Tune."""
        self.update()

    def update(self) -> None:
        """Set every gauge to what the archive says."""
        if self._gauges is None:
            self._gauges = (
                Gauge("nas_ray_trials", "trials of a search by state", ("space", "state")),
                Gauge("nas_ray_candidates", "networks by stage of the funnel", ("space", "stage")),
                Gauge("nas_ray_front", "networks on the front", ("space",)),
            )
        trials, candidates, front = self._gauges
        space = {"space": self._archive.search.space.name}
        states = [trial.status for trial in self._archive.trials.values()]
        for state in _STATES:
            trials.set(states.count(state), {**space, "state": state})
        for stage in ("costed", "feasible", "scored"):
            count = sum(getattr(batch, stage) for batch in self._archive.batches)
            candidates.set(count, {**space, "stage": stage})
        front.set(len(self._archive.search.front()), space)
