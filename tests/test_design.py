"""device.toml as a design: each number is read from the one place it is stated in, or refused."""

from dataclasses import replace

import pytest

from nas_ray.device import device_folder
from nas_ray.errors import MeasureError
from nas_ray.graph import parse_signature
from nas_ray.measure.backends import backend_of, read_settings
from nas_ray.measure.design import read_design
from nas_ray.measure.systolic import measure, systolic

PROFILE = device_folder("systolic-32x32") / "device.toml"
SETTINGS, _ = read_settings(PROFILE)
GRAPH = parse_signature("1x32x10x10; conv 0 > 1x32x10x10 w=1024 m=102400")


def test_the_back_end_of_a_device_is_the_model_on_its_design():
    assert systolic(GRAPH, SETTINGS) == measure(GRAPH, read_design(SETTINGS))


def test_a_designer_changes_the_profile_and_the_back_end_follows(tmp_path):
    """Twice the columns halve the tiles, and the SRAM, left as it was, becomes the bottleneck.

    400 pixels of 32 channels are read for each of two tiles, and 400 of 128 written.
    """
    text = PROFILE.read_text(encoding="utf-8")
    for old, new in (
        ("columns = 32", "columns = 64"),
        ("macs_per_cycle = 1024", "macs_per_cycle = 2048"),
        ("bandwidth_bytes_per_s = 8e9", "bandwidth_bytes_per_s = 1e18"),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    (tmp_path / "device.toml").write_text(text, encoding="utf-8")
    settings, _ = read_settings(tmp_path / "device.toml")
    graph = parse_signature("1x32x20x20; conv 0 > 1x128x20x20 w=4096 m=1638400")
    found = backend_of(settings)(graph, settings)
    assert 2 * (400 + 32 + 64 - 2) < (2 * 12_800 + 51_200) / 64
    assert found.latency_ms * 1e6 == pytest.approx(32 + (2 * 12_800 + 51_200) / 64)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (
            {"colums": 32},
            r"\[measure\] colums .* unknown .*: did you mean 'columns'\? Known: backend",
        ),
        ({"version": "0"}, r"version of device.toml must be \"1\", .* but got '0'"),
        ({"rows": 0}, r"\[measure\] rows of device.toml must be above 0 and finite, but got 0"),
        (
            {"rows": 32.0},
            r"\[measure\] rows of device.toml must be of type int, but got 32.0, a flo",
        ),
        ({"rows": True}, r"rows of device.toml must be of type int, but got True, a bool"),
        (
            {"vector_lanes": "many"},
            r"vector_lanes of device.toml must be of type int, but got 'many'",
        ),
        ({"clock_hz": float("inf")}, r"^clock_hz of device.toml must be above 0 and finite"),
        ({"clock_hz": "1 GHz"}, r"^clock_hz of device.toml must be of type float, but got '1 GHz'"),
        (
            {"rows": 16},
            r"macs_per_cycle of device.toml must be rows \* columns = 16 \* 32 = 512, but",
        ),
        (
            {"memories": {}},
            r"device.toml lacks \[memories.sram\] size_bytes; .* needs \[measure\] row",
        ),
        ({"memories": 7}, r"device.toml lacks \[memories.sram\] size_bytes"),
        (
            {"memories": {"sram": {"size_bytes": -1}}},
            r"lacks \[memories.sram\] bandwidth_bytes_per_s",
        ),
    ],
)
def test_a_setting_that_cannot_be_is_refused_with_the_way_out(change, rule):
    with pytest.raises(MeasureError, match=rule):
        systolic(GRAPH, {**SETTINGS, **change})


@pytest.mark.parametrize(
    "key", ["rows", "columns", "vector_lanes", "clock_hz", "macs_per_cycle", "version"]
)
def test_a_missing_setting_is_refused_by_its_name(key):
    settings = {k: v for k, v in SETTINGS.items() if k != key}
    with pytest.raises(MeasureError, match=rf"{key}\b"):
        systolic(GRAPH, settings)


def test_a_design_of_a_program_keeps_to_the_same_limits():
    with pytest.raises(
        MeasureError, match=r"\[memories.sram\] size_bytes .* at least 0 and finite"
    ):
        replace(read_design(SETTINGS), sram_bytes=-1)
