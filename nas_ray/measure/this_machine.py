"""Devices that every person measures on a machine of their own, and where their tables live.

Such a device is shipped without a table. Its folder is made in the person's cache, with a copy of
device.toml that says in [measure] which machine and which version of onnxruntime the table is of.
"""

import json
import platform
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas_ray.cache import cache_folder
from nas_ray.errors import DeviceError, MeasureError
from nas_ray.measure.onnx_writer import optional
from nas_ray.measure.table import table_path

#: Keys of [measure] that say where a table was made.
PROCESSOR, VERSION = "processor", "version"


def own_folder(shipped: Path) -> Path:
    """The folder in the cache for the device of the folder `shipped`; made where there is none.

    Until there is a table the copy of device.toml is renewed, so that it tells of the machine and
    the version that the table will be made with. Raises DeviceError where that cannot be.
    """
    folder = cache_folder() / "devices" / shipped.name
    if table_path(folder) is not None:
        return folder
    try:
        facts = {PROCESSOR: processor(), VERSION: runtime_version()}
    except MeasureError as error:
        raise DeviceError(
            f"{shipped.name} is measured on your own machine: {error} "
            f"Then run `nas-ray profile {shipped.name}`."
        ) from error
    text = (shipped / "device.toml").read_text(encoding="utf-8")
    # [measure] is the last section; a string of JSON is one of TOML.
    lines = [f"{key} = {json.dumps(value)}\n" for key, value in facts.items()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "device.toml").write_text(text + "".join(lines), encoding="utf-8")
    except OSError as error:
        raise DeviceError(
            f"{folder}: cannot be written: {error}. Set NAS_RAY_CACHE to a folder of yours."
        ) from error
    return folder


def processor() -> str:
    """The processor's name as the system gives it."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return next(iter(names), "") or platform.processor() or platform.machine()


def runtime_version() -> str:
    """Version of the installed onnxruntime. Raises MeasureError where there is none."""
    return str(optional("onnxruntime").__version__)


def differences(settings: Mapping[str, Any]) -> list[str]:
    """Where `settings`, the section [measure], tell of another machine or version than here."""
    found = []
    if settings.get(PROCESSOR, here := processor()) != here:
        found.append(f"the processor {settings[PROCESSOR]!r}, but this one is {here!r}")
    if VERSION in settings:
        try:
            here = runtime_version()
        except MeasureError:
            return found
        if settings[VERSION] != here:
            found.append(f"onnxruntime {settings[VERSION]}, but {here} is installed")
    return found


def warn_elsewhere(name: str, settings: Mapping[str, Any]) -> None:
    """A warning where the table of a device measured on one's own machine is of another one."""
    if PROCESSOR not in settings:
        return
    for difference in differences(settings):
        warnings.warn(
            f"the table of {name} was measured with {difference}: its latencies may be off. Set "
            f"NAS_RAY_CACHE to another folder and run `nas-ray profile {name}` to measure anew.",
            stacklevel=3,
        )


def refuse_elsewhere(settings: Mapping[str, Any]) -> None:
    """Raises MeasureError where a table that was begun elsewhere would be continued here."""
    for difference in differences(settings):
        raise MeasureError(
            f"device.toml says that its table is measured with {difference}; one table must not "
            "mix them. Set NAS_RAY_CACHE to another folder, or profile a device folder of its own."
        )
