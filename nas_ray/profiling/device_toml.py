"""Write what was detected into a device.toml, and leave every other line as it is."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from nas_ray.measure.table import write_whole
from nas_ray.profiling.sweep import MAIN

#: What stands behind a kind without a period.
_NONE = ": no staircase"
_HEADER = re.compile(r"\s*\[")
_FACTOR = re.compile(r"(\s*parallelism_factor\s*=\s*)([^#\n]*?)(\s*(?:#.*)?)$")


def write_periods(path: Path, periods: Mapping[str, int | None]) -> int:
    """Put `periods` into the section [parallelism] and the main one on top; returns that one.

    Where the main kind shows no staircase the factor stays as it was given: the accelerator may be
    wider than was looked, or its steps hidden. A file without any gets 1: no channel count is
    better than its neighbours.
    """
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    factor = int(periods[MAIN] or tomllib.loads(text).get("parallelism_factor", 1))
    lines = _with_section(_with_factor(lines, factor), periods)
    write_whole(path, ("\n".join(lines) + "\n").encode())
    return factor


def _with_factor(lines: list[str], factor: int) -> list[str]:
    top = next((n for n, line in enumerate(lines) if _HEADER.match(line)), len(lines))
    for n, line in enumerate(lines[:top]):
        if found := _FACTOR.match(line):
            # A comment behind the number keeps its column.
            room = len(found[2]) + len(found[3]) - len(found[3].lstrip())
            rest = found[3].lstrip()
            value = f"{factor:<{room}}" if rest else str(factor)
            return [*lines[:n], f"{found[1]}{value}{rest}", *lines[n + 1 :]]
    last = max((n for n, line in enumerate(lines[:top]) if line.strip()), default=-1)
    return [*lines[: last + 1], f"parallelism_factor = {factor}", *lines[last + 1 :]]


def _with_section(lines: list[str], periods: Mapping[str, int | None]) -> list[str]:
    section = ["[parallelism]                       # channels at a time, as `--detect` saw them"]
    section += [
        f"{name} = {value}" if value else f"# {name}{_NONE}" for name, value in periods.items()
    ]
    begin = next((n for n, line in enumerate(lines) if line.startswith("[parallelism]")), None)
    if begin is None:
        while lines and not lines[-1].strip():
            lines = lines[:-1]
        return [*lines, "", *section]
    rest = lines[begin + 1 :]
    end = next((n for n, line in enumerate(rest) if _HEADER.match(line)), len(rest))
    # Comments above a header belong to it.
    while end and rest[end - 1].startswith("#") and not rest[end - 1].endswith(_NONE):
        end -= 1
    tail = rest[end:]
    return [*lines[:begin], *section, *([""] if tail else []), *tail]
