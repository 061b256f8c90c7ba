"""The parallelism factor of the Ethos-U family found by itself, and written into device.toml."""

import tomllib

import numpy as np
import pytest

from nas_ray.errors import MeasureError
from nas_ray.graph import parse_signature
from nas_ray.measure.measurement import Measurement
from nas_ray.profiling.device_toml import write_periods
from nas_ray.profiling.sweep import SWEEPS, detect

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


def test_a_few_that_cannot_be_measured_do_not_matter_and_many_are_an_error():
    def mostly(graph, operator):
        return "lost" if graph.macs % 16 == 1 else array_ms(graph, operator)

    assert detect(by_formula(mostly))["conv_out"] == 24
    with pytest.raises(MeasureError, match=r"130 could not be measured: .'lost'.* yourself"):
        detect(by_formula(lambda graph, operator: "lost"))


@pytest.fixture(scope="module", params=TARGETS)
def swept(request):
    """The name of a target, and every latency of every sweep on it."""
    pytest.importorskip("ethosu", reason="the compiler ethos-u-vela is not installed")
    from nas_ray.measure.vela import VelaTarget, measure  # noqa: PLC0415 - needs the compiler

    system, clock_hz = TARGETS[request.param]
    target = VelaTarget(
        accelerator=request.param,
        system_config=system,
        memory_mode="Shared_Sram",
        clock_hz=clock_hz,
    )
    keys = [
        key
        for name in ("conv_out", "pointwise_in")
        for side in SWEEPS[name].sides
        for key in SWEEPS[name].signatures(side)
    ]
    return request.param, {key: measure(parse_signature(key), target).latency_ms for key in keys}


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
            noisy_ms = latency_ms[text] * np.exp(rng.normal(0, sigma))
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


def test_without_a_staircase_of_convolutions_no_count_is_better_than_another(tmp_path):
    path = tmp_path / "device.toml"
    path.write_text(PLAIN, encoding="utf-8")
    assert write_periods(path, {"conv_out": None, "linear_out": 8}) == 1
    assert tomllib.loads(path.read_text(encoding="utf-8"))["parallelism_factor"] == 1
