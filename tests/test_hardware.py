"""device.toml: what is read, and that every mistake in it is refused by its name."""

import copy
import re
from dataclasses import fields

import pytest

from nas_ray.errors import DeviceError
from nas_ray.estimate.array import Array
from nas_ray.estimate.hardware import Memory, read_hardware
from nas_ray.estimate.staging import Staging

PROFILE = {
    "name": "tiny",
    "description": "an accelerator made up for the tests",
    "numbers": "measurements",
    "parallelism_factor": 8,
    "macs_per_cycle": 64,
    "clock_hz": 5e8,
    "additivity": 0.05,
    "number_format": {"weight_bytes": 1, "activation_bytes": 2, "bias_bytes": 4},
    "memories": {"sram": {"bandwidth_bytes_per_s": 4e9, "size_bytes": 0}},
    "measure": {"backend": "vela"},
}
NUMBERS = [
    *((key,) for key in ("parallelism_factor", "macs_per_cycle", "clock_hz")),
    *(("number_format", key) for key in PROFILE["number_format"]),
    ("memories", "sram", "bandwidth_bytes_per_s"),
]
#: May be 0: nothing lost between subgraphs, no limit of its own.
FROM_0 = [("additivity",), ("memories", "sram", "size_bytes")]
TEXTS = [("name",), ("description",), ("numbers",)]
TABLES = [("number_format",), ("memories",), ("memories", "sram"), ("measure",)]


def toml(values, prefix=""):
    """`values` as TOML: plain keys first, then each section."""
    plain = [f"{k} = {_word(v)}" for k, v in values.items() if not isinstance(v, dict)]
    lines = [f"[{prefix[:-1]}]", *plain] if prefix else plain
    for key, value in values.items():
        if isinstance(value, dict):
            lines += toml(value, f"{prefix}{key}.").splitlines()
    return "\n".join(lines)


def _word(value):
    return str(value).lower() if isinstance(value, bool) else repr(value)


def changed(path, value=None):
    """The profile with the key at `path` set to `value`, or without it."""
    profile = copy.deepcopy(PROFILE)
    section = profile
    for key in path[:-1]:
        section = section[key]
    if value is None:
        del section[path[-1]]
    else:
        section[path[-1]] = value
    return profile


def read(tmp_path, profile):
    path = tmp_path / "device.toml"
    path.write_text(toml(profile), encoding="utf-8")
    return read_hardware(path)


def test_every_value_is_taken_as_written(tmp_path):
    hardware = read(tmp_path, PROFILE)
    assert (hardware.name, hardware.description, hardware.numbers) == (
        "tiny",
        "an accelerator made up for the tests",
        "measurements",
    )
    assert (hardware.parallelism_factor, hardware.macs_per_cycle) == (8, 64)
    assert (hardware.clock_hz, hardware.additivity) == (500_000_000.0, 0.05)
    assert (hardware.weight_bytes, hardware.activation_bytes, hardware.bias_bytes) == (1, 2, 4)
    assert hardware.memories == {"sram": Memory(bandwidth_bytes_per_s=4e9, size_bytes=0)}
    assert hardware.measure == {"backend": "vela"}


def test_a_device_without_them_has_no_padding_no_order_and_no_staging(tmp_path):
    hardware = read(tmp_path, PROFILE)
    assert (hardware.alignment_bytes, hardware.channel_multiple) == (1, 1)
    flags = (hardware.is_depth_first, hardware.writes_in_place, hardware.splits_operators)
    assert (*flags, hardware.upscales_input, hardware.chain_length) == (*[False] * 4, 1)
    assert hardware.staging is None


def staging_numbers():
    """A number for each key of [staging], or four."""
    return {
        key.name: n + 1 if key.type in {int, float} else [0.5, 0.0, n, 1.0]
        for n, key in enumerate(fields(Staging))
    }


def test_padding_order_and_staging_are_taken_as_written(tmp_path):
    numbers = staging_numbers()
    layout = PROFILE["number_format"] | {"alignment_bytes": 32, "channel_multiple": 8}
    execution = dict.fromkeys(
        ("is_depth_first", "writes_in_place", "splits_operators", "upscales_input"), True
    )
    execution["chain_length"] = 4
    more = {"number_format": layout, "execution": execution, "array": ARRAY, "staging": numbers}
    hardware = read(tmp_path, PROFILE | more)
    assert (hardware.alignment_bytes, hardware.channel_multiple) == (32, 8)
    assert {key: getattr(hardware, key) for key in execution} == execution
    assert hardware.staging == Staging(**{key: tuples(value) for key, value in numbers.items()})


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("staging", "copy_rate", -1),
        ("staging", "copy_rate", 0),
        ("staging", "slice_channels", -1),
        ("staging", "burst_bytes", 1.5),
        ("execution", "chain_length", 0),
        ("execution", "is_depth_first", 1),
        ("number_format", "channel_multiple", 0),
    ],
)
def test_what_may_be_left_out_is_refused_when_wrong(tmp_path, section, key, value):
    numbers = staging_numbers()
    whole = {"staging": numbers, "number_format": PROFILE["number_format"], "execution": {}}
    with pytest.raises(DeviceError, match=f"{key} must be"):
        read(tmp_path, PROFILE | {"array": ARRAY, section: whole[section] | {key: value}})


@pytest.mark.parametrize("value", [[1.0], [1, 2, 3, -4], [1, 2, 3, "4"]])
def test_bytes_as_stored_are_four_numbers(tmp_path, value):
    numbers = staging_numbers() | {"depthwise_bytes": value}
    with pytest.raises(DeviceError, match=r"depthwise_bytes in .staging. must hold 4 numbers"):
        read(tmp_path, PROFILE | {"array": ARRAY, "staging": numbers})


def test_staging_alone_is_refused(tmp_path):
    """The times that it compares follow from the blocks of [array]."""
    with pytest.raises(DeviceError, match=r".staging. needs the section .array."):
        read(tmp_path, PROFILE | {"staging": staging_numbers()})


def test_an_unknown_key_of_execution_is_refused(tmp_path):
    """One of an older profile, or a mistyped one, would change nothing in silence."""
    with pytest.raises(DeviceError, match=r"unknown key 'split_operators'.*'splits_operators'"):
        read(tmp_path, PROFILE | {"execution": {"split_operators": True}})


def test_half_a_staging_is_refused(tmp_path):
    with pytest.raises(DeviceError, match="'far_latency_cycles' is missing"):
        read(tmp_path, PROFILE | {"array": ARRAY, "staging": {"copy_rate": 1.0}})


ARRAY = {
    "micro_blocks": [[2, 2, 64], [4, 4, 16]],
    "depthwise_micro_block": [4, 4, 16],
    "block_limit": [128, 128, 1024],
    "input_bytes": 32768,
    "accumulator_bytes": 131072,
    "shared_bytes": 0,
    "input_step_bytes": 1,
    "accumulator_step_bytes": 1,
    "input_channels": [16, 64],
    "kernel_lanes": 4,
    "kernel_step": [5, 2],
    "input_patch": [[4, 4], [2, 2]],
    "weight_cycles": 1.5,
    "cores": 1,
    "brick_channels": 16,
    "weight_channels": 8,
    "constant_bytes": 10,
    "largest_stride": 3,
    "largest_dilation": 2,
    "kernel_limit": 8,
    "splits_transposed": True,
}


def tuples(value):
    return tuple(map(tuples, value)) if isinstance(value, list) else value


def test_an_array_is_taken_as_written(tmp_path):
    found = read(tmp_path, PROFILE | {"array": ARRAY}).array
    assert found == Array(**{key: tuples(value) for key, value in ARRAY.items()})
    assert read(tmp_path, PROFILE).array is None


@pytest.mark.parametrize("key", ARRAY)
def test_a_missing_key_of_an_array_is_refused_by_its_name(tmp_path, key):
    less = {name: value for name, value in ARRAY.items() if name != key}
    with pytest.raises(DeviceError, match=f"'{key}' is missing"):
        read(tmp_path, PROFILE | {"array": less})


@pytest.mark.parametrize("key", ARRAY)
def test_a_wrong_value_in_an_array_is_refused_by_its_name(tmp_path, key):
    with pytest.raises(DeviceError, match=f"{key} must be of type .* got 'many'"):
        read(tmp_path, PROFILE | {"array": ARRAY | {key: "many"}})
    wrong = [0, 4] if isinstance(ARRAY[key], list) else -1
    with pytest.raises(DeviceError, match=f"{key} (in .array. )?must"):
        read(tmp_path, PROFILE | {"array": ARRAY | {key: wrong}})


def test_a_whole_number_will_do_for_a_real_one(tmp_path):
    clock_hz = read(tmp_path, changed(("clock_hz",), 500_000_000)).clock_hz
    assert (clock_hz, type(clock_hz)) == (5e8, float)


@pytest.mark.parametrize(
    "path",
    [path for path in (*NUMBERS, *FROM_0, *TEXTS, *TABLES) if path != ("memories", "sram")],
    ids=".".join,
)
def test_a_missing_key_is_refused_by_its_name(tmp_path, path):
    with pytest.raises(DeviceError, match=f"'{path[-1]}' is missing"):
        read(tmp_path, changed(path))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        *((path, "many") for path in (*NUMBERS, *FROM_0)),
        *((path, True) for path in (*NUMBERS, *FROM_0)),
        *((path, 8.5) for path in NUMBERS if path[-1] not in {"clock_hz", "bandwidth_bytes_per_s"}),
        *((path, 3) for path in (*TEXTS, *TABLES)),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else f"as_{value}",
)
def test_a_value_of_another_type_is_refused_by_its_name(tmp_path, path, value):
    with pytest.raises(DeviceError, match=f"{path[-1]} must be of type .* got {value!r}"):
        read(tmp_path, changed(path, value))


@pytest.mark.parametrize("value", [0, -1], ids=["zero", "negative"])
@pytest.mark.parametrize("path", NUMBERS, ids=".".join)
def test_a_number_that_is_not_above_0_is_refused_by_its_name(tmp_path, path, value):
    with pytest.raises(
        DeviceError, match=f"{path[-1]} must be above 0 and finite, but got {value}"
    ):
        read(tmp_path, changed(path, value))


@pytest.mark.parametrize("path", FROM_0, ids=".".join)
def test_additivity_and_size_may_be_0_but_not_below(tmp_path, path):
    """Below 0 the upper end of a latency would lie under its estimate."""
    assert read(tmp_path, changed(path, 0)).name == "tiny"
    with pytest.raises(DeviceError, match=f"{path[-1]} must be at least 0 .* got -1"):
        read(tmp_path, changed(path, -1))


@pytest.mark.parametrize("value", [float("inf"), float("nan")], ids=["infinite", "not_a_number"])
@pytest.mark.parametrize("key", ["clock_hz", "additivity"])
def test_a_number_that_is_not_finite_is_refused(tmp_path, key, value):
    with pytest.raises(DeviceError, match=f"{key} must be .* finite, but got {value}"):
        read(tmp_path, changed((key,), value))


@pytest.mark.parametrize(
    "data", [b"name = ", b"\xff\xfe", None], ids=["not_toml", "not_text", "no_file"]
)
def test_a_file_that_cannot_be_read_is_refused_with_its_path(tmp_path, data):
    path = tmp_path / "device.toml"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(DeviceError, match=re.escape(f"{path}: cannot be read")):
        read_hardware(path)
