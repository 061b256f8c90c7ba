"""The measurement table of a device: `measurements.csv`, or the same packed as `.csv.gz`.

One row a subgraph. While a device is being profiled the plain file grows a row at a time, so that
an interrupted profile goes on where it stopped; a finished one is packed.
"""

import csv
import gzip
import io
import math
import os
import re
import time
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from nas_ray.errors import DeviceError

COLUMNS = ("signature", "latency_ms", "peak_memory_bytes", "weight_bytes", "macs")
#: Not every back-end can say it, and a table made by hand may leave it out.
OPERATORS = "operators_ms"
#: Two rows of one subgraph may differ by the noise of a measurement, not by more.
CONTRADICTION = 0.10
_SYNC_EVERY_S = 5.0
_UNIT = re.compile(r"(latency|peak_memory|weight)_(\w+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One subgraph: its signature and what the back-end said about it.

    `operators_ms` are the shares of its operators in `latency_ms`, or empty where nobody knows.
    """

    signature: str
    latency_ms: float
    peak_memory_bytes: int
    weight_bytes: int
    macs: int
    operators_ms: tuple[float, ...] = ()


def table_path(folder: Path) -> Path | None:
    """The table in `folder`: the plain file while it grows, else the packed one, else None."""
    paths = (folder / "measurements.csv", folder / "measurements.csv.gz")
    return next((path for path in paths if path.exists()), None)


def read_table(path: Path) -> tuple[Row, ...]:
    """The rows of the table at `path`; see `parse_table`."""
    return parse_table(read_text(path), path)


def parse_table(text: str, path: Path) -> tuple[Row, ...]:
    """The rows of `text`, a subgraph once (the first row counts); `path` is for messages.

    Raises DeviceError for a missing column, another unit, a number that is negative or not
    finite, and for two rows of one subgraph that contradict each other.
    """
    reader = csv.reader(io.StringIO(text))
    header = next(reader, [])
    _check_columns(path, header)
    places = [header.index(column) for column in COLUMNS]
    shares = header.index(OPERATORS) if OPERATORS in header else None
    rows: dict[str, Row] = {}
    for line, fields in enumerate(reader, start=2):
        row = _row(path, line, fields, places)
        if shares is not None:
            row = _with_shares(path, line, row, fields[shares] if shares < len(fields) else "")
        _check_contradiction(path, line, row, rows.setdefault(row.signature, row))
    return tuple(rows.values())


def append_rows(path: Path, rows: Iterable[Row]) -> Iterator[Row]:
    """Write each of `rows` to the plain file as it comes, flushed, and pass on what a reader gets.

    What was flushed outlives this process; that it outlives the machine is made sure of every few
    seconds and at the end.
    """
    header = _ready(path).split(",")
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        synced = time.monotonic()
        try:
            for row in rows:
                values = _fields(row)
                writer.writerow([values[column] for column in header])
                file.flush()
                if time.monotonic() - synced > _SYNC_EVERY_S:
                    os.fsync(file.fileno())
                    synced = time.monotonic()
                yield _as_written(row)
        finally:
            os.fsync(file.fileno())


def _ready(path: Path) -> str:
    """The header of the plain file at `path`, once it is there and ends with a whole line."""
    try:
        if not path.exists():
            write_whole(path, (",".join((*COLUMNS, OPERATORS)) + "\n").encode())
        known = read_text(path)
        if len(known.encode()) != path.stat().st_size:
            write_whole(path, known.encode())
        path.open("a").close()
    except OSError as error:
        raise DeviceError(
            f"{path}: cannot be written: {error}. Copy the device to a folder of yours and "
            "profile it there."
        ) from error
    return known[: known.index("\n")]


def write_whole(path: Path, data: bytes) -> None:
    """`data` as the file at `path`: whoever reads it, now or after a crash, sees all or none."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def pack(folder: Path) -> Path:
    """`measurements.csv` as `.csv.gz`, the same bytes for the same rows; the plain file goes."""
    plain, packed = folder / "measurements.csv", folder / "measurements.csv.gz"
    write_whole(packed, gzip.compress(read_text(plain).encode(), 9, mtime=0))
    plain.unlink()
    return packed


def unpack(folder: Path) -> Path:
    """The plain file, made from the packed one where it does not exist; ready to be appended to."""
    plain, packed = folder / "measurements.csv", folder / "measurements.csv.gz"
    if not plain.exists() and packed.exists():
        write_whole(plain, read_text(packed).encode())
    return plain


def _as_written(row: Row) -> Row:
    """`row` with the digits that the file keeps: what is read again later must be the same."""
    return replace(
        row,
        latency_ms=float(f"{row.latency_ms:.9g}"),
        operators_ms=tuple(float(f"{share:.6g}") for share in row.operators_ms),
    )


def _fields(row: Row) -> dict[str, str]:
    return {
        "signature": row.signature,
        "latency_ms": f"{row.latency_ms:.9g}",
        "peak_memory_bytes": str(row.peak_memory_bytes),
        "weight_bytes": str(row.weight_bytes),
        "macs": str(row.macs),
        OPERATORS: " ".join(f"{share:.6g}" for share in row.operators_ms),
    }


def read_text(path: Path) -> str:
    """The table at `path`, unpacked, up to its last newline.

    The last line of a file that is being written may be torn: it does not count. Raises
    DeviceError where the file cannot be read.
    """
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DeviceError(f"{path}: cannot be read as a table: {error}.") from error
    return text[: text.rfind("\n") + 1]


def _check_columns(path: Path, header: list[str]) -> None:
    for column in COLUMNS:
        if column in header:
            continue
        quantity = _UNIT.fullmatch(column)
        other = [h for h in header if quantity and h.startswith(quantity[1] + "_")]
        if quantity and other:
            raise DeviceError(
                f"{path}: column {column!r} is in {quantity[2]}, but the table has {other[0]!r}. "
                f"Convert the values and rename the column to {column!r}."
            )
        raise DeviceError(
            f"{path}: column {column!r} is missing. A table has the columns "
            f"{', '.join(COLUMNS)}, but got {', '.join(header) or 'an empty file'}."
        )


def _row(path: Path, line: int, fields: list[str], places: list[int]) -> Row:
    where = f"{path}, line {line}"
    try:
        text, *words = (fields[place] for place in places)
    except IndexError as error:
        raise DeviceError(
            f"{where}: {len(fields)} fields, fewer than the header has. Delete the line: what it "
            "said can be measured again with `nas-ray profile`."
        ) from error
    latency_ms, *counts = (_number(where, c, w) for c, w in zip(COLUMNS[1:], words, strict=True))
    if latency_ms == 0:
        raise DeviceError(f"{where}: latency_ms must be above 0, but got {words[0]!r}.")
    peak_memory_bytes, weight_bytes, macs = map(int, counts)
    return Row(
        signature=text,
        latency_ms=latency_ms,
        peak_memory_bytes=peak_memory_bytes,
        weight_bytes=weight_bytes,
        macs=macs,
    )


def _with_shares(path: Path, line: int, row: Row, text: str) -> Row:
    """`row` with what its operators take; their sum is its latency, but for rounding."""
    shares = tuple(_number(f"{path}, line {line}", OPERATORS, word) for word in text.split())
    if shares and not math.isclose(sum(shares), row.latency_ms, rel_tol=1e-3):
        raise DeviceError(
            f"{path}, line {line}: {OPERATORS} must add up to latency_ms {row.latency_ms}, but "
            f"they add up to {sum(shares):.6g}. Measure the subgraph again (`nas-ray profile`), "
            f"or leave {OPERATORS} empty."
        )
    return replace(row, operators_ms=shares)


def _number(where: str, column: str, word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise DeviceError(
            f"{where}: {column} must be a finite number of at least 0, but got {word!r}. "
            "Delete the row or measure the subgraph again (`nas-ray profile`)."
        )
    return value


def _check_contradiction(path: Path, line: int, row: Row, first: Row) -> None:
    low, high = sorted((row.latency_ms, first.latency_ms))
    if high > low * (1 + CONTRADICTION):
        raise DeviceError(
            f"{path}, line {line}: latency_ms {row.latency_ms} contradicts {first.latency_ms} of "
            f"an earlier row for the same subgraph {row.signature!r}; rows of one subgraph may "
            f"differ by {CONTRADICTION:.0%}. Keep the right one."
        )
