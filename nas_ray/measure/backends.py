"""Which back-ends there are, and the settings in device.toml that choose one."""

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nas_ray.errors import DeviceError, MeasureError, nearest
from nas_ray.graph import Graph, signature
from nas_ray.measure.command import check_command, command
from nas_ray.measure.device_files import with_absolute_paths
from nas_ray.measure.measurement import Backend, Measurement
from nas_ray.measure.onnx_runtime import check_onnx_runtime, onnx_runtime
from nas_ray.measure.python_function import check_python_function, python_function
from nas_ray.measure.systolic import systolic
from nas_ray.measure.vela import vela
from nas_ray.measure.worker import Worker

#: What `backend` in the section [measure] of device.toml may say, beside `module:function`.
BACKENDS: Mapping[str, Backend] = {
    "vela": vela,
    "systolic": systolic,
    "onnx_runtime": onnx_runtime,
    "command": command,
}
#: Those that can tell from the settings alone that nothing could be measured.
_CHECKS: Mapping[Backend, Callable[[Mapping[str, Any]], None]] = {
    onnx_runtime: check_onnx_runtime,
    command: check_command,
    python_function: check_python_function,
}
#: What describes the hardware outside [measure]; passed along where device.toml has it, so that a
#: back-end need not be told twice.
_HARDWARE = ("macs_per_cycle", "memories", "number_format")


def read_settings(
    path: Path, *, factor_if_missing: int | None = None
) -> tuple[dict[str, Any], int]:
    """The section [measure] of a device.toml with the hardware's keys, and the parallelism factor.

    A file that [measure] names is given by its absolute path. Raises DeviceError where section,
    clock or factor is missing or of another type, or such a file is missing.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        clock_hz, section = document["clock_hz"], document["measure"]
        if factor_if_missing is not None:
            document.setdefault("parallelism_factor", factor_if_missing)
        factor = document["parallelism_factor"]
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DeviceError(f"{path}: cannot be read: {error}.") from error
    except KeyError as error:
        raise DeviceError(
            f"{path}: {error} is missing. Profiling needs clock_hz, parallelism_factor (found by "
            "`nas-ray profile --detect`) and the section [measure] with its backend; copy those of "
            "a shipped device."
        ) from error
    if type(factor) is not int or factor < 1:
        raise DeviceError(f"{path}: parallelism_factor must be an int above 0, but got {factor!r}.")
    if not isinstance(section, dict):
        raise DeviceError(f"{path}: measure must be a section, but got {section!r}.")
    hardware = {key: document[key] for key in _HARDWARE if key in document}
    measure = with_absolute_paths(section, path.parent)
    return {"clock_hz": clock_hz, **hardware, **measure}, factor


def backend_of(settings: Mapping[str, Any]) -> Backend:
    """The back-end that `settings` name: a function of a module, so it can go to another process.

    Raises DeviceError for one that nobody implements, and DeviceError or MeasureError for settings
    with which it could measure nothing.
    """
    name = str(settings.get("backend", ""))
    backend = python_function if ":" in name else BACKENDS.get(name)
    if backend is None:
        raise DeviceError(
            f"[measure] backend {name!r} is unknown: {nearest(name, BACKENDS)} A function of your "
            "own is written 'module:function'."
        )
    if backend in _CHECKS:
        _CHECKS[backend](settings)
    return backend


def measure_network(graph: Graph, settings: Mapping[str, Any], timeout_s: float) -> Measurement:
    """What the back-end that `settings` name says of a whole network.

    Raises MeasureError with its reason where it cannot say, crashes or takes too long.
    """
    with Worker(backend_of(settings), settings, timeout_s) as worker:
        answer = worker.ask(signature(graph))
    if isinstance(answer, str):
        raise MeasureError(answer)
    return answer
