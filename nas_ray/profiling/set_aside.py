"""Put the table of a device under another name, so that a profile begins from nothing."""

from itertools import count
from pathlib import Path

from nas_ray.measure.measured_with import FILE

#: The table, packed and while it grows, and what belongs to it. `measured_with.json` comes last:
#: as long as a part of the table is in its place, it still says what that was measured with.
_FILES = ("measurements.csv", "measurements.csv.gz", "failed.csv", FILE)


def set_aside(folder: Path) -> tuple[Path, ...]:
    """Rename each of the table's files: `measurements.csv.gz` to `measurements.1.csv.gz`, ...

    The number is the first that none of them has been given yet. Returns the new paths.
    """
    present = [name for name in _FILES if (folder / name).exists()]
    number = next(
        n for n in count(1) if not any((folder / _numbered(f, n)).exists() for f in _FILES)
    )
    return tuple((folder / name).rename(folder / _numbered(name, number)) for name in present)


def _numbered(name: str, number: int) -> str:
    stem, dot, ending = name.partition(".")
    return f"{stem}.{number}{dot}{ending}"
