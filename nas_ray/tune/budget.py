"""When a search ends: after so many trials, so much time, or once its front stalls."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from nas_ray.errors import SearchError
from nas_ray.evolution.archive import Archive


@dataclass(kw_only=True)
class Budget:
    """At most `trials`, and `time_s` seconds of this run; none after `stall` in vain in a row.

    `is_spent` once the time is over.
    """

    trials: int
    stall: int | None = None
    time_s: float | None = None
    is_spent: bool = False

    def __post_init__(self) -> None:
        for name, value in (("trials", self.trials), ("stall", self.stall)):
            if value is not None and not (isinstance(value, int) and value >= 1):
                raise SearchError(
                    f"{name} must be at least 1 and a whole number, but got {name}={value!r}."
                )
        if self.time_s is not None and not self.time_s > 0:
            raise SearchError(f"time_s must be above 0, but got time_s={self.time_s}.")

    @contextmanager
    def counted(self, archive: Archive) -> Iterator[None]:
        """Interrupt the archive once the time is over; what is under way then stays open."""
        if self.time_s is None:
            yield
            return

        def end() -> None:
            self.is_spent = archive.interrupted = True

        timer = threading.Timer(self.time_s, end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def why_early(self, archive: Archive) -> str:
        """Why fewer trials than asked for were trained, and the way on; nothing where all were."""
        after = f"after {archive.finished} of {self.trials} trials:"
        if self.is_spent and archive.finished < self.trials:
            return (
                f"{after} its {self.time_s:g} s are over. {archive.started - archive.finished} "
                "under way keep their checkpoints; the same call with this folder goes on."
            )
        if archive.started >= self.trials:
            return ""
        if self.stall is not None and archive.stalled_for >= self.stall:
            return f"{after} the last {archive.stalled_for} did not change the front."
        return (
            f"{after} no further network within the constraints was found. Loosen them or add "
            "choices."
        )
