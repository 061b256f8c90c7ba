"""The record of a search here and at its place, and which of the two is to be believed.

A journal only grows, so of two copies one begins with the other, and the longer one is newer.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nas_ray.cache import cache_folder
from nas_ray.errors import RecordError
from nas_ray.storage.place import Place

HEADER = "record.json"
JOURNAL = "journal.jsonl"
SEGMENTS = "journal"
#: What a filesystem raises; pyarrow's ArrowInvalid is a ValueError.
UNAVAILABLE = (OSError, ValueError)
_SEGMENT = re.compile(r"(\d{6})\.jsonl")


@dataclass(frozen=True, kw_only=True)
class Uploaded:
    """What of a journal is at its place: `size` bytes, the last segment from byte `start` on."""

    size: int
    last: int
    start: int


def segment(number: int) -> str:
    """The file of a segment."""
    return f"{SEGMENTS}/{number:06d}.jsonl"


def working_folder(place: Place) -> Path:
    """Where a search at `place` writes on this machine."""
    return cache_folder() / "runs" / _label(place)


def _label(place: Place) -> str:
    last = re.sub(r"[^\w.-]", "_", place.name.rsplit("/", 1)[-1])
    return f"{last}-{hashlib.sha256((place.uri or place.name).encode()).hexdigest()[:12]}"


def pull(place: Place) -> Uploaded:
    """Bring the working folder up to date with the place, and say what is there.

    Raises RecordError where the two are not of one search, or one of them cannot be read.
    """
    header, journal, uploaded = _newest(place)
    _keep(working_folder(place), header, journal)
    if header is None:
        # Left by a search that could not begin; the next one may have other settings.
        (working_folder(place) / HEADER).unlink(missing_ok=True)
    return uploaded


def look(place: Place) -> Path:
    """A folder with the record as it is now, without being in the way of who writes it.

    It is not the working folder: a search may begin in that at any moment. Raises RecordError as
    `pull` does, and where there is no search.
    """
    header, journal, _ = _newest(place)
    if header is None:
        raise RecordError(
            f"{place.name} holds no search: {HEADER} is missing. Pass the URI that was given as "
            "--storage."
        )
    folder = cache_folder() / "seen" / _label(place)
    _keep(folder, header, journal)
    return folder


def _newest(place: Place) -> tuple[bytes | None, bytes, Uploaded]:
    working = working_folder(place)
    with told(place, "read"):
        there = place.read(HEADER)
        journal, uploaded = _joined(place)
    # In this order: a search that began since then has a longer journal here, not another one.
    here, mine = _content(working / HEADER), _whole_lines(_content(working / JOURNAL) or b"")
    if there is not None and here is not None and mine and _json(there) != _json(here):
        _refuse(place, working)
    longer, shorter = (mine, journal) if len(mine) >= len(journal) else (journal, mine)
    if not longer.startswith(shorter):
        _refuse(place, working)
    return there or (here if mine else None), longer, uploaded


def _refuse(place: Place, working: Path) -> None:
    raise RecordError(
        f"{place.name} and its working folder on this machine, {working}, each have events that "
        f"the other lacks: two searches wrote to the same place. Delete {working} to go on from "
        f"what is at {place.name}, or use another --storage."
    )


def _joined(place: Place) -> tuple[bytes, Uploaded]:
    """The segments one after the other, up to the last whole line."""
    numbers = [int(m[1]) for name in place.files(SEGMENTS) if (m := _SEGMENT.fullmatch(name))]
    whole = range(len(numbers))
    missing = [number for number in whole if numbers[number] != number]
    parts = [] if missing else [place.read(segment(number)) or b"" for number in whole]
    broken = missing or [n for n, part in enumerate(parts[:-1]) if not part.endswith(b"\n")]
    if broken:
        raise RecordError(
            f"the journal at {place.name} is damaged: {segment(broken[0])} is missing or torn, "
            "though later ones are there. Restore it, or use another --storage."
        )
    start = sum(map(len, parts[:-1]))
    content = b"".join(parts[:-1]) + _whole_lines(parts[-1] if parts else b"")
    return content, Uploaded(size=len(content), last=max(0, len(parts) - 1), start=start)


def _keep(folder: Path, header: bytes | None, journal: bytes) -> None:
    """Write what differs, each file whole or not at all."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in ((HEADER, header), (JOURNAL, journal)):
            if content and _content(folder / name) != content:
                part = folder / f".{name}.{os.getpid()}.part"
                part.write_bytes(content)
                part.replace(folder / name)
    except OSError as error:
        raise RecordError(
            f"{folder} cannot be written: {error}. Set NAS_RAY_CACHE to a folder of yours."
        ) from error


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecordError(f"{path} cannot be read: {error}.") from error


def _whole_lines(content: bytes) -> bytes:
    return content[: content.rfind(b"\n") + 1]


def _json(content: bytes) -> object:
    try:
        return json.loads(content)
    except ValueError:
        return content


@contextmanager
def told(place: Place, what: str) -> Iterator[None]:
    """RecordError where a place cannot be read or written."""
    try:
        yield
    except UNAVAILABLE as error:
        raise RecordError(
            f"{place.name} cannot be {what}: {reason(error)}. Check the name, the network, and the "
            "credentials in the environment, then run the same command again."
        ) from error


def reason(error: Exception) -> str:
    """What a filesystem says, in one line."""
    return (str(error).strip() or repr(error)).splitlines()[0].rstrip(".")
