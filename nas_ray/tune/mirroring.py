"""The study of a search, kept up to date while it runs."""

import time
from typing import Any

from ray.tune import Callback

from nas_ray.evolution.archive import Archive
from nas_ray.studies import LiveStudy

#: Seconds between updates.
EVERY_S = 2.0


class Mirroring(Callback):
    """Copies the trials of an archive with a record to the study in its folder."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._live = None if archive.record is None else LiveStudy(archive.record)
        self._updated = -EVERY_S

    def __getstate__(self) -> dict[str, Any]:
        # Ray Tune pickles its callbacks; an open storage cannot be.
        return {**self.__dict__, "_live": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Copy what changed; called by Ray Tune about ten times a second."""
        if self._live is None or self._archive.fault is not None:
            return
        if time.monotonic() - self._updated >= EVERY_S:
            self._live.update(self._archive.trials)
            self._updated = time.monotonic()
