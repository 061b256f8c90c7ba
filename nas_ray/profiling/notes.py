"""What a profile keeps beside its table: the samples that failed, and the round under way."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from nas_ray.measure.table import read_text, write_whole

_HEADER = "signature,reason\n"


def failures_path(folder: Path) -> Path:
    """`failed.csv`: deleted by hand, its samples are asked again."""
    return folder / "failed.csv"


def read_failures(folder: Path) -> dict[str, str]:
    """Why each lost sample was lost. A torn last line does not count."""
    path = failures_path(folder)
    if not path.exists():
        return {}
    rows = csv.reader(io.StringIO(read_text(path)))
    return {row[0]: row[1] for row in rows if len(row) == 2 and row[0] != "signature"}


def append_failures(folder: Path, failures: Mapping[str, str]) -> None:
    """Add `failures`, one line each."""
    path = failures_path(folder)
    known = read_text(path) if path.exists() else _HEADER
    if not path.exists() or path.stat().st_size != len(known.encode()):
        write_whole(path, known.encode())
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows((key, " ".join(reason.split())) for key, reason in failures.items())


def write_round(folder: Path, command: Mapping[str, object], signatures: Sequence[str]) -> None:
    """Remember the round, so that a killed profile goes on with it and not with another one."""
    text = json.dumps({"command": dict(command), "signatures": list(signatures)}, indent=0)
    write_whole(_round_path(folder), text.encode())


def read_round(folder: Path, command: Mapping[str, object]) -> tuple[str, ...]:
    """The samples of the round under way; none where there is none or another command chose it."""
    path = _round_path(folder)
    if not path.exists():
        return ()
    kept = json.loads(path.read_text(encoding="utf-8"))
    return tuple(kept["signatures"]) if kept["command"] == dict(command) else ()


def forget_round(folder: Path) -> None:
    """The round is over."""
    _round_path(folder).unlink(missing_ok=True)


def _round_path(folder: Path) -> Path:
    return folder / "round.json"
