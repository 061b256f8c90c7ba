"""Measures a graph with a Python function of the person's own.

    [measure]
    backend = "my_module:latency_ms"
    format = "onnx"

The function takes the path of the model file and returns milliseconds. Its module is imported by
the measuring process, from the folder that the person stands in or from where Python finds modules.
"""

import importlib
import sys
from collections.abc import Callable, Mapping
from numbers import Real
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nas_ray.errors import DeviceError, MeasureError, nearest
from nas_ray.graph import Graph
from nas_ray.measure.command import check_format, checked_ms
from nas_ray.measure.formats import FORMATS
from nas_ray.measure.measurement import Measurement


def python_function(graph: Graph, settings: Mapping[str, Any]) -> Measurement:
    """The back-end `module:function` of a device.toml; `settings` is its section `[measure]`.

    The file is written in `format` with weights of `weight_seed` (0). Memory is computed from the
    shapes. Raises MeasureError when the function is not found, raises or returns no latency.
    """
    name, written = str(settings["backend"]), FORMATS[settings["format"]]
    try:
        function = _imported(name)
    except DeviceError as error:
        raise MeasureError(str(error)) from error
    with TemporaryDirectory(prefix="nas_ray_") as folder:
        path = Path(folder) / f"model.{settings['format']}"
        path.write_bytes(written.write(graph, int(settings.get("weight_seed", 0))))
        try:
            value = function(path)
        except Exception as error:
            raise MeasureError(f"{name} raised {type(error).__name__}: {error}") from error
    if not isinstance(value, Real) or isinstance(value, bool):
        raise MeasureError(
            f"{name} must return a number of milliseconds, but it returned {value!r}, "
            f"a {type(value).__name__}."
        )
    return written.timed(graph, checked_ms(float(value), name))


def check_python_function(settings: Mapping[str, Any]) -> None:
    """Raises DeviceError for settings with which no graph could be measured."""
    check_format(settings)
    _imported(str(settings["backend"]))


def _imported(text: str) -> Callable[[Path], object]:
    """The function that `module:function` names. Raises DeviceError where there is none."""
    module, _, name = text.partition(":")
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        found = importlib.import_module(module)
    except Exception as error:
        raise DeviceError(
            f"[measure] backend {text!r}: {module!r} cannot be imported from {here} or where "
            f"Python finds modules: {type(error).__name__}: {error}."
        ) from error
    finally:
        sys.path.remove(here)
    function = getattr(found, name, None)
    if not callable(function):
        names = [known for known, value in vars(found).items() if callable(value)]
        raise DeviceError(
            f"[measure] backend {text!r}: {module} has no function {name!r}: {nearest(name, names)}"
        )
    made: Callable[[Path], object] = function
    return made
