"""Where the command prints to."""

from rich.console import Console

#: Columns where the output is a file or a log, which do not say how wide they are.
_LOG_WIDTH = 100


def console() -> Console:
    """Standard output: as wide as the terminal, or wide enough for every table."""
    output = Console()
    return output if output.is_terminal else Console(width=_LOG_WIDTH)
