"""A vela.ini of one's own: it lies in the device folder, and the table belongs to its content."""

import hashlib
import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from nas_ray.device import device_folder, load_device
from nas_ray.errors import DeviceError, MeasureError
from nas_ray.graph import parse_signature
from nas_ray.measure.backends import backend_of, measure_network, read_settings
from nas_ray.measure.measured_with import FILE, facts, require_same_device, write_facts
from nas_ray.measure.table import append_rows, read_table, table_path

ETHOS = "ethos-u85-2048"
GRAPH = parse_signature("1x32x28x28; conv 0 > 1x512x28x28 k=3x3 w=147456 m=115605504")


def needs_the_compiler():
    if find_spec("ethosu") is None:
        pytest.skip("the compiler ethos-u-vela is not installed")


@pytest.fixture
def shipped_ini():
    needs_the_compiler()
    (package,) = find_spec("ethosu").submodule_search_locations
    return (Path(package) / "config_files" / "Arm" / "vela.ini").read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path):
    """A device whose [measure] names `my_vela.ini`, which a test writes."""
    folder = tmp_path / "device"
    folder.mkdir()
    text = (device_folder(ETHOS) / "device.toml").read_text(encoding="utf-8")
    text = text.replace("weight_seed = 0", 'weight_seed = 0\nconfig = "my_vela.ini"')
    (folder / "device.toml").write_text(text, encoding="utf-8")
    return folder


def write_ini(folder, text):
    (folder / "my_vela.ini").write_text(text, encoding="utf-8")


def latency_ms(folder):
    settings, _ = read_settings(folder / "device.toml")
    return backend_of(settings)(GRAPH, settings).latency_ms


def with_a_table(folder):
    rows = read_table(table_path(device_folder(ETHOS)))[:40]
    list(append_rows(folder / "measurements.csv", rows))
    write_facts(folder, facts(folder))


def test_the_file_of_the_folder_is_what_is_compiled_with(folder, shipped_ini):
    settings, _ = read_settings(device_folder(ETHOS) / "device.toml")
    shipped_ms = backend_of(settings)(GRAPH, settings).latency_ms
    write_ini(folder, shipped_ini)
    assert latency_ms(folder) == shipped_ms
    slower = folder.with_name("slower")
    shutil.copytree(folder, slower)
    begin = shipped_ini.index("[System_Config.Ethos_U85_SYS_DRAM_High]")
    head, own = shipped_ini[:begin], shipped_ini[begin:]
    own, count = re.subn(r"(?m)^Dram_clock_scale=.*$", "Dram_clock_scale=0.01", own)
    assert count == 1
    write_ini(slower, head + own)
    assert latency_ms(slower) > 2 * shipped_ms


def test_its_names_are_ones_own(folder, shipped_ini):
    """A board has no name of Arm's; names of the wheel are checked against their family."""
    text = shipped_ini.replace("Ethos_U85_SYS_DRAM_High", "My_Board").replace("Shared_Sram", "Mine")
    write_ini(folder, text)
    path = folder / "device.toml"
    profile = path.read_text(encoding="utf-8")
    profile = profile.replace('"Ethos_U85_SYS_DRAM_High"', '"My_Board"')
    path.write_text(profile.replace('"Shared_Sram"', '"Mine"'), encoding="utf-8")
    settings, _ = read_settings(device_folder(ETHOS) / "device.toml")
    assert latency_ms(folder) == backend_of(settings)(GRAPH, settings).latency_ms


def test_another_process_finds_it_from_any_folder(folder, shipped_ini, tmp_path, monkeypatch):
    write_ini(folder, shipped_ini)
    monkeypatch.chdir(folder.parent)
    settings, _ = read_settings(Path("device") / "device.toml")
    assert settings["config"] == str(folder / "my_vela.ini")
    monkeypatch.chdir("/")
    assert measure_network(GRAPH, settings, timeout_s=60).latency_ms == latency_ms(folder)


@pytest.mark.parametrize(
    ("gone", "rule"),
    [
        (
            "[System_Config.Ethos_U85_SYS_DRAM_High]",
            r"my_vela.ini, which has no \[System_Config.Ethos_U85_SYS_DRAM_High\]",
        ),
        (
            "[Memory_Mode.Shared_Sram]",
            r"unknown Memory_Mode 'Shared_Sram' in .*my_vela.ini, which has no \[Memory_Mode.Sh.*",
        ),
    ],
    ids=["system", "memory"],
)
def test_a_section_that_it_lacks_is_named_with_those_it_has(folder, shipped_ini, gone, rule):
    write_ini(folder, shipped_ini.replace(gone, gone.replace(".", ".Other_")))
    with pytest.raises(MeasureError, match=rule + ".*Other_"):
        latency_ms(folder)


def test_a_file_that_is_no_text_is_refused(folder):
    needs_the_compiler()
    (folder / "my_vela.ini").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MeasureError, match=r"my_vela.ini cannot be read as a vela.ini"):
        latency_ms(folder)


@pytest.mark.parametrize("value", ['"nowhere.ini"', "3", '"."', '""'])
def test_a_file_that_is_not_there_is_refused_by_name_and_path(folder, value):
    write_ini(folder, "")
    with_a_table(folder)
    path = folder / "device.toml"
    path.write_text(path.read_text("utf-8").replace('"my_vela.ini"', value), encoding="utf-8")
    got = re.escape(value.replace('"', "'"))
    rule = rf"\[measure\] config must name a file, .* got {got} and there is no file {folder}"
    with pytest.raises(DeviceError, match=rule):
        read_settings(path)
    with pytest.raises(DeviceError, match=rule):
        load_device(folder)


def test_the_table_belongs_to_the_content_and_not_to_name_or_place(folder, tmp_path):
    write_ini(folder, "a = 1\n")
    with_a_table(folder)
    first = hashlib.sha256(b"a = 1\n").hexdigest()
    assert facts(folder)["measure.config_sha256"] == first
    assert str(tmp_path) not in (folder / FILE).read_text(encoding="utf-8")

    moved = shutil.copytree(folder, tmp_path / "elsewhere")
    (moved / "my_vela.ini").rename(moved / "board.ini")
    path = moved / "device.toml"
    path.write_text(path.read_text("utf-8").replace("my_vela", "board"), encoding="utf-8")
    require_same_device(moved)

    write_ini(folder, "a = 2\n")
    second = hashlib.sha256(b"a = 2\n").hexdigest()
    rule = rf"config_sha256 = '{first}', the file of config in \[measure\] now has '{second}'"
    with pytest.raises(DeviceError, match=rule):
        load_device(folder)


def test_another_back_end_may_have_a_key_of_that_name(folder):
    path = folder / "device.toml"
    path.write_text(path.read_text("utf-8").replace('"vela"', '"my_module:f"'), encoding="utf-8")
    assert read_settings(path)[0]["config"] == "my_vela.ini"
    assert facts(folder)["measure.config"] == "my_vela.ini"
