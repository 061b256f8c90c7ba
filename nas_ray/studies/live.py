"""`LiveStudy`: the study of a search that runs, in a file of its folder.

    optuna-dashboard runs/digits/study.log

A journal file and not SQLite: a change costs about a millisecond instead of twenty, and needs no
database package. Nothing depends on the file, so what goes wrong with it is a warning and no more.
"""

import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

from nas_ray.record import Record, Trial
from nas_ray.studies.record_study import StudyCopy

STUDY = "study.log"
#: How long a lock may be left lying, by a process that was killed, before it is taken away.
_STALE_AFTER_S = 3


class LiveStudy:
    """Keeps the study of `record` up to date; after the first failure it warns and rests."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._copy: StudyCopy | None = None
        self._rests = False

    def update(self, trials: Mapping[int, Trial]) -> None:
        """Copy what has changed. Never raises."""
        if self._rests:
            return
        try:
            if self._copy is None:
                self._copy = _opened(self._record)
            self._copy.update(trials)
        except Exception as error:  # noqa: BLE001 - a search must not end for want of its mirror
            self._rests = True
            with suppress(UserWarning):  # raised where people turn warnings into errors
                self._warn(error)

    def _warn(self, error: Exception) -> None:
        warnings.warn(
            f"{self._record.folder / STUDY} is not kept up to date any more: {error!r}. The search "
            "goes on; its record is complete without that file, and nas_ray.as_study(record) makes "
            "the study again.",
            UserWarning,
            stacklevel=3,
        )


def _opened(record: Record) -> StudyCopy:
    """The study in the folder; a file that a crash left unreadable is written anew."""
    path = record.folder / STUDY
    try:
        return StudyCopy(record, _storage(path))
    except ValueError:
        path.unlink()
        return StudyCopy(record, _storage(path))


def _storage(path: Path) -> JournalStorage:
    lock = JournalFileSymlinkLock(str(path), grace_period=_STALE_AFTER_S)
    return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
