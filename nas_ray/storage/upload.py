"""`Upload`: a thread that keeps the place of a search up to date with its working folder."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nas_ray.errors import RecordError
from nas_ray.storage.copies import (
    HEADER,
    JOURNAL,
    UNAVAILABLE,
    Uploaded,
    pull,
    reason,
    segment,
    told,
    working_folder,
)
from nas_ray.storage.lease import RENEWED_EVERY_S, Lease
from nas_ray.storage.place import Place

#: Seconds between uploads, and for how long they may fail.
EVERY_S = 1.0
GIVE_UP_AFTER_S = 60.0
#: A segment is uploaded whole with every new event, so it ends when it is larger than this.
SEGMENT_BYTES = 1 << 20
#: What is uploaded once, at the end: made from the record, and may be missing.
_MADE_FROM_IT = ("report.html", "study.log")


@contextmanager
def uploading(place: Place) -> Iterator["Upload"]:
    """Upload what is written to the working folder, whose lock the caller has; in the end, all.

    Raises RecordError where another search writes to the place or has written to it, where it
    cannot be written, and at the end where the last of the record could not be uploaded.
    """
    folder = working_folder(place)
    with told(place, "written"):
        lease = Lease.taken(place, folder)
    try:
        with told(place, "written"):
            if place.read(HEADER) is None:
                place.write(HEADER, (folder / HEADER).read_bytes())
            uploaded = pull(place)
        upload = Upload(folder, lease, uploaded)
        thread = threading.Thread(target=upload.run, name="upload", daemon=True)
        thread.start()
        try:
            yield upload
        finally:
            upload.ending.set()
            thread.join()
            upload.finish()
    finally:
        with suppress(*UNAVAILABLE):
            lease.release()


class Upload:
    """What is uploaded of the journal in `folder`, and the error that ended it, if one did."""

    def __init__(self, folder: Path, lease: Lease, uploaded: Uploaded) -> None:
        self.ending = threading.Event()
        #: Why nothing is uploaded any more; the search must end.
        self.fault: RecordError | None = None
        self._folder = folder
        self._lease = lease
        self._uploaded = uploaded
        self._renewed = time.time()
        self._failing_since: float | None = None

    def run(self) -> None:
        """Upload until `ending` is set, or until it failed for too long."""
        while self.fault is None and not self.ending.wait(EVERY_S):
            self._step()

    def finish(self) -> None:
        """Upload the rest, and what is made from the record. Raises the fault, if there is one."""
        while self.fault is None and not self._step():
            time.sleep(EVERY_S)
        if self.fault is not None:
            raise self.fault
        with suppress(*UNAVAILABLE):
            for name in _MADE_FROM_IT:
                if (self._folder / name).is_file():
                    self._lease.place.write(name, (self._folder / name).read_bytes())

    def _step(self) -> bool:
        """Upload what is new; whether that worked."""
        try:
            # A search that was suspended may have been taken for dead: it asks before it writes.
            if time.time() - self._renewed >= RENEWED_EVERY_S:
                self._lease.renew()
                self._renewed = time.time()
            self._push()
        except RecordError as error:
            self.fault = error
            return False
        except UNAVAILABLE as error:
            self._note(error)
            return False
        self._failing_since = None
        return True

    def _push(self) -> None:
        """Write the last segment anew, with what was appended since."""
        done = self._uploaded
        content = _whole_lines_from(self._folder / JOURNAL, done.start)
        size = done.start + len(content)
        if size <= done.size:
            return
        self._lease.place.write(segment(done.last), content)
        full = len(content) > SEGMENT_BYTES
        start = size if full else done.start
        self._uploaded = Uploaded(size=size, last=done.last + full, start=start)

    def _note(self, error: Exception) -> None:
        now = time.monotonic()
        if self._failing_since is None:
            self._failing_since = now
        if now - self._failing_since >= GIVE_UP_AFTER_S:
            self.fault = RecordError(
                f"{self._lease.place.name} could not be written for {GIVE_UP_AFTER_S:.0f} s: "
                f"{reason(error)}. Everything is kept in {self._folder}; once the cause is mended, "
                "the same command on this machine uploads it and goes on."
            )


def _whole_lines_from(path: Path, start: int) -> bytes:
    """What a journal has from byte `start` on, up to the last whole line."""
    if not path.exists():
        return b""
    with path.open("rb") as journal:
        journal.seek(start)
        content = journal.read()
    return content[: content.rfind(b"\n") + 1]
