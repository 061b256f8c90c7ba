"""What a person sees while a search runs."""

import time
from typing import Any

from ray.tune import Callback
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from nas_ray.evolution.archive import Archive
from nas_ray.report.units import duration

#: Seconds between lines where the output is not a terminal, and between redraws where it is.
LINE_EVERY_S = 10.0
REDRAW_EVERY_S = 0.5
_FRONT_ROWS = 8
#: Trials that must have ended before the time left is guessed; the baseline, trained in full, is
#: the slowest of all and says little of the others.
_ENOUGH_TO_GUESS = 4


class Progress(Callback):
    """A live table in a terminal, a line every ten seconds elsewhere."""

    def __init__(self, archive: Archive, trials: int, console: Console) -> None:
        self._archive = archive
        self._trials = trials
        self._console = console
        self._finished_before = archive.finished
        self._begun = time.monotonic()
        self._shown = -LINE_EVERY_S
        self._live: Live | None = None

    def __getstate__(self) -> dict[str, Any]:
        # Ray Tune pickles its callbacks; a terminal cannot be.
        return {**self.__dict__, "_live": None, "_console": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def setup(self, *args: Any, **info: Any) -> None:
        """Begin to draw; called by Ray Tune."""
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Draw what changed; called by Ray Tune about ten times a second."""
        every = REDRAW_EVERY_S if self._live else LINE_EVERY_S
        if time.monotonic() - self._shown < every:
            return
        self._shown = time.monotonic()
        if self._live:
            self._live.update(Group(Text(self.line()), self._front()), refresh=True)
        else:
            self._console.print(self.line(), highlight=False, soft_wrap=True)

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        """Leave the terminal as it was; called by Ray Tune."""
        self.close()

    def close(self) -> None:
        """Stop drawing; a second time changes nothing."""
        if self._live:
            self._live.stop()
            self._live = None
            self._console.print(self.line(), highlight=False)

    def line(self) -> str:
        """Trials by state, the share of screened candidates that is feasible, and the time left."""
        by_status = [t.status for t in self._archive.trials.values()]
        counts = {s: by_status.count(s) for s in ("completed", "stopped", "failed", "running")}
        costed = sum(b.costed for b in self._archive.batches)
        feasible = sum(b.feasible for b in self._archive.batches)
        share = f"{feasible / costed:.0%} of {costed} screened" if costed else "screening"
        return (
            f"{counts['completed']} done, {counts['stopped']} stopped early, "
            f"{counts['running']} running, {counts['failed']} failed of {self._trials} | "
            f"feasible: {share} | front: {len(self._archive.search.front())} | "
            f"left: {self._left()}"
        )

    def _left(self) -> str:
        finished = self._archive.finished
        here = finished - self._finished_before
        if here < _ENOUGH_TO_GUESS:
            return "?"
        return duration((time.monotonic() - self._begun) / here * max(0, self._trials - finished))

    def _front(self) -> Table:
        metrics = [objective.metric for objective in self._archive.search.objectives]
        table = Table(*metrics, title="front so far")
        rows = sorted([o.metrics[m] for m in metrics] for o in self._archive.search.front())
        for row in rows[-_FRONT_ROWS:]:
            table.add_row(*(f"{value:.4g}" for value in row))
        return table
