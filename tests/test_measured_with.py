"""A table belongs to one device.toml: another one refuses it, and it is measured anew on demand."""

import json
import re
import shutil

import numpy as np
import pytest

from nas_ray.cli import main
from nas_ray.device import device_folder, list_devices, load_device
from nas_ray.errors import DeviceError, MeasureError
from nas_ray.graph import parse_signature
from nas_ray.measure.backends import backend_of, read_settings
from nas_ray.measure.measured_with import FILE, facts, require_same_device, write_facts
from nas_ray.measure.table import append_rows, read_table, read_text, table_path
from nas_ray.profiling import Budget, loop, profile

SYSTOLIC, ETHOS = "systolic-32x32", "ethos-u85-2048"
NETWORK = "search_spaces.classification:space"


def changed(folder, old, new):
    """device.toml of `folder` with the text `old`, which is in it once, replaced by `new`."""
    path = folder / "device.toml"
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, old
    path.write_text(text.replace(old, new), encoding="utf-8")


def measured_here(folder):
    """The back-end of `folder`, in this process."""
    settings, _ = read_settings(folder / "device.toml")
    backend = backend_of(settings)

    def measure_many(texts):
        return ((text, backend(parse_signature(text), settings)) for text in texts)

    return measure_many


def profiled(folder, count=40, **options):
    return profile(folder, Budget(count=count), measure_many=measured_here(folder), **options)


def contents(folder):
    """What lies in the folder, but for the lock and what is made anew at will."""
    made = {".lock", "round.json", "fitted.npz"}
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name not in made}


@pytest.fixture(scope="module", autouse=True)
def short_rounds():
    """A round draws all of its samples before it measures one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "_FIRST", 50)
        patch.setattr(loop, "_LEAST", 20)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory, short_rounds):
    """A folder with forty rows of the systolic design, fitted."""
    folder = tmp_path_factory.mktemp("made")
    shutil.copy(device_folder(SYSTOLIC) / "device.toml", folder)
    profiled(folder)
    load_device(folder)
    return folder


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made, tmp_path / "device")


@pytest.fixture
def ethos(tmp_path):
    return shutil.copytree(device_folder(ETHOS), tmp_path / "ethos")


ON_SYSTOLIC = {
    "clock": ("clock_hz = 1e9", "clock_hz = 5e8", "with clock_hz = 1000000000.0, .* 500000000.0"),
    "macs": ("macs_per_cycle = 1024", "macs_per_cycle = 2048", "macs_per_cycle = 1024, .* 2048"),
    "bandwidth": (
        "bandwidth_bytes_per_s = 8e9",
        "bandwidth_bytes_per_s = 4e9",
        r"bandwidth_bytes_per_s = 8000000000.0, .* 4000000000.0 in \[memories.dram\]",
    ),
    "sram": (
        "size_bytes = 1_048_576",
        "size_bytes = 9",
        "size_bytes = 1048576, .* says 9 in .*sram",
    ),
    "format": (
        "weight_bytes = 1",
        "weight_bytes = 2",
        r"weight_bytes = 1, .* 2 in \[number_format\]",
    ),
    "rows": ("rows = 32 ", "rows = 64 ", r"rows = 32, device.toml now says 64 in \[measure\]"),
    "columns": ("columns = 32 ", "columns = 64 ", "columns = 32, device.toml now says 64"),
    "lanes": ("vector_lanes = 32", "vector_lanes = 8", "vector_lanes = 32, .* says 8"),
    "model": ('version = "1"', 'version = "2"', "version = '1', device.toml now says '2'"),
    "backend": ('"systolic"', '"me:measure"', "backend = 'systolic', .* 'me:measure'"),
    "less": (
        "vector_lanes = 32",
        "",
        "with vector_lanes = 32, device.toml now has no vector_lanes",
    ),
    "more": ("rows = 32 ", "seed = 3\nrows = 32 ", "without seed, device.toml now has seed = 3"),
    "new_section": (
        "[memories.sram]",
        "[cooling]\nfans = 2\n[memories.sram]",
        r"without fans, device.toml now has fans = 2 in \[cooling\]",
    ),
}
ON_ETHOS = {
    "memory_mode": (
        '"Shared_Sram"',
        '"Dedicated_Sram"',
        "measured with memory_mode = 'Shared_Sram', device.toml now says 'Dedicated_Sram'",
    ),
    "system": ("SYS_DRAM_High", "SYS_DRAM_Mid", "system_config = '.*High', .* '.*Mid'"),
    "accelerator": (
        'accelerator = "ethos-u85-2048"',
        'accelerator = "ethos-u85-512"',
        "accelerator = 'ethos-u85-2048', device.toml now says 'ethos-u85-512'",
    ),
    "compiler": ('"5.2.0"', '"6.0.0"', "version = '5.2.0', device.toml now says '6.0.0'"),
    "weights": ("weight_seed = 0", "weight_seed = 1", "weight_seed = 0, .* says 1"),
    "blocks": (
        "[[2, 2, 64], [1, 4, 64], [4, 4, 16]]",
        "[[2, 2, 64]]",
        r"micro_blocks = \[\[2, 2, 64\], .* now says \[\[2, 2, 64\]\] in \[array\]",
    ),
    "cores": ("cores = 1", "cores = 2", r"cores = 1, device.toml now says 2 in \[array\]"),
}


@pytest.mark.parametrize("change", ON_SYSTOLIC)
def test_a_table_of_another_device_is_refused_with_both_values(folder, change):
    old, new, rule = ON_SYSTOLIC[change]
    measure_many = measured_here(folder)
    changed(folder, old, new)
    before = contents(folder)
    way_out = rf"measured .*{rule}.* `nas-ray profile {re.escape(str(folder))} --anew`"
    with pytest.raises(DeviceError, match=way_out):
        load_device(folder)
    with pytest.raises(DeviceError, match=way_out):
        profile(folder, Budget(count=50), measure_many=measure_many)
    assert contents(folder) == before


@pytest.mark.parametrize("change", ON_ETHOS)
def test_a_copied_folder_of_a_compiler_is_refused_too(ethos, change):
    old, new, rule = ON_ETHOS[change]
    load_device(ethos)
    changed(ethos, old, new)
    with pytest.raises(DeviceError, match=rule):
        load_device(ethos)


def test_of_many_differences_three_are_named_and_the_others_counted(folder):
    changed(folder, "rows = 32 ", "rows = 64 ")
    changed(folder, "vector_lanes = 32", "vector_lanes = 8")
    changed(folder, "columns = 32 ", "columns = 16 ")
    changed(folder, "clock_hz = 1e9", "clock_hz = 5e8")
    with pytest.raises(
        DeviceError, match=r"clock_hz .*; with columns .*; with rows .*; and 1 more\."
    ):
        load_device(folder)


VERBS = {
    "estimate": ("estimate", NETWORK, "--device"),
    "measure": ("measure", NETWORK, "--device"),
    "profile": ("profile",),
    "detect": ("profile", "--detect"),
    "search": ("search", "classification", "--trials", "1", "--device"),
}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_that_reads_the_table_refuses_it(folder, verb, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    changed(folder, "rows = 32 ", "rows = 64 ")
    before = contents(folder)
    words = [*VERBS[verb], str(folder)]
    assert main(words) == 1
    assert "rows = 32, device.toml now says 64" in capsys.readouterr().err
    assert contents(folder) == before


def test_calibrate_refuses_it_before_it_writes_anything(folder, capsys, tmp_path):
    changed(folder, "rows = 32 ", "rows = 64 ")
    (tmp_path / "measured.csv").write_text(f"network,latency_ms\n{NETWORK},3\n", encoding="utf-8")
    words = ("calibrate", str(folder), str(tmp_path / "measured.csv"), "--to", str(tmp_path / "to"))
    assert main(words) == 1
    assert "rows = 32, device.toml now says 64" in capsys.readouterr().err
    assert not (tmp_path / "to").exists()


def test_a_calibrated_copy_keeps_what_its_table_was_measured_with(folder, capsys, tmp_path):
    lines = [f'"{row.signature}",{row.latency_ms}\n' for row in read_table(table_path(folder))[:9]]
    (tmp_path / "measured.csv").write_text("network,latency_ms\n" + "".join(lines), "utf-8")
    words = ("calibrate", str(folder), str(tmp_path / "measured.csv"), "--to", str(tmp_path / "to"))
    assert main(words) == 0
    changed(tmp_path / "to", "rows = 32 ", "rows = 64 ")
    with pytest.raises(DeviceError, match="rows = 32"):
        load_device(tmp_path / "to")


ESTIMATE_ONLY = {
    "name": (f'name = "{ETHOS}"', 'name = "mine"'),
    "description": ('description = "Arm', 'description = "My Arm'),
    "numbers": ('"compiler estimates"', '"measurements"'),
    "additivity": ("additivity = 0.05", "additivity = 0.5"),
    "factor": ("parallelism_factor = 16 ", "parallelism_factor = 8 "),
    "detected": ("linear_out = 64", "linear_out = 32"),
    "staging": ("copy_rate = 6.55", "copy_rate = 7"),
    "execution": ("splits_operators = true", "splits_operators = false"),
    "alignment": ("alignment_bytes = 16 ", "alignment_bytes = 32 "),
    "multiple": ("channel_multiple = 16 ", "channel_multiple = 8 "),
    "patience": ("weight_seed = 0", "weight_seed = 0\ntimeout_s = 9"),
    "comment": ("macs_per_cycle = 2048", "# mine\nmacs_per_cycle = 2_048  # wide"),
    "notation": ("clock_hz = 1e9", "clock_hz = 1000000000"),
}


@pytest.mark.parametrize("change", ESTIMATE_ONLY)
def test_what_only_estimates_read_needs_no_new_table(ethos, change):
    changed(ethos, *ESTIMATE_ONLY[change])
    require_same_device(ethos)


@pytest.mark.parametrize("name", list_devices())
def test_every_shipped_table_tells_what_it_was_measured_with(name):
    folder = device_folder(name)
    assert json.loads((folder / FILE).read_text(encoding="utf-8")) == facts(folder)


def test_the_file_has_sorted_lines_and_is_the_same_for_the_same_facts(folder):
    text = (folder / FILE).read_text(encoding="utf-8")
    assert list(json.loads(text)) == sorted(facts(folder))
    assert text.splitlines()[1] == '  "clock_hz": 1000000000.0,'
    write_facts(folder, dict(reversed(facts(folder).items())))
    assert (folder / FILE).read_text(encoding="utf-8") == text


def test_a_value_that_is_no_number_equals_itself(folder):
    changed(folder, "vector_lanes = 32", "vector_lanes = 32\nlimit = nan\nsince = 2026-01-01")
    write_facts(folder, facts(folder))
    require_same_device(folder)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[1]", b"\xff\xfe", b"null"],
    ids=["empty", "torn", "list", "binary", "null"],
)
def test_a_file_that_cannot_be_read_is_refused_with_a_way_out(folder, data):
    (folder / FILE).write_bytes(data)
    rule = rf"{FILE}: cannot be read as what .*Delete it if .*profile .* --anew`"
    with pytest.raises(DeviceError, match=rule):
        load_device(folder)
    with pytest.raises(DeviceError, match=rule):
        profiled(folder, 50)


def test_a_table_of_which_nothing_is_known_is_believed_and_told_of_from_the_next_row_on(folder):
    """Folders made before there was such a file."""
    (folder / FILE).unlink()
    changed(folder, "rows = 32 ", "rows = 64 ")
    changed(folder, "macs_per_cycle = 1024", "macs_per_cycle = 2048")
    load_device(folder)
    assert profiled(folder, 40).added == 0
    assert not (folder / FILE).exists()
    assert profiled(folder, 41).added == 1
    assert json.loads((folder / FILE).read_text(encoding="utf-8"))["measure.rows"] == 64


def test_the_file_is_there_before_the_first_row(tmp_path):
    shutil.copy(device_folder(SYSTOLIC) / "device.toml", tmp_path)

    def stop(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        profiled(tmp_path, on_progress=stop)
    assert len(read_table(table_path(tmp_path))) == 1
    changed(tmp_path, "rows = 32 ", "rows = 64 ")
    with pytest.raises(DeviceError, match="rows = 32"):
        profile(tmp_path, Budget(count=50), measure_many=lambda texts: ())


def test_anew_measures_all_rows_with_the_new_device_and_keeps_the_old_ones(folder, tmp_path):
    old = contents(folder)
    for place in (folder, fresh := tmp_path / "fresh"):
        place.mkdir(exist_ok=True)
        shutil.copy(device_folder(SYSTOLIC) / "device.toml", place)
        changed(place, "rows = 32 ", "rows = 64 ")
        changed(place, "macs_per_cycle = 1024", "macs_per_cycle = 2048")
    (folder / "failed.csv").write_text("signature,reason\nx,lost\n", encoding="utf-8")
    report = profiled(folder, anew=True)
    assert (report.rows, report.added, report.failed) == (40, 40, ())
    assert read_table(report.table) == read_table(profiled(fresh).table)
    names = ("measurements.1.csv.gz", "failed.1.csv", "measured_with.1.json")
    assert [path.name for path in report.set_aside] == list(names)
    kept = contents(folder)
    assert kept["measurements.1.csv.gz"] == old["measurements.csv.gz"]
    assert kept["measured_with.1.json"] == old[FILE]
    assert np.isfinite(load_device(folder).accuracy.mape)


def test_anew_twice_overwrites_nothing(folder):
    first = (folder / "measurements.csv.gz").read_bytes()
    profiled(folder, 30, anew=True)
    second = (folder / "measurements.csv.gz").read_bytes()
    report = profiled(folder, 35, anew=True)
    assert (folder / "measurements.1.csv.gz").read_bytes() == first
    assert (folder / "measurements.2.csv.gz").read_bytes() == second
    assert len(read_table(report.table)) == 35


def test_anew_keeps_a_table_that_was_still_growing(folder):
    """An interrupted profile has the plain file beside the packed one of an earlier call."""
    rows = read_table(table_path(folder))
    list(append_rows(folder / "measurements.csv", rows[:5]))
    plain = read_text(folder / "measurements.csv")
    profiled(folder, 30, anew=True)
    assert read_text(folder / "measurements.1.csv") == plain
    assert read_table(folder / "measurements.1.csv.gz") == rows


def test_anew_leaves_the_table_where_nothing_can_be_measured(folder):
    before = contents(folder)
    with pytest.raises(MeasureError, match="in a row could not be measured"):
        profile(
            folder,
            Budget(count=50),
            measure_many=lambda texts: ((text, "the tool is missing") for text in texts),
            anew=True,
        )
    assert contents(folder) == before
    load_device(folder)


def test_anew_where_there_is_no_table_is_a_profile_like_any_other(tmp_path):
    shutil.copy(device_folder(SYSTOLIC) / "device.toml", tmp_path)
    report = profiled(tmp_path, 30, anew=True)
    assert (report.rows, report.set_aside) == (30, ())


def test_the_command_measures_anew_and_names_what_it_kept(folder, capsys):
    changed(folder, "clock_hz = 1e9", "clock_hz = 5e8")
    (folder / "networks.csv").write_text("", encoding="utf-8")
    words = ("profile", str(folder), "--count", "31", "--networks", "0", "--anew", "--json")
    main(words)
    out = capsys.readouterr().out
    assert "kept: measurements.1.csv.gz, measured_with.1.json" in out
    assert "note: networks.csv stays and corrects the new table" in out
    assert len(read_table(table_path(folder))) == 31
