"""Devices: an accelerator's profile, its measurement table, and estimates made from both.

A device is a folder with `device.toml` and `measurements.csv.gz`. For the shipped devices the
table holds estimates of a compiler, not measurements on silicon: `device.hardware.numbers`. Where
there is a `networks.csv` too, whole networks were measured, and they correct every estimate.
"""

import gzip
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from torch import nn

from nas_ray.errors import DeviceError, TraceError, nearest
from nas_ray.estimate.building import Buildable, traced
from nas_ray.estimate.cost import CALIBRATED_SHARE, COST_COLUMNS, Cost, SubgraphCost
from nas_ray.estimate.cost_warnings import cost_warnings
from nas_ray.estimate.estimator import Estimator, NetworkLatency, SubgraphLatency
from nas_ray.estimate.fitted import Accuracy, Fit, packed, unpacked
from nas_ray.estimate.hardware import Hardware, read_hardware
from nas_ray.estimate.host_rules import host_operators
from nas_ray.estimate.learning import NotLearnedError
from nas_ray.estimate.lookup import look_up
from nas_ray.estimate.memory import part_peaks_bytes, peak_memory_bytes, weight_bytes
from nas_ray.estimate.samples import Measured
from nas_ray.graph import Graph, parse_signature, signature, subgraphs, trace
from nas_ray.measure.measured_with import require_same_device
from nas_ray.measure.network_table import NETWORKS, parse_networks
from nas_ray.measure.table import Row, parse_table, read_text, table_path
from nas_ray.measure.this_machine import own_folder, warn_elsewhere

if TYPE_CHECKING:
    from nas_ray.estimate.correction import Correction

#: The regression on a table, kept beside it.
FITTED = "fitted.npz"
#: From so many configs on tables are learned, which takes about as long as building 400 networks.
_WORTH_LEARNING = 1000
#: Graphs held at once where all networks are built.
_BATCH = 500


@dataclass(frozen=True, kw_only=True)
class Device:
    """An accelerator that networks can be estimated for.

    `packed_fit` is the regression on its table as the bytes of an `.npz` file: a device that
    travels to another process is small and needs no fitting there. `packed_networks` are whole
    networks measured on the real thing, or empty.
    """

    hardware: Hardware
    packed_fit: bytes
    packed_networks: bytes = b""

    @property
    def name(self) -> str:
        """Name of the accelerator."""
        return self.hardware.name

    @property
    def accuracy(self) -> Accuracy:
        """Cross-validated accuracy of the latency regression on rows of the table, held out."""
        return _unpacked(self.packed_fit, self.hardware).accuracy

    @property
    def correction(self) -> "Correction | None":
        """What measured networks made of the estimates, or None where there are none."""
        return self._estimator.correction

    def estimate(
        self, model: nn.Module, example_input: torch.Tensor | tuple[torch.Tensor, ...]
    ) -> Cost:
        """Cost of one inference of `model` on `example_input` (batch 1).

        The model is left as it was. Raises TraceError where it cannot be traced.
        """
        return self.estimate_graph(trace(model, example_input))

    def estimate_graph(self, graph: Graph) -> Cost:
        """Cost of a traced network."""
        parts = [(signature(part), part) for part in subgraphs(graph)]
        latencies = self._estimator.latencies(dict(parts))
        found = self._estimator.network([key for key, _ in parts], latencies)
        peak_bytes = part_peaks_bytes([part for _, part in parts], self.hardware)
        rows = tuple(
            self._row(key, part, latencies[key], peak)
            for (key, part), peak in zip(parts, peak_bytes, strict=True)
        )
        host = host_operators(graph, self.hardware.host) if found.host_operators else ()
        return Cost(
            latency_ms=found.latency_ms,
            latency_ms_upper=found.latency_ms_upper,
            peak_memory_bytes=peak_memory_bytes(graph, self.hardware),
            weight_bytes=weight_bytes(graph, self.hardware),
            macs=graph.macs,
            outside_share=found.outside_share,
            host_operators=found.host_operators,
            is_calibrated=found.outside_share <= CALIBRATED_SHARE,
            subgraphs=rows,
            warnings=cost_warnings(rows, found.outside_share, graph.unknown, host),
        )

    def estimate_configs(
        self, space: Buildable, configs: Iterable[Mapping[str, Any]]
    ) -> pd.DataFrame:
        """Costs of many configs of `space`, one row a config in their order.

        Columns: latency_ms, latency_ms_upper, peak_memory_bytes, weight_bytes, macs, outside_share
        and host_operators, as in `Cost`. Networks are built without data. Of many configs only some
        hundred are built, and the rest is looked up in tables learned from those;
        `nas_ray.estimate.learning` says how sure that is. Where a network is not a function of a
        few choices at each place, all are built.
        """
        listed = list(configs)
        if len(listed) >= _WORTH_LEARNING:
            with suppress(NotLearnedError):
                found = look_up(space, listed, self.hardware, self._estimator)
                return pd.DataFrame(found, columns=list(COST_COLUMNS))
        rows = [row for few in _batches(listed) for row in self._built_rows(space, few)]
        return pd.DataFrame(rows, columns=list(COST_COLUMNS))

    def _built_rows(
        self, space: Buildable, configs: Iterable[Mapping[str, Any]]
    ) -> list[tuple[float, ...]]:
        """A row for each config, all of them built; each different subgraph is predicted once."""
        graphs = [traced(space, config) for config in configs]
        keyed = [[(signature(part), part) for part in subgraphs(graph)] for graph in graphs]
        latencies = self._estimator.latencies(dict(pair for parts in keyed for pair in parts))
        return [
            self._built_row(graph, self._estimator.network([key for key, _ in parts], latencies))
            for graph, parts in zip(graphs, keyed, strict=True)
        ]

    def _built_row(self, graph: Graph, found: NetworkLatency) -> tuple[float, ...]:
        return (
            *(found.latency_ms, found.latency_ms_upper),
            *(peak_memory_bytes(graph, self.hardware), weight_bytes(graph, self.hardware)),
            *(graph.macs, found.outside_share, found.host_operators),
        )

    def _row(
        self, key: str, part: Graph, latency: SubgraphLatency, peak_bytes: int
    ) -> SubgraphCost:
        host = host_operators(part, self.hardware.host) if latency.host_operators else ()
        return SubgraphCost(
            name=part.name,
            kind="+".join(operator.kind for operator in part.operators),
            signature=key,
            shape_in=part.shape(part.inputs[0]),
            shape_out=part.shape(part.outputs[0]),
            latency_ms=latency.latency_ms,
            peak_memory_bytes=peak_bytes,
            weight_bytes=weight_bytes(part, self.hardware),
            macs=part.macs,
            outside=latency.outside,
            host_operators=tuple(operator.name for operator in host),
        )

    @property
    def _estimator(self) -> Estimator:
        key = (self.packed_fit, self.packed_networks, repr(self.hardware))
        if key not in _ESTIMATORS:
            if len(_ESTIMATORS) >= _ESTIMATORS_AT_MOST:
                _ESTIMATORS.pop(next(iter(_ESTIMATORS)))
            _ESTIMATORS[key] = _made_estimator(self)
        return _ESTIMATORS[key]


def load_device(name_or_path: str | Path) -> Device:
    """The shipped device of that name, or the one in a folder of that path.

    Raises DeviceError for an unknown name, for a profile or table that is not sound, and for a
    table that was measured with another device.toml.
    """
    folder = device_folder(name_or_path)
    hardware = read_hardware(folder / "device.toml")
    path = table_path(folder)
    if path is None:
        raise DeviceError(
            f"{folder}: there is no measurements.csv.gz. Make it with `nas-ray profile "
            f"{name_or_path}`."
        )
    require_same_device(folder)
    warn_elsewhere(hardware.name, hardware.measure)
    device = Device(hardware=hardware, packed_fit=_fitted(folder, path, hardware))
    networks = folder / NETWORKS
    return with_networks(device, read_text(networks), networks) if networks.exists() else device


def without_networks(device: Device) -> Device:
    """`device` as it was before any network was measured."""
    return replace(device, packed_networks=b"")


def with_networks(device: Device, text: str, path: Path) -> Device:
    """`device` corrected by the measured networks in `text`; `path` is for messages."""
    count = len(parse_networks(text, path))
    numbers = f"{device.hardware.numbers}, corrected by {count} measured networks"
    return replace(
        device,
        hardware=replace(device.hardware, numbers=numbers),
        packed_networks=gzip.compress(text.encode(), 6, mtime=0),
    )


def list_devices() -> list[str]:
    """Names of the devices shipped with their table, sorted."""
    return [name for name in _profiles() if table_path(_shipped() / name)]


def devices_to_profile() -> list[str]:
    """Names of the devices that are shipped without a table: each person measures them, sorted."""
    return [name for name in _profiles() if not table_path(_shipped() / name)]


def _profiles() -> list[str]:
    return sorted(path.name for path in _shipped().iterdir() if (path / "device.toml").is_file())


def _shipped() -> Path:
    return Path(__file__).parent / "devices"


def device_folder(name_or_path: str | Path) -> Path:
    """The folder of a device, shipped or a person's own. Raises DeviceError where there is none.

    A device that is shipped without a table has its folder in the person's cache.
    """
    path = Path(name_or_path)
    if path.is_dir():
        return path
    if str(name_or_path) in list_devices():
        return _shipped() / name_or_path
    if str(name_or_path) in devices_to_profile():
        return own_folder(_shipped() / name_or_path)
    raise DeviceError(
        f"there is no device {str(name_or_path)!r}, neither shipped nor a folder: "
        f"{nearest(str(name_or_path), _profiles())}"
    )


def as_measured(rows: Iterable[Row]) -> list[Measured]:
    """Rows of a table as what a regression is fitted to. Raises DeviceError for a bad signature."""
    found = []
    for row in rows:
        try:
            graph = parse_signature(row.signature)
        except TraceError as error:
            raise DeviceError(
                f"a row of the table cannot be read: {error} Delete it, or make the table anew "
                "with `nas-ray profile`."
            ) from error
        found.append(
            Measured(graph=graph, latency_ms=row.latency_ms, operators_ms=row.operators_ms)
        )
    return found


def _fitted(folder: Path, path: Path, hardware: Hardware) -> bytes:
    """The regression on the table at `path`: kept from before in `folder`, or fitted now."""
    text = read_text(path)
    key = _fit_key(text, hardware)
    kept = folder / FITTED
    data = kept.read_bytes() if kept.exists() else b""
    if data and unpacked(data, key, hardware) is not None:
        return data
    # scikit-learn and scipy take a second to import, and a device that is fitted needs neither.
    from nas_ray.estimate.fitting import fit  # noqa: PLC0415

    data = packed(fit(as_measured(parse_table(text, path)), hardware), key)
    # A folder that cannot be written, as where packages are installed, is fitted anew each time.
    with suppress(OSError):
        partial = folder / f".{FITTED}.{os.getpid()}"
        partial.write_bytes(data)
        partial.replace(kept)
    return data


def _fit_key(text: str, hardware: Hardware) -> str:
    """What a regression depends on: the table, and the part of the profile that describes work."""
    work = (
        *(hardware.parallelism_factor, hardware.macs_per_cycle, hardware.clock_hz),
        *(hardware.weight_bytes, hardware.activation_bytes, hardware.additivity),
        *(hardware.array, sorted(hardware.memories.items())),
    )
    return hashlib.sha256(f"{work!r}\n{text}".encode()).hexdigest()


def _unpacked(packed_fit: bytes, hardware: Hardware) -> Fit:
    found = unpacked(packed_fit, None, hardware)
    if found is None:
        raise DeviceError("the regression of this device was made by another version of nas_ray.")
    return found


_ESTIMATORS: dict[tuple[bytes, bytes, str], Estimator] = {}
_ESTIMATORS_AT_MOST = 8


def _made_estimator(device: Device) -> Estimator:
    found = _unpacked(device.packed_fit, device.hardware)
    estimator = Estimator(model=found.model, calibration=found.calibration)
    if not device.packed_networks:
        return estimator
    from nas_ray.estimate.calibrated import calibrated  # noqa: PLC0415  # as above

    measured = parse_networks(gzip.decompress(device.packed_networks).decode(), Path(NETWORKS))
    return calibrated(
        estimator,
        [parse_signature(network.signature) for network in measured],
        [network.latency_ms for network in measured],
    )


def _batches(configs: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[Mapping[str, Any]]]:
    for start in range(0, len(configs), _BATCH):
        yield configs[start : start + _BATCH]
