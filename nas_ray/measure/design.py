"""A systolic accelerator as a device.toml describes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from nas_ray.errors import MeasureError, nearest

#: Field of `Design` to the section and key of device.toml that it is read from, and its type.
_PLACES: Mapping[str, tuple[str, str, type]] = {
    "rows": ("measure", "rows", int),
    "columns": ("measure", "columns", int),
    "vector_lanes": ("measure", "vector_lanes", int),
    "clock_hz": ("", "clock_hz", float),
    "sram_bytes": ("memories.sram", "size_bytes", int),
    "sram_bytes_per_s": ("memories.sram", "bandwidth_bytes_per_s", float),
    "dram_bytes_per_s": ("memories.dram", "bandwidth_bytes_per_s", float),
    "weight_bytes": ("number_format", "weight_bytes", int),
    "activation_bytes": ("number_format", "activation_bytes", int),
    "bias_bytes": ("number_format", "bias_bytes", int),
}
_OWN_KEYS = {"backend", "version", *(key for at, key, _ in _PLACES.values() if at == "measure")}
_SHARED_KEYS = {"clock_hz", "macs_per_cycle", "memories", "number_format"}


@dataclass(frozen=True, kw_only=True)
class Design:
    """The accelerator: the array, its vector unit, clock and memories, and bytes of one number.

    `sram_bytes` 0 means without limit. Raises MeasureError for any other number that is not above
    0 and finite.
    """

    rows: int
    columns: int
    vector_lanes: int
    clock_hz: float
    sram_bytes: int
    sram_bytes_per_s: float
    dram_bytes_per_s: float
    weight_bytes: int
    activation_bytes: int
    bias_bytes: int

    def __post_init__(self) -> None:
        for field, value in vars(self).items():
            section, key, _ = _PLACES[field]
            least = "at least" if field == "sram_bytes" else "above"
            if value < 0 or not isfinite(value) or (value == 0 and least == "above"):
                raise MeasureError(
                    f"{_where(section, key)} of device.toml must be {least} 0 and finite, "
                    f"but got {value!r}."
                )

    @property
    def sram_bytes_per_cycle(self) -> float:
        """What SRAM moves in a cycle of the array."""
        return self.sram_bytes_per_s / self.clock_hz

    @property
    def dram_bytes_per_cycle(self) -> float:
        """What DRAM moves in a cycle of the array."""
        return self.dram_bytes_per_s / self.clock_hz


def read_design(settings: Mapping[str, Any]) -> Design:
    """The design in what `read_settings` gives.

    Raises MeasureError for a key of `[measure]` that nobody reads, a number that is missing, of
    another type or out of range, and for `macs_per_cycle` that is not rows * columns.
    """
    for key in sorted(settings.keys() - _OWN_KEYS - _SHARED_KEYS):
        raise MeasureError(
            f"[measure] {key} of device.toml is unknown to the back-end `systolic`: "
            f"{nearest(key, _OWN_KEYS)}"
        )
    design = Design(**{field: _number(settings, *place) for field, place in _PLACES.items()})
    macs_per_cycle = _number(settings, "", "macs_per_cycle", int)
    if macs_per_cycle != design.rows * design.columns:
        raise MeasureError(
            f"macs_per_cycle of device.toml must be rows * columns = {design.rows} * "
            f"{design.columns} = {design.rows * design.columns}, but got {macs_per_cycle}."
        )
    return design


def _number(settings: Mapping[str, Any], section: str, key: str, kind: type) -> Any:
    """The number at `key` of `section`; those of `[measure]` and of no section lie on top."""
    values: Any = settings
    for name in section.split(".") if section not in {"", "measure"} else ():
        values = values.get(name, {}) if isinstance(values, Mapping) else {}
    if not isinstance(values, Mapping) or key not in values:
        raise MeasureError(
            f"device.toml lacks {_where(section, key)}; the back-end `systolic` needs "
            f"{', '.join(_where(at, k) for at, k, _ in _PLACES.values())}."
        )
    value = values[key]
    if type(value) is not kind and not (kind is float and type(value) is int):
        raise MeasureError(
            f"{_where(section, key)} of device.toml must be of type {kind.__name__}, but got "
            f"{value!r}, a {type(value).__name__}."
        )
    return value


def _where(section: str, key: str) -> str:
    return f"[{section}] {key}" if section else key
