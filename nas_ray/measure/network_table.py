"""`networks.csv` of a device: whole networks measured on the real thing, one row a network.

Two columns, `signature` (see `nas_ray.graph.signature`) and `latency_ms`.
"""

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nas_ray.errors import DeviceError, TraceError
from nas_ray.graph import parse_signature

NETWORKS = "networks.csv"
FEWEST = 2
#: Two measurements of one network may differ by noise, not by more.
CONTRADICTION = 0.10
_COLUMNS = ("signature", "latency_ms")


@dataclass(frozen=True, kw_only=True)
class MeasuredNetwork:
    """A network and how long one inference took; `line` is where a file says so."""

    signature: str
    latency_ms: float
    line: int = 0


def parse_latency_ms(text: str, where: str) -> float:
    """A latency as a number above 0; DeviceError naming `where` for anything else."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise DeviceError(
            f"{where}: latency_ms must be a number of milliseconds above 0, but got {text!r}."
        )
    return value


def parse_networks(text: str, path: Path) -> tuple[MeasuredNetwork, ...]:
    """The networks of `text`, merged; `path` is for messages.

    Raises DeviceError for other columns, a row that cannot be read, and as `merged` does.
    """
    reader = csv.reader(io.StringIO(text))
    header = next(reader, [])
    if tuple(header) != _COLUMNS:
        raise DeviceError(
            f"{path}, line 1: the columns must be {','.join(_COLUMNS)}, but got "
            f"{','.join(header)}. Make the file with `nas-ray calibrate`."
        )
    networks = [_network(fields, reader.line_num, path) for fields in reader if fields]
    return merged(networks, path)


def _network(fields: list[str], line: int, path: Path) -> MeasuredNetwork:
    where = f"{path}, line {line}"
    if len(fields) != len(_COLUMNS):
        raise DeviceError(f"{where}: a row has {len(_COLUMNS)} fields, but got {len(fields)}.")
    try:
        parse_signature(fields[0])
    except TraceError as error:
        raise DeviceError(f"{where}: {error}") from error
    return MeasuredNetwork(
        signature=fields[0], latency_ms=parse_latency_ms(fields[1], where), line=line
    )


def merged(networks: Iterable[MeasuredNetwork], path: Path) -> tuple[MeasuredNetwork, ...]:
    """Each network once, with the mean of its measurements.

    Raises DeviceError for measurements of one network that contradict each other, and for fewer
    than two networks.
    """
    seen: dict[str, list[MeasuredNetwork]] = {}
    for network in networks:
        earlier = seen.setdefault(network.signature, [])
        for other in earlier:
            low, high = sorted((other.latency_ms, network.latency_ms))
            if high > (1 + CONTRADICTION) * low:
                raise DeviceError(
                    f"{path}, line {network.line}: {network.latency_ms:g} ms contradicts line "
                    f"{other.line}, which says {other.latency_ms:g} ms of the same network; they "
                    f"may differ by {CONTRADICTION:.0%}. Measure it again."
                )
        earlier.append(network)
    if len(seen) < FEWEST:
        raise DeviceError(
            f"{path}: a correction needs at least {FEWEST} different measured networks, but got "
            f"{len(seen)}. Measure more."
        )
    return tuple(
        MeasuredNetwork(
            signature=key, latency_ms=sum(n.latency_ms for n in same) / len(same), line=same[0].line
        )
        for key, same in seen.items()
    )


def networks_text(networks: Iterable[MeasuredNetwork]) -> str:
    """The text of a `networks.csv`, which `parse_networks` reads back."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows((network.signature, repr(network.latency_ms)) for network in networks)
    return file.getvalue()
