"""Who writes to a place: a file there with host, process and time, renewed while the search runs.

It is no lock, which object stores do not have. It keeps out who comes while another writes; two
that begin in the same second may both believe that they hold it, until the first of them renews it.
It compares the clocks of two machines, which must agree to some seconds.
"""

import json
import os
import socket
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas_ray.errors import RecordError
from nas_ray.storage.place import Place

FILE = "lease.json"
#: A lease that was not renewed for so many seconds is nobody's.
LASTS_S = 60.0
RENEWED_EVERY_S = 15.0


def is_leased(place: Place) -> bool:
    """Whether a search, here or elsewhere, writes to the place. Raises OSError as `read` does."""
    return _is_fresh(_found(place))


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right to write to `place` of whoever holds the lock of one working folder.

    `owner` is that of the folder, not of the process: a search that was killed and begins again on
    its machine need not wait, since only one process at a time has the lock of the folder.
    """

    place: Place
    owner: str

    @classmethod
    def taken(cls, place: Place, working: Path) -> "Lease":
        """A lease for the process that has the lock of `working`.

        Raises RecordError where another search has it, OSError where the place cannot be written.
        """
        lease = cls(place=place, owner=_owner(working))
        found = _found(place)
        if _is_fresh(found) and found["owner"] != lease.owner:
            raise RecordError(
                f"another search is writing to {place.name}: process {found.get('pid')} on "
                f"{found.get('host')}, {max(0.0, time.time() - found['time']):.0f} s ago. Wait for "
                f"it, stop it, or use another --storage; one that died is forgotten after "
                f"{LASTS_S:.0f} s."
            )
        lease._write()
        return lease

    def renew(self) -> None:
        """Say that the search still runs. Raises RecordError where another one took over."""
        found = _found(self.place)
        if found.get("owner", self.owner) != self.owner:
            raise RecordError(
                f"another search took over {self.place.name}: process {found.get('pid')} on "
                f"{found.get('host')}. This one was silent for more than {LASTS_S:.0f} s, or both "
                "began at once; it ends here, and nothing more of it is uploaded."
            )
        self._write()

    def release(self) -> None:
        """Let others write, unless another took over."""
        if _found(self.place).get("owner") == self.owner:
            self.place.remove(FILE)

    def _write(self) -> None:
        mine = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "owner": self.owner,
            "time": round(time.time(), 3),
        }
        self.place.write(FILE, json.dumps(mine).encode())


def _owner(working: Path) -> str:
    path = working / ".owner"
    try:
        if not path.exists():
            path.write_text(uuid.uuid4().hex, encoding="utf-8")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise RecordError(
            f"{path} cannot be written: {error}. Set NAS_RAY_CACHE to a folder of yours."
        ) from error


def _found(place: Place) -> dict[str, Any]:
    """The lease at the place; empty where there is none that can be read."""
    try:
        found = json.loads(place.read(FILE) or b"{}")
    except ValueError:
        return {}
    sound = isinstance(found, dict) and isinstance(found.get("time"), int | float)
    return found if sound and isinstance(found.get("owner"), str) else {}


def _is_fresh(found: dict[str, Any]) -> bool:
    return bool(found) and time.time() - found["time"] < LASTS_S
