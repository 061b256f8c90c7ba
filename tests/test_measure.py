"""`nas-ray measure` works on every device, by the settings of a profile; it needs no table."""

import json
import shutil

import pytest
import torch
from torch import nn

from nas_ray.cli import main
from nas_ray.device import device_folder, devices_to_profile, list_devices, load_device
from nas_ray.graph import parse_signature, signature, trace
from nas_ray.measure.backends import backend_of, measure_network, read_settings

NETWORK = ("test_measure:small_network", "--input", "3x16x16")
NAMES = ("latency_ms", "peak_memory_bytes", "macs")


def small_network():
    return nn.Sequential(nn.Conv2d(3, 16, 3, stride=2), nn.ReLU(), nn.Conv2d(16, 32, 1))


def graph():
    return trace(small_network(), torch.zeros(1, 3, 16, 16))


def needs_its_tool(name):
    module = {"ethos": "ethosu", "host": "onnxruntime"}.get(name.split("-")[0])
    if module:
        pytest.importorskip(module, reason="the tool of its back-end is not installed")


def measured(capsys, *words):
    code = main(["measure", *NETWORK, *words, "--json"])
    said = capsys.readouterr()
    assert code == 0, said.err
    return said.out, json.loads(said.out.splitlines()[-1])


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NAS_RAY_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("name", list_devices())
def test_every_shipped_device_says_what_its_back_end_says_beside_its_estimate(name, capsys):
    needs_its_tool(name)
    out, told = measured(capsys, "--device", name)
    settings, _ = read_settings(device_folder(name) / "device.toml")
    theirs = backend_of(settings)(parse_signature(signature(graph())), settings)
    ours = load_device(name).estimate_graph(graph())
    assert told == {
        key: {"estimate": getattr(ours, key), "compiler": getattr(theirs, key)} for key in NAMES
    }
    assert "no table yet" not in out


@pytest.mark.parametrize("name", devices_to_profile())
def test_a_device_without_a_table_is_measured_and_says_how_to_make_it(name, capsys):
    needs_its_tool(name)
    out, told = measured(capsys, "--device", name)
    assert told["macs"] == {"estimate": None, "compiler": graph().macs}
    # No value is known beforehand: 150,000 MACs take between a nanosecond and a millisecond.
    assert 1e-6 < told["latency_ms"]["compiler"] < 1
    (note,) = [line for line in out.splitlines() if line.startswith("note:")]
    assert f"{name} has no table yet, so there is no estimate" in note
    assert note.endswith(f"`nas-ray profile {name}`")


def test_a_copied_folder_with_a_changed_design_and_no_table_is_measured(tmp_path, capsys):
    text = (device_folder("systolic-32x32") / "device.toml").read_text(encoding="utf-8")
    (tmp_path / "device.toml").write_text(text.replace("clock_hz = 1e9", "clock_hz = 5e8"), "utf-8")
    out, told = measured(capsys, "--device", str(tmp_path))
    settings, _ = read_settings(tmp_path / "device.toml")
    assert told["latency_ms"]["compiler"] == measure_network(graph(), settings, 60).latency_ms
    assert f"`nas-ray profile {tmp_path}`" in out


def test_a_copied_folder_with_its_table_is_measured(tmp_path, capsys):
    shutil.copytree(device_folder("systolic-32x32"), tmp_path / "mine")
    _, told = measured(capsys, "--device", str(tmp_path / "mine"))
    _, shipped = measured(capsys, "--device", "systolic-32x32")
    assert told == shipped


def test_what_a_back_end_does_not_count_has_no_difference(tmp_path, capsys):
    """Without an SRAM in its memory mode the compiler names no peak, which is then 0."""
    shutil.copytree(device_folder("systolic-32x32"), tmp_path / "mine")
    words = ("measure", "test_measure:no_arithmetic", "--input", "3x16x16", "--device")
    assert main([*words, str(tmp_path / "mine")]) == 0
    assert "macs" in capsys.readouterr().out


def no_arithmetic():
    return nn.MaxPool2d(2)
