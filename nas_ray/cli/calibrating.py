"""`nas-ray calibrate`: a device of one's own from a shipped one and a few measured networks."""

import csv
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jsonargparse import ArgumentParser, Namespace
from rich.table import Table
from scipy.stats import spearmanr

from nas_ray.cli.options import add_json, verb_parser
from nas_ray.cli.terminal import console
from nas_ray.device import device_folder, load_device
from nas_ray.errors import DeviceError, NasRayError
from nas_ray.measure.measured_with import require_same_device

if TYPE_CHECKING:
    from nas_ray.measure.network_table import MeasuredNetwork

CALIBRATE = "correct a device's estimates by networks measured on the real thing"
_COLUMNS = ("network", "latency_ms")
_OPTIONAL = "input"
#: A mean error from which on a correction says nothing.
_USELESS = 0.5


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Estimates beside measurements; `width` is how far the upper end lies above, relative."""

    mape: float
    within_10_percent: float
    spearman: float | None
    width: float


def calibrate_parser() -> ArgumentParser:
    """The options of `nas-ray calibrate`."""
    parser = verb_parser(
        CALIBRATE, example="nas-ray calibrate ethos-u85-2048 measured.csv --to my_device"
    )
    parser.add_argument("device", type=str, help="name of a shipped device, or a device folder")
    parser.add_argument(
        "measured",
        type=str,
        help="CSV with the columns network (MODULE:NAME or a signature), latency_ms and, where "
        "a network needs it, input (shape without the batch, e.g. 3x224x224)",
    )
    parser.add_argument("--to", type=str, required=True, help="the device folder to write")
    add_json(parser)
    return parser


def run_calibrate(options: Namespace) -> None:
    """Write the device folder and print how well it says what was measured, before and after."""
    from nas_ray.measure.network_table import NETWORKS, networks_text  # noqa: PLC0415 - with torch

    source, folder = device_folder(options.device), Path(options.to)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DeviceError(f"--to {folder}: there is something already. Name a new folder.")
    require_same_device(source)
    networks = read_measured(Path(options.measured))
    try:
        # Earlier measurements stay behind: the new ones take their place.
        shutil.copytree(source, folder, ignore=shutil.ignore_patterns(NETWORKS), dirs_exist_ok=True)
        (folder / NETWORKS).write_text(networks_text(networks), encoding="utf-8")
    except OSError as error:
        raise DeviceError(f"--to {folder}: cannot be written: {error}.") from error
    level, fits = _fits(folder, networks)
    _show(folder, level, fits, len(networks))
    if options.json:
        rows = {when: vars(fit) for when, fit in fits.items()}
        print(
            json.dumps({"networks": len(networks), "level": level, **rows, "folder": str(folder)})
        )


def _fits(folder: Path, networks: Sequence["MeasuredNetwork"]) -> tuple[str, dict[str, Fit]]:
    from nas_ray.device import without_networks  # noqa: PLC0415
    from nas_ray.graph import parse_signature  # noqa: PLC0415

    device = load_device(folder)
    measured_ms = np.array([network.latency_ms for network in networks])
    plain = without_networks(device)
    costs = [plain.estimate_graph(parse_signature(n.signature)) for n in networks]
    before_ms = np.array([cost.latency_ms for cost in costs])
    upper_ms = np.array([cost.latency_ms_upper for cost in costs])
    correction = device.correction
    if correction is None:
        raise DeviceError(f"{folder}: there are no measured networks.")
    return correction.level, {
        "before": _fit(before_ms, measured_ms, float(np.mean(upper_ms / before_ms)) - 1),
        "after": _fit(correction.held_out_ms, measured_ms, correction.upper_factor - 1),
    }


def _fit(estimated_ms: np.ndarray, measured_ms: np.ndarray, width: float) -> Fit:
    error = np.abs(estimated_ms / measured_ms - 1)
    ranked = len(set(estimated_ms)) > 1 and len(set(measured_ms)) > 1
    return Fit(
        mape=float(error.mean()),
        within_10_percent=float((error <= 0.1).mean()),
        spearman=float(spearmanr(estimated_ms, measured_ms).statistic) if ranked else None,
        width=width,
    )


def _show(folder: Path, level: str, fits: Mapping[str, Fit], count: int) -> None:
    table = Table("", "MAPE", "within 10 %", "Spearman", "upper end above estimate")
    table.title = f"{count} measured networks; correction: {level}"
    table.caption = "after: each network is estimated by a correction that was fitted without it"
    for when, fit in fits.items():
        spearman = "-" if fit.spearman is None else f"{fit.spearman:.3f}"
        table.add_row(
            when,
            f"{fit.mape:.1%}",
            f"{fit.within_10_percent:.0%}",
            spearman,
            f"+{fit.width:.1%}",
        )
    output = console()
    output.print(table)
    if fits["after"].mape > _USELESS:
        output.print(
            f"note: what networks take is still missed by {fits['after'].mape:.0%} in the mean. "
            "These measurements do not agree with each other, or were of other networks: the "
            "device is of no use. Look at them, or measure more.",
            soft_wrap=True,
            highlight=False,
        )
    output.print(f"device: {folder}", soft_wrap=True, highlight=False)


def read_measured(path: Path) -> tuple["MeasuredNetwork", ...]:
    """The networks that a person measured, as the file at `path` lists them.

    Raises DeviceError, with the line, for whatever is wrong in the file.
    """
    from nas_ray.measure.network_table import MeasuredNetwork, merged, parse_latency_ms  # noqa: PLC0415

    networks = []
    for line, row in _rows(path):
        where = f"{path}, line {line}"
        latency_ms = parse_latency_ms(row["latency_ms"], where)
        try:
            text = _signature(row["network"], row.get(_OPTIONAL) or None)
        except NasRayError as error:
            raise DeviceError(f"{where}: {error}") from error
        networks.append(MeasuredNetwork(signature=text, latency_ms=latency_ms, line=line))
    return merged(networks, path)


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        file = path.open(newline="", encoding="utf-8-sig")
    except OSError as error:
        raise DeviceError(f"{path}: cannot be read: {error}.") from error
    with file:
        try:
            reader = csv.reader(file)
            header = [name.strip() for name in next(reader, [])]
            _check_columns(path, header)
            for fields in reader:
                if not any(map(str.strip, fields)):
                    continue
                if len(fields) != len(header):
                    raise DeviceError(
                        f"{path}, line {reader.line_num}: {len(fields)} fields, but the header has "
                        f"{len(header)}. Put a network with commas in double quotes."
                    )
                yield reader.line_num, dict(zip(header, map(str.strip, fields), strict=True))
        except (UnicodeDecodeError, csv.Error) as error:
            raise DeviceError(f"{path}: cannot be read as CSV: {error}.") from error


def _check_columns(path: Path, header: Sequence[str]) -> None:
    where = f"{path}, line 1"
    units = [name for name in header if name.startswith("latency") and name != "latency_ms"]
    if "latency_ms" not in header and units:
        raise DeviceError(
            f"{where}: latencies must be in a column latency_ms, in milliseconds, but got "
            f"{units[0]!r}. Convert the values and rename the column."
        )
    missing = [name for name in _COLUMNS if name not in header]
    unknown = [name for name in header if name not in (*_COLUMNS, _OPTIONAL)]
    if missing or unknown or len(set(header)) != len(header):
        raise DeviceError(
            f"{where}: the columns must be network and latency_ms, and input where it is needed, "
            f"but got {','.join(header) or 'an empty file'}."
        )


def _signature(network: str, shape: str | None) -> str:
    """The signature of what `network` names; one that is a signature is checked."""
    from nas_ray.cli.naming import load_network  # noqa: PLC0415 - imports torch
    from nas_ray.graph import parse_signature, signature, trace  # noqa: PLC0415

    if ";" in network:
        return signature(parse_signature(network))
    return signature(trace(*load_network(network, shape)))
