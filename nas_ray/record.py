"""The record of a search on disk: written and read here and nowhere else.

    runs/digits/record.json     what was searched: space, device, objectives, constraints, seed
    runs/digits/journal.jsonl   what happened, one event a line, appended and fsynced
    runs/digits/checkpoints/    what was trained
    runs/digits/study.log       a copy for optuna-dashboard, written by nas_ray.studies

A record at a URI (s3://bucket/digits) is written to a working folder like this one, and uploaded
from there; see `nas_ray.storage`.

The journal is the truth: from it the archive, the rungs and the tables are rebuilt. Reading the
same event twice changes nothing, and a line cut off by a crash is ignored.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pyarrow.fs import FileSystem

from nas_ray.errors import RecordError, SearchError
from nas_ray.storage import (
    HEADER,
    JOURNAL,
    Place,
    Upload,
    as_place,
    is_leased,
    look,
    pull,
    told,
    uploading,
    working_folder,
)

FORMAT = 1
_LOCK = ".lock"
#: What every event has: what it is, and when it was, in seconds since 1970.
_OF_ALL = ("event", "time")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One network of a search, as the journal tells it.

    `status` is one of running, completed, stopped (early), failed. `metrics` are the last reported,
    `curve` those of every epoch, `checkpoint` a path relative to the record's folder. `retries` are
    the errors of attempts after which it was trained on.
    """

    number: int
    config: Mapping[str, Any]
    origin: str = "evolution"
    costs: Mapping[str, float] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    status: str = "running"
    curve: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    test: Mapping[str, float] = field(default_factory=dict)
    checkpoint: str = ""
    error: str = ""
    retries: tuple[str, ...] = ()

    @property
    def epoch(self) -> int:
        """The last epoch reported; 0 before the first."""
        return max(self.curve, default=0)

    @property
    def metrics(self) -> dict[str, float]:
        """Costs and the metrics of the last epoch."""
        return {**self.costs, **self.curve.get(self.epoch, {})}

    def as_begun(self) -> "Trial":
        """The trial as it was before anything happened to it."""
        return Trial(
            number=self.number,
            config=self.config,
            origin=self.origin,
            costs=self.costs,
            scores=self.scores,
        )

    def after(self, event: Mapping[str, Any]) -> "Trial":
        """The trial once `event` of the journal has happened to it."""
        if event["event"] == "result":
            curve = {**self.curve, event["epoch"]: event["metrics"]}
            # An earlier epoch that is told again must not bring its older checkpoint back.
            newest = event["checkpoint"] if event["epoch"] >= self.epoch else ""
            return replace(self, curve=curve, checkpoint=newest or self.checkpoint)
        if event["event"] == "end":
            return replace(self, status=event["status"], error=event["error"])
        if event["event"] == "retry" and event["attempt"] > len(self.retries):
            return replace(self, retries=(*self.retries, event["error"]))
        if event["event"] == "promote":
            return replace(self, status="running", error="")
        if event["event"] == "test":
            return replace(self, test=event["metrics"])
        return self


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One pass of the pre-filter: how many were costed, feasible, scored; who is to be trained.

    `told` trials were known when it began. `unbuildable` counts the configs that no network could
    be made of, by their reason. `survivors` wait to be trained, `infeasible` are candidates that
    the search has to remember (`EvolutionarySearch.remember`).
    """

    draws: int
    costed: int
    feasible: int
    scored: int
    unbuildable: Mapping[str, int] = field(default_factory=dict)
    told: int = 0
    survivors: tuple[Mapping[str, Any], ...] = ()
    infeasible: tuple[Mapping[str, Any], ...] = ()


@contextmanager
def alone_in(folder: Path, busy: str) -> Iterator[None]:
    """Keep other processes out of `folder`; RecordError `busy` where one is in it already."""
    try:
        lock = (folder / _LOCK).open("a", encoding="utf-8")
    except OSError as error:
        raise RecordError(f"{folder} cannot be written: {error}.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RecordError(busy) from error
        yield


class Record:
    """The record of one search. Opening one that another search wrote raises RecordError.

    `folder` holds its files, `place` what is trained; they differ for a record at a URI alone.
    """

    def __init__(self, folder: Path, header: Mapping[str, Any], place: Place | None = None) -> None:
        self.folder = folder
        self.header = dict(header)
        self.place = place or Place.local(folder)
        self._is_elsewhere = place is not None
        self._upload: Upload | None = None

    def __getstate__(self) -> dict[str, Any]:
        # Ray Tune pickles what holds a record; a thread cannot be.
        return {**self.__dict__, "_upload": None}

    @classmethod
    def open(cls, storage: str | Path | Place, header: Mapping[str, Any]) -> "Record":
        """The record in the folder or at the URI `storage`, made there if there is none.

        `header` says what is searched and must be JSON. Raises RecordError when the storage holds
        another search, an incompatible version, or cannot be written.
        """
        place = as_place(storage)
        if place is not None:
            pull(place)
        path = _folder(storage) if place is None else working_folder(place)
        wanted = json.loads(json.dumps({"format": FORMAT, **header}))
        if (path / HEADER).exists():
            record = cls._in(path, place)
            _require_same(record.name, record.header, wanted)
        else:
            _create(path, wanted)
            record = cls(path, wanted, place)
        record._drop_torn_line()
        return record

    @classmethod
    def read(cls, storage: str | Path | Place) -> "Record":
        """The record in the folder or at the URI `storage`, as it is, of a search that runs or not.

        Nothing is written there. Raises RecordError where there is none to read.
        """
        place = as_place(storage)
        return cls._in(_folder(storage) if place is None else look(place), place)

    @classmethod
    def _in(cls, path: Path, place: Place | None) -> "Record":
        try:
            header = json.loads((path / HEADER).read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise RecordError(
                f"{path} holds no search: {HEADER} is missing. Pass the folder that was given as "
                "--storage."
            ) from error
        except (OSError, ValueError) as error:
            raise RecordError(
                f"{path / HEADER} cannot be read: {error}. Name the folder of a search; if this "
                "was one, its record is damaged, and a new search needs another folder."
            ) from error
        if not isinstance(header, dict) or header.get("format") != FORMAT:
            found = header.get("format") if isinstance(header, dict) else header
            raise RecordError(
                f"{path} was written in record format {found!r}, but this version reads {FORMAT}. "
                "Use the version that wrote it, or another folder."
            )
        return cls(path, header, place)

    @staticmethod
    def name_of(storage: str | Path | Place) -> str:
        """What a record at `storage` calls itself, whether there is one or not."""
        place = as_place(storage)
        return str(_folder(storage)) if place is None else place.name

    @property
    def name(self) -> str:
        """Where the record is, for people: its folder, or its URI without the query."""
        return self.place.name

    @property
    def filesystem(self) -> FileSystem | None:
        """The filesystem of a record at a URI; None for a folder, which is a path everywhere."""
        return self.place.filesystem if self._is_elsewhere else None

    @property
    def is_held(self) -> bool:
        """Whether a search is writing to the record: on this machine, or anywhere to one at a URI.

        Raises RecordError where a URI cannot be reached.
        """
        if self._is_elsewhere:
            with told(self.place, "read"):
                return is_leased(self.place)
        try:
            with (self.folder / _LOCK).open("r", encoding="utf-8") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other searches out; RecordError where one is in it already.

        What is written to a record at a URI meanwhile is uploaded, all of it before this ends:
        RecordError where that cannot be.
        """
        busy = (
            f"another search is writing to {self.name}. Wait for it, stop it, or use another "
            "--storage."
        )
        with alone_in(self.folder, busy):
            if not self._is_elsewhere:
                yield
                return
            with uploading(self.place) as upload:
                # Another search may have begun there since this record was opened.
                _require_same(self.name, Record._in(self.folder, self.place).header, self.header)
                self._upload = upload
                try:
                    yield
                finally:
                    self._upload = None

    def append(self, event: Mapping[str, Any]) -> None:
        """Write one event with its time, and make sure it is on disk.

        Raises RecordError where it cannot be, and where a record at a URI is not held.
        """
        self._require_upload()
        line = json.dumps({**event, "time": round(time.time(), 3)}) + "\n"
        try:
            with (self.folder / JOURNAL).open("a", encoding="utf-8") as journal:
                journal.write(line)
                journal.flush()
                os.fsync(journal.fileno())
        except OSError as error:
            # Half a line would run into the next one once there is space again.
            with suppress(OSError):
                self._drop_torn_line()
            raise RecordError(
                f"{self.folder / JOURNAL} cannot be written: {error}. Free some space or mend the "
                "permissions, then run the same command again: everything before this is kept."
            ) from error

    def events(self) -> Iterator[dict[str, Any]]:
        """Every complete event in order. Raises RecordError for a line that is not one."""
        path = self.folder / JOURNAL
        if not path.exists():
            return
        for number, line in enumerate(path.read_bytes().splitlines(keepends=True), start=1):
            if not line.endswith(b"\n"):
                return
            try:
                event = json.loads(line)
            except ValueError as error:
                raise RecordError(f"{path}, line {number} is not JSON: {error}.") from error
            if not _is_event(event):
                text = line.decode(errors="replace").strip()[:80]
                raise RecordError(f"{path}, line {number} is not an event: {text}")
            yield event

    def trials(self) -> dict[int, Trial]:
        """Every trial by its number."""
        trials: dict[int, Trial] = {}
        for event in self.events():
            with self.understood(event):
                if event["event"] == "start":
                    fields = {k: v for k, v in event.items() if k not in (*_OF_ALL, "trial")}
                    trials.setdefault(event["trial"], Trial(number=event["trial"], **fields))
                elif "trial" in event:
                    if event["trial"] not in trials:
                        raise ValueError("its trial never started: lines are missing")
                    trials[event["trial"]] = trials[event["trial"]].after(event)
        return trials

    def batches(self) -> tuple[Batch, ...]:
        """Every pass of the pre-filter."""
        found: dict[int, Batch] = {}
        for event in self.events():
            if event["event"] == "batch":
                with self.understood(event):
                    fields: dict[str, Any] = {
                        name: tuple(value) if isinstance(value, list) else value
                        for name, value in event.items()
                        if name not in _OF_ALL
                    }
                    found[event["draws"]] = Batch(**fields)
        return tuple(found.values())

    @contextmanager
    def understood(self, event: Mapping[str, Any]) -> Iterator[None]:
        """RecordError for an event that lacks something or has what it should not have."""
        try:
            yield
        except (KeyError, TypeError, ValueError, SearchError) as error:
            reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
            raise RecordError(
                f"{self.folder / JOURNAL}: the event {json.dumps(event)[:80]} cannot be used: "
                f"{reason}. Restore the journal or use another --storage."
            ) from error

    @property
    def fault(self) -> RecordError | None:
        """Why what is written is not uploaded any more, or nothing; the search is to end then."""
        return self._upload.fault if self._upload is not None else None

    def _require_upload(self) -> None:
        if self._is_elsewhere and self._upload is None:
            raise RecordError(
                f"a record at a URI must be held while it is written to, but {self.name} is not. "
                "Write inside `with record.held():`."
            )
        if self.fault is not None:
            raise self.fault

    def checkpoint_path(self, trial: Trial) -> Path | None:
        """The folder of the last checkpoint of `trial`, of a record in a folder.

        Raises RecordError if it lies outside the record's folder, and for a record at a URI.
        """
        place = self.checkpoint(trial)
        if place is None:
            return None
        if self._is_elsewhere:
            raise RecordError(
                f"{place.name} is no folder of this machine. Read its files with "
                "record.checkpoint(trial).file(name)."
            )
        return Path(place.path)

    def checkpoint(self, trial: Trial) -> Place | None:
        """Where the last checkpoint of `trial` is; RecordError if that is outside the record."""
        if not trial.checkpoint:
            return None
        return self.place.below(trial.checkpoint)

    def _drop_torn_line(self) -> None:
        """Cut off what a crash left of a line, so that the next event starts on its own."""
        path = self.folder / JOURNAL
        if not path.is_file():
            return
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            with path.open("r+b") as journal:
                journal.truncate(whole)


def _is_event(event: object) -> bool:
    """Whether it says what it is, and what should be numbers are numbers."""
    if not isinstance(event, dict) or not isinstance(event.get("event"), str):
        return False
    numbers = [event.get(name, {}) for name in ("costs", "scores", "metrics")]
    return all(
        isinstance(one, dict) and all(isinstance(value, int | float) for value in one.values())
        for one in numbers
    )


def _folder(storage: str | Path | Place) -> Path:
    return Path(str(storage)).expanduser().resolve()


def _create(path: Path, header: Mapping[str, Any]) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
        temporary = path / f".{HEADER}"
        temporary.write_text(json.dumps(header, indent=2) + "\n", encoding="utf-8")
        temporary.replace(path / HEADER)
    except OSError as error:
        raise RecordError(
            f"storage folder {path} cannot be written: {error}. Pass another --storage."
        ) from error


def _require_same(name: str, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    differing = [
        (key, _short(found.get(key)), _short(value))
        for key, value in wanted.items()
        if key != "nas_ray" and found.get(key) != value
    ]
    if differing:
        # Not every difference can be told from the short form, so one that can be goes first.
        key, theirs, ours = min(differing, key=lambda one: one[1] == one[2])
        raise RecordError(
            f"{name} holds another search: its {key} is {theirs}, but this one has {ours}. Use "
            "another storage folder (--storage), or the same settings to resume."
        )


def _short(value: Any) -> str:
    if isinstance(value, dict) and "name" in value:
        value = value["name"] + f" with {len(value.get('choices', ()))} choices"
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
