"""Measures a graph with a command of the person's own: a vendor's tool, a script, a board's runner.

    [measure]
    backend = "command"
    command = ["my_tool", "--model", "{model}"]
    format = "onnx"

The command is run once a graph, without a shell. The last number of the last line that it prints is
the latency in milliseconds.
"""

import math
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nas_ray.errors import DeviceError, MeasureError, nearest
from nas_ray.graph import Graph
from nas_ray.measure.formats import FORMATS
from nas_ray.measure.measurement import Measurement

PLACE = "{model}"
#: Less than what a profile waits for one answer (60 s), so that the command's own end is seen.
_TIMEOUT_S = 50.0
# A number that stands alone: 1,234 (a thousand, or a decimal comma?) and 1.2.3 are none.
_NUMBER = re.compile(
    r"(?<![\w.,])[-+]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?|nan\b|inf(?:inity)?\b)(?![.,]?\d)",
    re.IGNORECASE,
)
_OTHER_UNIT = re.compile(r"\s*(?:s|sec|seconds?|us|µs|μs|ns|fps)\b", re.IGNORECASE)


def command(graph: Graph, settings: Mapping[str, Any]) -> Measurement:
    """The back-end `command` of a device.toml; `settings` is its section `[measure]`.

    `{model}` in the words of `command` is the file, written in `format`; `timeout_s` (50) bounds
    one run and `weight_seed` (0) chooses the weights. Memory is computed from the shapes. Raises
    MeasureError when the command fails, hangs or prints no latency.
    """
    written = FORMATS[settings["format"]]
    with TemporaryDirectory(prefix="nas_ray_") as name:
        folder = Path(name)
        path = folder / f"model.{settings['format']}"
        path.write_bytes(written.write(graph, int(settings.get("weight_seed", 0))))
        words = [word.replace(PLACE, str(path)) for word in settings["command"]]
        printed = _run(words, float(settings.get("timeout_s", _TIMEOUT_S)), folder)
    return written.timed(graph, _milliseconds(printed, words[0]))


def check_command(settings: Mapping[str, Any]) -> None:
    """Raises DeviceError for settings with which no graph could be measured."""
    check_format(settings)
    words = settings.get("command")
    if not isinstance(words, list) or not words or not all(isinstance(w, str) for w in words):
        raise DeviceError(
            f"[measure] command must be a list of words, such as ['my_tool', '--model', '{PLACE}']"
            f", but got {words!r}."
        )
    if not any(PLACE in word for word in words):
        raise DeviceError(f"[measure] command has no word with {PLACE}, but got {words!r}.")
    if shutil.which(words[0]) is None:
        raise DeviceError(
            f"[measure] command: there is no program {words[0]!r}. Give its path, or put its "
            "folder on PATH."
        )


def check_format(settings: Mapping[str, Any]) -> None:
    """Raises DeviceError for a `format` that nobody writes."""
    name = settings.get("format")
    if name is None:
        raise DeviceError(
            "[measure] format is what the model is written in, but there is none: pass one of "
            f"{', '.join(FORMATS)}."
        )
    if name not in FORMATS:
        raise DeviceError(
            f"[measure] format is what the model is written in, but got {name!r}: "
            f"{nearest(str(name), FORMATS)}"
        )


def _run(words: Sequence[str], timeout_s: float, folder: Path) -> str:
    """What the command prints. Its output goes to files: a pipe would hang on a lost child."""
    paths = (folder / "stdout", folder / "stderr")
    with paths[0].open("wb") as stdout, paths[1].open("wb") as stderr:
        try:
            process = subprocess.Popen(  # noqa: S603 - the person's own command, and no shell
                words,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        except OSError as error:
            raise MeasureError(f"{words[0]} cannot be run: {error}.") from error
        try:
            reason = f"ended with exit code {process.wait(timeout_s)}"
        except subprocess.TimeoutExpired:
            reason = f"did not end within {timeout_s:g} s"
        finally:
            _end(process)
    printed, complaints = (path.read_text(encoding="utf-8", errors="replace") for path in paths)
    if process.returncode != 0:
        raise MeasureError(f"{words[0]} {reason}: {_tail(complaints or printed)}")
    return printed


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ends the command and what it started; they are a process group of their own."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _milliseconds(printed: str, program: str) -> float:
    """The last number of the last line. Raises MeasureError for anything that is no latency."""
    line = printed.rstrip().rpartition("\n")[2]
    found = [*_NUMBER.finditer(line)]
    if not found:
        raise MeasureError(
            f"the last line that {program} prints must end in a latency in ms, but it printed "
            f"{_tail(line)}"
        )
    if _OTHER_UNIT.match(line, found[-1].end()):
        raise MeasureError(f"{program} must print milliseconds, but it printed {_tail(line)}")
    return checked_ms(float(found[-1][0]), program)


def checked_ms(value: float, source: str) -> float:
    """`value` where it is a latency. Raises MeasureError naming its `source` where it is none."""
    if not math.isfinite(value) or value <= 0:
        raise MeasureError(
            f"a latency in ms must be finite and above 0, but {source} gave {value!r}."
        )
    return value


def _tail(text: str) -> str:
    """The end of what a program said, short enough for a message."""
    lines = [line.strip() for line in text.strip().splitlines()[-5:]]
    return repr(" | ".join(lines)[-500:]) if lines else "nothing"
