"""Devices measured on one's own machine: where the table lives, and what it says of its origin."""

import shutil
import sys
from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="the extra onnx is not installed")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

import nas_ray
from nas_ray.cache import cache_folder
from nas_ray.cli import main
from nas_ray.device import device_folder, devices_to_profile, list_devices, load_device
from nas_ray.errors import DeviceError
from nas_ray.estimate.hardware import read_hardware
from nas_ray.measure.backends import BACKENDS
from nas_ray.measure.table import read_table, read_text, table_path
from nas_ray.measure.this_machine import processor, runtime_version

NAME = "host-cpu"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NAS_RAY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "devices" / NAME


def with_a_table(folder: Path) -> None:
    """Forty subgraphs with latencies of another device: enough to be fitted."""
    lines = read_text(table_path(device_folder("systolic-32x32"))).splitlines(keepends=True)
    (folder / "measurements.csv").write_text("".join(lines[:41]), encoding="utf-8")


def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    for name in ("NAS_RAY_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "nas_ray"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "nas_ray"
    monkeypatch.setenv("NAS_RAY_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"


def test_without_a_table_the_device_says_how_to_make_it(cache):
    assert NAME in devices_to_profile()
    assert NAME not in list_devices()
    with pytest.raises(DeviceError, match="`nas-ray profile host-cpu`"):
        load_device(NAME)
    with pytest.raises(DeviceError, match="did you mean 'host-cpu'"):
        load_device("host-cpus")


def test_the_profile_is_sound_and_names_a_back_end(cache):
    for name in devices_to_profile():
        hardware = read_hardware(device_folder(name) / "device.toml")
        assert hardware.name == name
        assert hardware.measure["backend"] in BACKENDS


def test_profiled_it_is_a_device_like_any_other(cache, capsys):
    shipped = Path(nas_ray.__file__).parent / "devices" / NAME
    before = sorted(path.name for path in shipped.iterdir())
    assert main(["profile", NAME, "--count", "30"]) == 0
    assert f"{cache}/measurements.csv.gz: 30 rows, 30 new" in capsys.readouterr().out
    assert len(read_table(table_path(cache))) == 30
    device = load_device(NAME)
    assert device.name == NAME
    assert device.hardware.measure["processor"] == processor()
    assert device.hardware.measure["version"] == runtime_version()
    assert sorted(path.name for path in shipped.iterdir()) == before


@pytest.mark.parametrize(
    ("key", "here", "rule"),
    [
        ("version", runtime_version, r"onnxruntime elsewhere, but 1\."),
        ("processor", processor, "processor 'elsewhere', but this one is '"),
    ],
    ids=["version", "processor"],
)
def test_a_table_made_elsewhere_is_used_with_a_warning_that_names_both(cache, key, here, rule):
    folder = device_folder(NAME)
    with_a_table(folder)
    load_device(NAME)  # made here: no warning, which would be an error
    profile = folder / "device.toml"
    text = profile.read_text(encoding="utf-8")
    assert f'{key} = "{here()}"' in text
    profile.write_text(text.replace(f'"{here()}"', '"elsewhere"'), encoding="utf-8")
    with pytest.warns(UserWarning, match=rule):
        load_device(NAME)


def test_without_onnxruntime_the_device_says_what_to_install_and_to_run(cache, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(
        DeviceError, match=r"nas-ray\[onnx\]'\. Then run `nas-ray profile host-cpu`"
    ):
        load_device(NAME)


def test_a_table_is_used_where_onnxruntime_is_not_installed(cache, monkeypatch):
    """As on the nodes of a cluster: only measuring needs it."""
    with_a_table(device_folder(NAME))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert load_device(NAME).name == NAME


def test_a_cache_that_cannot_be_written_is_refused_with_a_way_out(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("NAS_RAY_CACHE", str(tmp_path / "file"))
    with pytest.raises(DeviceError, match=r"cannot be written: .* Set NAS_RAY_CACHE"):
        device_folder(NAME)


def test_a_copy_of_the_folder_is_a_device_of_its_own(cache, tmp_path):
    copy = tmp_path / "mine"
    shutil.copytree(device_folder(NAME), copy)
    assert device_folder(copy) == copy
    with pytest.raises(DeviceError, match=f"nas-ray profile {copy}"):
        load_device(copy)
