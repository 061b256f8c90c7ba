"""The `nas-ray` command: parsing and printing only."""

from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit code. Ctrl-C ends it quietly even while its imports are under way."""
    try:
        from nas_ray.cli.command import main as run  # noqa: PLC0415 - a second of imports

        return run(arguments)
    except KeyboardInterrupt:
        return 130
