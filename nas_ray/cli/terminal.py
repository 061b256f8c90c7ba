"""Where the command prints to."""

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

#: Columns where the output is a file or a log, which do not say how wide they are.
_LOG_WIDTH = 100
#: Seconds between lines where the output is not a terminal.
_LINE_EVERY_S = 10.0


def console() -> Console:
    """Standard output: as wide as the terminal, or wide enough for every table."""
    output = Console()
    return output if output.is_terminal else Console(width=_LOG_WIDTH)


class Meter:
    """How far a long work is, on standard error: a bar, or a line where that is no terminal."""

    def __init__(self, label: str, total: int) -> None:
        self._label, self._total = label, total
        self._console = Console(stderr=True)
        self._said = time.monotonic()
        self._bar = Progress(
            TextColumn(label),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task(label, total=total, note="")

    def __enter__(self) -> "Meter":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, done: int, note: str = "", total: int | None = None) -> None:
        """`done` of `total`, and what else there is to say."""
        total = total or self._total
        self._bar.update(self._task, completed=done, total=total, note=note)
        if not self._console.is_terminal and time.monotonic() - self._said > _LINE_EVERY_S:
            self._said = time.monotonic()
            line = f"{self._label}: {done} of {total}" + (f", {note}" if note else "")
            self._console.print(line, highlight=False, soft_wrap=True)
