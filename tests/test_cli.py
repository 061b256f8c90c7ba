"""The `nas-ray` command: what it prints, what it refuses, how it is stopped and resumed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

import nas_ray
from nas_ray.cli import main
from nas_ray.device import device_folder
from nas_ray.record import Record
from search_spaces import classification

TESTS = Path(__file__).parent
VERBS = ("search", "report", "estimate", "measure", "profile", "calibrate", "devices", "spaces")


def said(capsys, *words: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of `nas-ray` with `words`."""
    code = main(words)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def last_json(text: str):
    return json.loads(text.strip().splitlines()[-1])


# Help


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(verb, capsys):
    with pytest.raises(SystemExit) as end:
        main([verb, "--help"])
    assert end.value.code == 0
    assert f"example:\n  nas-ray {verb}" in capsys.readouterr().out


def test_the_help_of_the_command_names_every_verb_and_shows_examples(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    text = capsys.readouterr().out
    assert end.value.code == 0
    assert "nas-ray search classification --device ethos-u85-2048" in text
    assert all(verb in text for verb in VERBS)


# Tables


def test_devices_lists_what_the_library_lists(capsys):
    code, out, _ = said(capsys, "devices", "--json")
    assert (code, last_json(out)) == (0, {"devices": nas_ray.list_devices()})
    assert "compiler estimates" in out


def test_spaces_tells_every_choice(capsys):
    code, out, _ = said(capsys, "spaces", "--json")
    assert code == 0
    assert last_json(out)["classification"] == json.loads(
        json.dumps(classification.space().describe())
    )


def test_estimate_prints_what_the_device_estimates(capsys):
    words = ("search_spaces.classification:space", "--device", "ethos-u85-2048", "--json")
    code, out, _ = said(capsys, "estimate", *words)
    space = classification.space()
    device = nas_ray.load_device("ethos-u85-2048")
    cost = device.estimate(space.build(space.baseline), space.example_input(space.baseline))
    told = last_json(out)
    assert code == 0
    assert told["latency_ms"] == cost.latency_ms
    assert told["peak_memory_bytes"] == cost.peak_memory_bytes
    assert [row["latency_ms"] for row in told["subgraphs"]] == [
        row.latency_ms for row in cost.subgraphs
    ]


def test_estimate_takes_a_class_and_the_shape_of_its_input(capsys):
    words = ("tiny_job:NaNAfterOneEpoch", "--input", "1x8x8", "--device", "ethos-u85-2048")
    code, out, _ = said(capsys, "estimate", *words, "--json")
    assert code == 0
    assert last_json(out)["macs"] == 64 * 10


def test_estimate_says_once_how_much_is_a_guess_and_where(capsys):
    """A channel in and a kernel of 31: 95 % is said of no bound, and the one row is marked."""
    words = ("tiny_job:wide_kernel", "--input", "1x40x40", "--device", "ethos-u85-2048")
    code, out, _ = said(capsys, "estimate", *words, "--json")
    told = last_json(out)
    assert code == 0
    assert (told["is_calibrated"], 0.5 < told["outside_share"] <= 1) == (False, True)
    assert [row["outside"] for row in told["subgraphs"]].count(True) == out.count("outside the")
    (note,) = [line for line in out.splitlines() if line.startswith("note: ")]
    assert note == f"note: {told['warnings'][0]}"
    assert note.endswith("a guess, and so is the upper end")
    assert f"(a guess, its upper end {told['latency_ms_upper']:.4f})" in out
    assert "95 %" not in out


def test_estimate_marks_what_the_host_runs(capsys):
    words = ("tiny_job:shuffled_pixels", "--input", "4x8x8", "--device", "ethos-u85-2048")
    code, out, _ = said(capsys, "estimate", *words, "--json")
    told = last_json(out)
    assert (code, told["host_operators"]) == (0, 1)
    assert [row["host_operators"] for row in told["subgraphs"] if row["host_operators"]] == [
        ["depth_to_space_0"]
    ]
    assert "on the host" in out
    assert "note: 1 operator runs on the host processor" in out


def test_measure_sets_the_compiler_beside_the_estimate(capsys):
    pytest.importorskip("ethosu", reason="needs the extra ethos-u")
    words = ("search_spaces.classification:space", "--device", "ethos-u85-2048", "--json")
    code, out, _ = said(capsys, "measure", *words)
    told = last_json(out)["latency_ms"]
    assert code == 0
    assert told["estimate"] == pytest.approx(told["compiler"], rel=0.15)


def test_profile_fills_the_table_of_a_device_and_goes_on_where_it_stopped(capsys, tmp_path):
    pytest.importorskip("ethosu", reason="needs the extra ethos-u")
    shipped = device_folder("ethos-u85-2048") / "device.toml"
    (tmp_path / "device.toml").write_text(shipped.read_text())
    words = ("profile", str(tmp_path), "--networks", "2", "--space", "classification", "--json")
    code, out, _ = said(capsys, *words, "--count", "34")
    assert code == 0
    first = last_json(out)
    assert first["rows"] == first["added"] == 34 - len(first["failed"])
    code, out, _ = said(capsys, *words, "--count", "37")
    told = last_json(out)
    assert told["rows"] == first["rows"] + told["added"] == 37 - len(told["failed"])
    assert told["stopped"] == "count"
    # What the compiler leaves to the host, in part, is no row.
    assert all("host processor" in reason for reason in told["failed"].values())
    assert told["subgraphs"]["mape"] == nas_ray.load_device(tmp_path).accuracy.mape
    assert told["networks"]["networks"] == 2


def test_profile_finds_the_parallelism_factor_that_a_device_lacks(capsys, tmp_path):
    """And refuses a device without it, before anything is measured, where it is not asked to."""
    pytest.importorskip("ethosu", reason="needs the extra ethos-u")
    shipped = (device_folder("ethos-u85-2048") / "device.toml").read_text().splitlines()
    lines = [line for line in shipped if not line.startswith("parallelism_factor")]
    (tmp_path / "device.toml").write_text("\n".join(lines) + "\n")
    code, _, err = said(capsys, "profile", str(tmp_path), "--count", "1")
    assert code == 1
    assert "--detect" in err
    words = ("profile", str(tmp_path), "--detect", "--count", "40", "--json")
    code, out, _ = said(capsys, *words)
    assert code == 0
    assert last_json(out)["parallelism"]["conv_out"] == 16
    text = (tmp_path / "device.toml").read_text().splitlines()
    assert "parallelism_factor = 16" in text
    assert [line for line in lines if line not in text] == []


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (("--time", "soon"), "a time is written 90s, 30m or 2h"),
        (("--space", "nowhere"), "a space is a shipped task"),
        (("--space", "math:pi"), "must be a nas_ray.SearchSpace"),
        (("--count", "0"), "--count must be at least 1, but got 0"),
        (("--workers", "0"), "--workers must be at least 1, but got 0"),
        (("--networks", "-1"), "--networks must be at least 0, but got -1"),
        (("--timeout", "-1"), "--timeout is in seconds, above 0, but got -1"),
        (("--target-mape", "5"), "--target-mape is a share, such as 0.05 for 5 %, but got 5"),
    ],
    ids=["time", "no_space", "not_a_space", *("count", "workers", "networks", "timeout", "share")],
)
def test_profile_refuses_what_it_cannot_read_before_it_measures(capsys, tmp_path, words, rule):
    shipped = device_folder("ethos-u85-2048") / "device.toml"
    (tmp_path / "device.toml").write_text(shipped.read_text())
    code, _, err = said(capsys, "profile", str(tmp_path), *words)
    assert (code, rule in err) == (1, True)
    assert not (tmp_path / "measurements.csv").exists()


def test_options_may_come_from_a_file(capsys, tmp_path):
    file = tmp_path / "options.yaml"
    file.write_text("network: search_spaces.classification:space\ndevice: ethos-u85-2048\n")
    code, out, _ = said(capsys, "estimate", "-c", str(file))
    assert code == 0
    assert "latency_ms" in out


# Mistakes


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["estimate", "search_spaces.classification:space", "--device", "ethos-u85-248"],
            "did you mean 'ethos-u85-2048'",
        ),
        (
            ["search", "clasification", "--device", "ethos-u85-2048"],
            "did you mean 'classification'",
        ),
        (
            ["estimate", "search_spaces.classification:spaze", "--device", "ethos-u85-2048"],
            "did you mean 'space'",
        ),
        (["estimate", "tiny_job", "--device", "ethos-u85-2048"], "named MODULE:NAME"),
        (
            ["estimate", "tiny_job:NaNAfterOneEpoch", "--device", "ethos-u85-2048"],
            "--input 3x224x224",
        ),
        (
            ["estimate", "tiny_job:os", "--input", "1x8x8", "--device", "ethos-u85-2048"],
            "must be a torch.nn.Module",
        ),
        (
            [
                "estimate",
                "tiny_job:NaNAfterOneEpoch",
                "--input",
                "3x7x7",
                "--device",
                "ethos-u85-2048",
            ],
            "could not be traced",
        ),
        (
            ["search", "tiny_job", "--device", "ethos-u85-2048", "--constraint", "latency_ms=0.2"],
            "written 'NAME<=NUMBER'",
        ),
        (
            ["search", "tiny_job", "--device", "ethos-u85-2048", "--constraint", "latency<=0.2"],
            "did you mean 'latency_ms'",
        ),
        (
            ["search", "tiny_job", "--device", "ethos-u85-2048", "--constraint", "macs<=1"],
            "was found that meets macs <= 1",
        ),
        (["search", "tiny_job", "--device", "ethos-u85-2048", "--trials", "0"], "at least 1"),
        (
            ["search", "tiny_job", "--device", "ethos-u85-2048", "--cpus-per-trial", "100000"],
            "no trial could ever start",
        ),
        (["search", "json", "--device", "ethos-u85-2048"], "json has no 'space'"),
        (["report", "no/such/folder"], "holds no search"),
    ],
    ids=lambda value: None if isinstance(value, str) else " ".join(value[:2]),
)
def test_a_mistake_ends_in_one_message_and_no_stack_trace(
    words, message, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    code, out, err = said(capsys, *words)
    assert code == 1
    assert message in err
    assert "Traceback" not in out + err


def test_a_job_refuses_a_storage_that_ray_deletes_with_it(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    for words in ((), ("--storage", "runs/mine")):
        code, _, err = said(capsys, "search", "tiny_job", "--device", "ethos-u85-2048", *words)
        assert code == 1
        assert "the storage of a job must outlive it" in err
    assert list(tmp_path.iterdir()) == []


def test_a_module_that_breaks_on_import_is_named_with_its_reason(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken_job.py").write_text("1 / 0\n")
    code, _, err = said(capsys, "search", "broken_job", "--device", "ethos-u85-2048")
    assert code == 1
    assert "module 'broken_job' cannot be imported: ZeroDivisionError" in err


@pytest.mark.parametrize(
    "words",
    [
        ["search"],
        ["search", "tiny_job"],
        ["find"],
        ["search", "x", "--device", "y", "--trials", "z"],
    ],
    ids=["nothing", "no_device", "unknown_verb", "no_number"],
)
def test_a_command_that_cannot_be_read_is_a_usage_error(words, capsys):
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2


# A search of one's own, stopped and resumed


def command(folder: Path, device: Path, *words: str) -> list[str]:
    return [
        *(sys.executable, "-m", "nas_ray.cli", "search", "tiny_slow", "--device", str(device)),
        *("--storage", str(folder), "--epochs", "3", "--max-concurrent", "1", *words),
    ]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(TESTS)}


def reports(folder: Path) -> list[tuple[int, int]]:
    """Trial and epoch of every result in the journal."""
    return [
        (e["trial"], e["epoch"]) for e in Record.read(folder).events() if e["event"] == "result"
    ]


def wait_for_reports(folder: Path, count: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if (folder / "journal.jsonl").exists() and len(reports(folder)) >= count:
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError(f"{count} reports did not come within two minutes")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["ctrl_c", "kill"])
def test_a_stopped_search_keeps_everything_and_the_same_command_finishes_it(
    how, tmp_path, small_device_folder
):
    folder = tmp_path / "run"
    words = command(folder, small_device_folder, "--trials", "4")
    with subprocess.Popen(
        words, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_for_reports(folder, 4, process)
        process.send_signal(how)
        out, err = process.communicate(timeout=60)
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert "stopped by hand" in err
        assert f"to resume: nas-ray search tiny_slow --device {small_device_folder}" in err
        assert "Traceback" not in out + err
    before = reports(folder)
    assert len(before) >= 4
    assert {t.status for t in Record.read(folder).trials().values()} <= {
        "completed",
        "stopped",
        "running",
    }

    again = subprocess.run(
        [*words, "--json"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert again.returncode == 0, again.stderr
    trials = Record.read(folder).trials()
    after = reports(folder)
    assert len(trials) == 4
    assert after[: len(before)] == before
    assert len(set(after)) == len(after)
    assert {t.status for t in trials.values()} <= {"completed", "stopped"}
    told = json.loads(again.stdout.strip().splitlines()[-1])
    assert len(told["front"]) >= 1
    assert Path(told["report"]).read_text().startswith("<!DOCTYPE html>")


class Interrupted(ModuleType):
    """A module in whose import somebody presses Ctrl-C."""

    def __getattr__(self, name):
        raise KeyboardInterrupt


def test_ctrl_c_while_the_command_is_still_imported_ends_it_without_a_traceback(monkeypatch):
    monkeypatch.setitem(sys.modules, "nas_ray.cli.command", Interrupted("command"))
    assert main(["devices"]) == 130
