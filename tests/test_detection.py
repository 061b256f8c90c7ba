"""The parallelism factor of the Ethos-U family found by itself, and written into device.toml."""

import tomllib
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from plain_device import PLAIN as DEVICE

from nas_ray.cli import main
from nas_ray.device import device_folder
from nas_ray.errors import MeasureError
from nas_ray.graph import parse_signature
from nas_ray.measure import systolic
from nas_ray.measure.backends import read_settings
from nas_ray.measure.design import read_design
from nas_ray.measure.measurement import Measurement
from nas_ray.profiling.device_toml import write_periods
from nas_ray.profiling.sweep import MAIN, SWEEPS, detect

TARGETS = {
    "ethos-u55-256": ("Ethos_U55_High_End_Embedded", 500e6),
    "ethos-u65-512": ("Ethos_U65_Client_Server", 1e9),
    "ethos-u85-1024": ("Ethos_U85_SYS_DRAM_Mid", 1e9),
    "ethos-u85-2048": ("Ethos_U85_SYS_DRAM_High", 1e9),
}


def by_formula(latency_ms):
    """Measures by a function of the convolution's (or linear layer's) shapes."""

    def measure_many(texts):
        for text in texts:
            graph = parse_signature(text)
            value = latency_ms(graph, graph.operators[0])
            yield (
                text,
                value
                if isinstance(value, str)
                else Measurement(
                    latency_ms=value, peak_memory_bytes=1, weight_bytes=1, macs=graph.macs
                ),
            )

    return measure_many


def array_ms(graph, operator):
    """An array of 12 inputs by 24 outputs; depthwise and linear are bound by memory."""
    before, after = graph.shape(operator.inputs[0]), graph.shape(operator.outputs[0])
    if operator.kind != "conv":
        return 1e-3 * after[1] * np.prod(after[2:]) + 0.1
    steps = -(-before[1] // 12) * -(-after[1] // 24)
    return 1e-3 * steps * np.prod(operator.kernel) * np.prod(after[2:])


def test_each_kind_has_its_own_period_or_none():
    seen = []
    found = detect(by_formula(array_ms), lambda done, count: seen.append((done, count)))
    assert found == {
        "conv_out": 24,
        "pointwise_in": 12,
        "pointwise_out": 24,
        "depthwise": None,
        "linear_out": None,
    }
    assert seen[-1] == (len(seen), len(seen))


def systolic_ms(lanes, *, rows=32, bandwidth=1):
    """A systolic design `lanes` wide, its memories `bandwidth` times as fast as shipped."""
    settings, _ = read_settings(device_folder("systolic-32x32") / "device.toml")
    shipped = read_design(settings)
    design = replace(
        shipped,
        rows=rows,
        columns=lanes,
        sram_bytes_per_s=bandwidth * shipped.sram_bytes_per_s,
        dram_bytes_per_s=bandwidth * shipped.dram_bytes_per_s,
    )
    return lambda graph, operator: systolic.measure(graph, design).latency_ms


@pytest.mark.parametrize("lanes", [8, 16, 32, 64, 128, 256])
def test_a_systolic_design_is_as_wide_as_its_columns(lanes):
    """And the 1x1 convolution that varies its inputs is as wide as the rows, 32."""
    calls = []
    found = detect(by_formula(systolic_ms(lanes)), lambda done, count: calls.append(done))
    assert found[MAIN] == lanes
    assert found["pointwise_in"] == 32
    # Affordable: not every count up to 500, of which there would be 4,600.
    assert len(calls) < 2000


@pytest.mark.parametrize("lanes", [128, 256])
def test_a_square_design_with_memories_to_match_is_as_wide_as_both(lanes):
    found = detect(by_formula(systolic_ms(lanes, rows=lanes, bandwidth=lanes // 32)))
    assert (found[MAIN], found["pointwise_in"]) == (lanes, lanes)


@pytest.mark.parametrize("lanes", [96, 128, 200, 256])
def test_wide_lanes_are_found_where_only_they_cost(lanes):
    def latency_ms(graph, operator):
        after = graph.shape(operator.outputs[0])
        return 1e-3 * -(-after[1] // lanes) * np.prod(after[2:])

    found = detect(by_formula(latency_ms))
    assert (found[MAIN], found["pointwise_out"], found["linear_out"]) == (lanes, lanes, lanes)
    assert found["pointwise_in"] is None


def test_channel_counts_that_are_too_many_for_the_tool_are_no_error():
    """It is asked for them to see wide staircases; without them none shows."""

    def latency_ms(graph, operator):
        after = graph.shape(operator.outputs[0])
        before = graph.shape(operator.inputs[0])
        return "too large" if max(before[1], after[1]) > 256 else 1.0

    assert set(detect(by_formula(latency_ms)).values()) == {None}


def test_a_few_that_cannot_be_measured_do_not_matter_and_many_are_an_error():
    def mostly(graph, operator):
        return "lost" if graph.macs % 16 == 1 else array_ms(graph, operator)

    assert detect(by_formula(mostly))["conv_out"] == 24
    with pytest.raises(MeasureError, match=r"130 could not be measured: .'lost'.* yourself"):
        detect(by_formula(lambda graph, operator: "lost"))


@pytest.fixture(scope="module", params=TARGETS)
def swept(request):
    """The name of a target, and its latency of a signature."""
    pytest.importorskip("ethosu", reason="the compiler ethos-u-vela is not installed")
    from nas_ray.measure.vela import VelaTarget, measure  # noqa: PLC0415 - needs the compiler

    system, clock_hz = TARGETS[request.param]
    target = VelaTarget(
        accelerator=request.param,
        system_config=system,
        memory_mode="Shared_Sram",
        clock_hz=clock_hz,
    )
    return request.param, cache(lambda key: measure(parse_signature(key), target).latency_ms)


@pytest.mark.parametrize("sigma", [0.0, 0.02])
def test_the_compiler_shows_what_is_known_of_its_accelerators(swept, sigma, monkeypatch):
    """16 channels on U85; 8 on U55 and U65, there 32 input channels of a 1x1 convolution."""
    name, latency_ms = swept
    rng = np.random.default_rng(0)
    monkeypatch.setattr(
        "nas_ray.profiling.sweep.SWEEPS", {k: SWEEPS[k] for k in ("conv_out", "pointwise_in")}
    )

    def measure_many(texts):
        for text in texts:
            noisy_ms = latency_ms(text) * np.exp(rng.normal(0, sigma))
            yield (
                text,
                Measurement(latency_ms=noisy_ms, peak_memory_bytes=1, weight_bytes=1, macs=1),
            )

    found = detect(measure_many)
    assert found["conv_out"] == (16 if "u85" in name else 8)
    if "u85" not in name:
        assert found["pointwise_in"] == 32


PERIODS = {"conv_out": 16, "pointwise_in": 32, "depthwise": None}
PLAIN = """# my accelerator
name = "mine"   # a name

[measure]
backend = "vela"   # asks a compiler
"""
WITH_FACTOR = """name = "mine"
parallelism_factor = 4              # channels at a time
clock_hz = 1e9

[parallelism]                       # old
conv_out = 4
linear_out = 4

[measure]                           # how
backend = "vela"
"""


def test_what_was_found_is_added_and_every_other_line_stays(tmp_path):
    path = tmp_path / "device.toml"
    path.write_text(PLAIN, encoding="utf-8")
    assert write_periods(path, PERIODS) == 16
    text = path.read_text(encoding="utf-8")
    assert [line for line in PLAIN.splitlines() if line not in text.splitlines()] == []
    document = tomllib.loads(text)
    assert document["parallelism_factor"] == 16
    assert document["parallelism"] == {"conv_out": 16, "pointwise_in": 32}
    assert document["measure"] == {"backend": "vela"}
    assert "# depthwise: no staircase" in text


def test_what_was_there_is_replaced_with_its_comment_kept_in_its_column(tmp_path):
    path = tmp_path / "device.toml"
    path.write_text(WITH_FACTOR, encoding="utf-8")
    write_periods(path, PERIODS)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[:3] == [
        'name = "mine"',
        "parallelism_factor = 16             # channels at a time",
        "clock_hz = 1e9",
    ]
    assert lines[-2:] == WITH_FACTOR.splitlines()[-2:]
    assert tomllib.loads("\n".join(lines))["parallelism"] == {"conv_out": 16, "pointwise_in": 32}


def test_writing_twice_changes_nothing_more(tmp_path):
    path = tmp_path / "device.toml"
    path.write_text(PLAIN, encoding="utf-8")
    write_periods(path, PERIODS)
    once = path.read_text(encoding="utf-8")
    write_periods(path, PERIODS)
    assert path.read_text(encoding="utf-8") == once


@pytest.mark.parametrize(("given", "kept"), [(PLAIN, 1), (WITH_FACTOR, 4)], ids=["none", "4"])
def test_without_a_staircase_a_given_factor_stays_and_a_missing_one_is_1(tmp_path, given, kept):
    """No staircase shows: that proves nothing of a wider one, or of one that memory hides."""
    path = tmp_path / "device.toml"
    path.write_text(given, encoding="utf-8")
    assert write_periods(path, {"conv_out": None, "linear_out": 8}) == kept
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    assert document["parallelism_factor"] == kept
    assert document["parallelism"] == {"linear_out": 8}


def test_the_command_says_that_the_given_factor_stays(tmp_path, capsys, monkeypatch):
    """A tool that answers the same for everything shows no staircase."""
    (tmp_path / "constant_tool.py").write_text("def latency_ms(path):\n    return 1.0\n", "utf-8")
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "device"
    folder.mkdir()
    text = f'{DEVICE}backend = "constant_tool:latency_ms"\nformat = "tflite"\n'
    (folder / "device.toml").write_text(text, encoding="utf-8")
    words = ("profile", str(folder), "--detect", "--count", "1", "--networks", "0")
    main(words)
    out = capsys.readouterr().out
    assert "conv_out none" in out
    assert "parallelism_factor = 8" in out
    assert (
        "no staircase of up to 256 channels shows in convolutions: parallelism_factor stays" in out
    )
    assert "parallelism_factor = 8" in (folder / "device.toml").read_text(encoding="utf-8")
