"""What the table of a device was measured with, and whether device.toml still says the same.

`measured_with.json` lies beside the table: device.toml as it was at the first row, without what
only estimates read. A table that was measured with anything else says nothing about the device that
device.toml describes now, so it is refused. A folder without that file has a table of which nobody
knows this; it is believed.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nas_ray.errors import DeviceError
from nas_ray.measure.device_files import HASH, with_hashes
from nas_ray.measure.table import table_path, write_whole

FILE = "measured_with.json"
#: Keys and sections of device.toml that no back-end reads and that describe no hardware that the
#: table was measured on. With another value estimates change, and the table is as good as before.
#: Whatever is not named here, a new key too, was part of the measurement.
ESTIMATE_ONLY = (
    *("name", "description", "numbers"),
    # Of a network as a whole: the order of its operators, weights on their way, a margin, and what
    # runs elsewhere.
    *("additivity", "execution", "staging", "host"),
    # Found by `--detect` from measurements; a regression is fitted anew with another factor.
    *("parallelism_factor", "parallelism"),
    # How tensors lie in memory.
    *("number_format.alignment_bytes", "number_format.channel_multiple"),
    # How long a measurement may take.
    *("measure.timeout_s", "measure.repeat_s"),
)
_SHOWN = 3
_MISSING = object()


def facts(folder: Path) -> dict[str, Any]:
    """Whatever in device.toml of `folder` a measurement depends on: `memories.sram.size_bytes`, ...

    Values are those of JSON. A file that [measure] names is told by its content. Raises DeviceError
    where device.toml or such a file cannot be read.
    """
    path = folder / "device.toml"
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        if isinstance(document.get("measure"), dict):
            document["measure"] = with_hashes(document["measure"], folder)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DeviceError(f"{path}: cannot be read: {error}.") from error
    # Dates are the one kind of value that TOML has and JSON has not.
    found: dict[str, Any] = json.loads(json.dumps(dict(_flat(document)), default=str))
    return found


def write_facts(folder: Path, measured_with: Mapping[str, Any]) -> None:
    """Put `measured_with` beside the table, a line each; the same facts give the same bytes."""
    lines = (
        f"  {json.dumps(key)}: {json.dumps(measured_with[key])}" for key in sorted(measured_with)
    )
    write_whole(folder / FILE, ("{\n" + ",\n".join(lines) + "\n}\n").encode())


def require_same_device(folder: Path) -> None:
    """Raises DeviceError where device.toml no longer fits the table in `folder`.

    Accepts a folder without a table, and a table without `measured_with.json`.
    """
    path = folder / FILE
    if table_path(folder) is None or not path.exists():
        return
    found = list(_differences(_read(path), facts(folder)))
    if found:
        more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise DeviceError(
            f"{folder}: its table was measured {'; '.join(found[:_SHOWN])}{more}. A table and its "
            "device.toml describe one device: change device.toml back, or measure anew with "
            f"`nas-ray profile {folder} --anew`, which keeps the old table under another name."
        )


def _read(path: Path) -> dict[str, Any]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        reason = f"it must hold an object, but it holds {kept!r:.80}"
    except (OSError, ValueError) as error:
        kept, reason = None, str(error)
    if not isinstance(kept, dict):
        raise DeviceError(
            f"{path}: cannot be read as what the table was measured with: {reason}. Delete it if "
            "the table was measured with the present device.toml, or measure anew with "
            f"`nas-ray profile {path.parent} --anew`."
        )
    return kept


def _flat(section: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Keys with their sections in front, without those that only estimates read."""
    for name, value in section.items():
        key = prefix + name
        if key in ESTIMATE_ONLY:
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, f"{key}.")
        else:
            yield key, value


def _differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Each key whose value is another one, in words that follow "measured"."""
    for path in sorted(then.keys() | now.keys()):
        old, new = then.get(path, _MISSING), now.get(path, _MISSING)
        if old == new or repr(old) == repr(new):  # nan is not equal to itself
            continue
        section, _, key = path.rpartition(".")
        where = f" in [{section}]" if section else ""
        if old is _MISSING:
            yield f"without {key}, device.toml now has {key} = {new!r}{where}"
        elif new is _MISSING:
            yield f"with {key} = {old!r}, device.toml now has no {key}{where}"
        elif key.endswith(HASH):
            name = key.removesuffix(HASH)
            yield f"with {key} = {old!r}, the file of {name}{where} now has {new!r}"
        else:
            yield f"with {key} = {old!r}, device.toml now says {new!r}{where}"
