"""device.toml as data: what an accelerator is, as far as estimates need to know."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from nas_ray.errors import DeviceError, nearest
from nas_ray.estimate.array import Array
from nas_ray.estimate.host_rules import HostRule, read_host_rules
from nas_ray.estimate.staging import Staging


@dataclass(frozen=True, kw_only=True)
class Memory:
    """One memory; `size_bytes` 0 means without a limit of its own."""

    bandwidth_bytes_per_s: float
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """An accelerator; the three sizes are bytes of one number.

    `numbers` says what the table holds ("compiler estimates", "measurements"), and
    `parallelism_factor` how many channels run in parallel. `additivity` is the upper end of
    log(network / sum of its subgraphs) on 95 % of networks: what a sum cannot know. Activations
    begin at multiples of `alignment_bytes`; those inside the network have their channels padded
    to `channel_multiple`. `is_depth_first` says in which order operators run (`ordering`); if
    not, as the graph has it. With `writes_in_place` results are written over inputs or into what
    they are concatenated to (`merging`), with `splits_operators` some take several passes
    (`decomposing`). `chain_length` passes number by number run as one. What `upscales_input` has
    no unit to resize, but enlarges an input where a convolution reads it.
    `staging` says which weights are copied beside the activations; None: none are. `array` is how
    outputs are made block by block; None: nobody knows. `host` says what the compiler leaves to
    the host processor.
    """

    name: str
    description: str
    numbers: str
    parallelism_factor: int
    macs_per_cycle: int
    clock_hz: float
    weight_bytes: int
    activation_bytes: int
    bias_bytes: int
    additivity: float
    memories: Mapping[str, Memory]
    measure: Mapping[str, Any]
    alignment_bytes: int = 1
    channel_multiple: int = 1
    is_depth_first: bool = False
    writes_in_place: bool = False
    splits_operators: bool = False
    upscales_input: bool = False
    chain_length: int = 1
    staging: Staging | None = None
    array: Array | None = None
    host: tuple[HostRule, ...] = ()


#: Keys of section [execution], all of them optional.
_EXECUTION = (
    *("is_depth_first", "writes_in_place", "splits_operators", "upscales_input"),
    "chain_length",
)


def read_hardware(path: Path) -> Hardware:
    """The accelerator described by the device.toml at `path`.

    Raises DeviceError for a file that cannot be read, a missing key, a value of another type or
    a number out of range: `additivity` and `size_bytes` may be 0, all others are above it.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DeviceError(f"{path}: cannot be read as a device profile: {error}.") from error
    number_format = _value(path, document, "number_format", dict)
    memories = _value(path, document, "memories", dict)
    return Hardware(
        name=_value(path, document, "name", str),
        description=_value(path, document, "description", str),
        numbers=_value(path, document, "numbers", str),
        parallelism_factor=_positive(path, document, "parallelism_factor", int),
        macs_per_cycle=_positive(path, document, "macs_per_cycle", int),
        clock_hz=_positive(path, document, "clock_hz", float),
        weight_bytes=_positive(path, number_format, "weight_bytes", int),
        activation_bytes=_positive(path, number_format, "activation_bytes", int),
        bias_bytes=_positive(path, number_format, "bias_bytes", int),
        additivity=_at_least_0(path, document, "additivity", float),
        memories={name: _memory(path, _value(path, memories, name, dict)) for name in memories},
        measure=_value(path, document, "measure", dict),
        alignment_bytes=_multiple(path, number_format, "alignment_bytes"),
        channel_multiple=_multiple(path, number_format, "channel_multiple"),
        **_execution(path, document),
        staging=_staging(path, document),
        array=_array(path, document),
        host=read_host_rules(path, document),
    )


def _multiple(path: Path, section: Mapping[str, Any], key: str) -> int:
    return int(_positive(path, section, key, int)) if key in section else 1


def _execution(path: Path, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of section [execution] that are given; the others keep their defaults."""
    if "execution" not in document:
        return {}
    section = _value(path, document, "execution", dict)
    for key in section:
        if key not in _EXECUTION:
            raise DeviceError(
                f"{path}: unknown key {key!r} in [execution]: {nearest(key, _EXECUTION)}"
            )
    return {
        key: _multiple(path, section, key)
        if key == "chain_length"
        else _value(path, section, key, bool)
        for key in section
    }


def _staging(path: Path, document: Mapping[str, Any]) -> Staging | None:
    if "staging" not in document:
        return None
    if "array" not in document:
        raise DeviceError(
            f"{path}: [staging] needs the section [array] beside it, from which the times of "
            "operators follow. Add [array], or leave out [staging]."
        )
    section = _value(path, document, "staging", dict)
    values: dict[str, Any] = {}
    for field in fields(Staging):
        if field.name == "slice_channels":
            values[field.name] = _at_least_0(path, section, field.name, int)
        elif field.type in {int, float}:
            values[field.name] = _positive(path, section, field.name, field.type)
        else:
            values[field.name] = _four(path, section, field.name)
    return Staging(**values)


def _four(path: Path, section: Mapping[str, Any], key: str) -> tuple[float, ...]:
    """Bytes of a weight, a zero, a channel and an operator."""
    value = _value(path, section, key, list)
    if len(value) != 4 or not all(type(one) in {int, float} and one >= 0 for one in value):
        raise DeviceError(
            f"{path}: {key} in [staging] must hold 4 numbers >= 0, but got {value!r}."
        )
    return tuple(map(float, value))


def _array(path: Path, document: Mapping[str, Any]) -> Array | None:
    if "array" not in document:
        return None
    section = _value(path, document, "array", dict)
    values: dict[str, Any] = {}
    for field in fields(Array):
        if field.type is bool:
            values[field.name] = _value(path, section, field.name, bool)
        elif field.type in {int, float}:
            values[field.name] = _at_least_0(path, section, field.name, field.type)
        else:
            values[field.name] = _tuples(path, field.name, _value(path, section, field.name, list))
    return Array(**values)


def _tuples(path: Path, key: str, value: Any) -> Any:
    """Lists of ints above 0, or lists of those, as tuples."""
    if isinstance(value, list) and value:
        return tuple(_tuples(path, key, one) for one in value)
    if type(value) is int and value > 0:
        return value
    raise DeviceError(f"{path}: {key} in [array] must hold ints above 0, but got {value!r}.")


def _memory(path: Path, values: Mapping[str, Any]) -> Memory:
    return Memory(
        bandwidth_bytes_per_s=_positive(path, values, "bandwidth_bytes_per_s", float),
        size_bytes=_at_least_0(path, values, "size_bytes", int),
    )


def _value(path: Path, section: Mapping[str, Any], key: str, kind: type) -> Any:
    if key not in section:
        raise DeviceError(
            f"{path}: key {key!r} is missing. A device profile has a name, description, numbers, "
            "parallelism_factor, macs_per_cycle, clock_hz, additivity and the sections "
            "[number_format], [memories.*] and [measure], and if it has [staging] all keys of it; "
            "copy those of a shipped device."
        )
    value = section[key]
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise DeviceError(
            f"{path}: {key} must be of type {kind.__name__}, but got {value!r}, "
            f"a {type(value).__name__}."
        )
    return value


def _positive(path: Path, section: Mapping[str, Any], key: str, kind: type) -> Any:
    value = _value(path, section, key, kind)
    if not 0 < value < float("inf"):
        raise DeviceError(f"{path}: {key} must be above 0 and finite, but got {value!r}.")
    return value


def _at_least_0(path: Path, section: Mapping[str, Any], key: str, kind: type) -> Any:
    value = _value(path, section, key, kind)
    if not 0 <= value < float("inf"):
        raise DeviceError(f"{path}: {key} must be at least 0 and finite, but got {value!r}.")
    return value
