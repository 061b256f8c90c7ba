"""The record of a search at a URI: what is uploaded, which copy is believed, who may write."""

import json
import pickle
import shutil
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from pyarrow.fs import FileSystemHandler, LocalFileSystem, PyFileSystem, SubTreeFileSystem

from nas_ray.cli import main
from nas_ray.errors import RecordError
from nas_ray.evolution.archive import Archive
from nas_ray.evolution.search import EvolutionarySearch
from nas_ray.objective import Objective
from nas_ray.record import Record
from nas_ray.storage import Place, as_place, lease, upload, working_folder

HEADER = {
    "space": {"name": "cells", "choices": {"a": {"options": [1, 2]}}},
    "objectives": [{"metric": "accuracy", "direction": "max"}],
    "seed": 0,
}


def start(number: int) -> dict:
    return {"event": "start", "trial": number, "config": {"a": number}, "origin": "evolution"}


def numbers(record: Record) -> list[int]:
    return [event["trial"] for event in record.events()]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("NAS_RAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(upload, "EVERY_S", 0.02)
    return tmp_path / "cache"


class SubTree:
    """A filesystem that is no LocalFileSystem, so that nothing is read or renamed on the disk."""

    def __call__(self, folder: Path) -> Place:
        folder.mkdir(parents=True, exist_ok=True)
        filesystem = SubTreeFileSystem(str(folder), LocalFileSystem())
        return Place(filesystem=filesystem, path="run", name=f"sub://{folder}/run")


@pytest.fixture(params=["file", "subtree"])
def storage(request, tmp_path) -> "str | Place":
    """A storage whose files are in tmp_path/remote/run."""
    if request.param == "file":
        return f"file://{tmp_path}/remote/run"
    return SubTree()(tmp_path / "remote")


@pytest.fixture
def remote(tmp_path) -> Path:
    return tmp_path / "remote" / "run"


def written(storage, *trials: int) -> Record:
    record = Record.open(storage, HEADER)
    with record.held():
        for number in trials:
            record.append(start(number))
    return record


def segments(remote: Path) -> list[str]:
    return sorted(path.name for path in (remote / "journal").glob("*.jsonl"))


def uploaded(remote: Path) -> bytes:
    return b"".join((remote / "journal" / name).read_bytes() for name in segments(remote))


def until(condition, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


# What is uploaded


def test_what_is_appended_is_at_the_place_when_the_search_ends(storage, remote):
    record = written(storage, 0, 1, 2)
    assert json.loads((remote / "record.json").read_text()) == record.header
    assert uploaded(remote) == (record.folder / "journal.jsonl").read_bytes()
    assert not (remote / "lease.json").exists()
    assert not list(remote.rglob("*.part"))


def test_what_is_appended_is_at_the_place_while_the_search_runs(storage, remote):
    record = Record.open(storage, HEADER)
    with record.held():
        for number in range(3):
            record.append(start(number))
            until(lambda: uploaded(remote) == (record.folder / "journal.jsonl").read_bytes())


def test_a_segment_ends_when_it_is_large_and_is_never_written_again(remote, storage, monkeypatch):
    monkeypatch.setattr(upload, "SEGMENT_BYTES", 300)
    record, kept = Record.open(storage, HEADER), {}
    with record.held():
        for number in range(20):
            record.append(start(number))
            until(lambda: uploaded(remote) == (record.folder / "journal.jsonl").read_bytes())
            for name in segments(remote)[:-1]:
                content = (remote / "journal" / name).read_bytes()
                assert kept.setdefault(name, content) == content
                # Up to the limit, and the event that went beyond it.
                assert 300 < len(content) < 300 + 120
    assert segments(remote)[:3] == ["000000.jsonl", "000001.jsonl", "000002.jsonl"]
    assert numbers(Record.read(storage)) == list(range(20))


def test_what_is_uploaded_is_in_proportion_to_what_changed(tmp_path, monkeypatch):
    monkeypatch.setattr(upload, "SEGMENT_BYTES", 300)
    counting = Faulty(tmp_path / "counted")
    record = Record.open(counting.place, HEADER)
    with record.held():
        for number in range(40):
            record.append(start(number))
            until(lambda: record._upload._uploaded.size == size(record))
    # Each event is written again at most until its segment, of 300 bytes and one event, is full.
    assert counting.bytes_written["journal"] < size(record) * (300 + 120) / 80


def size(record: Record) -> int:
    return (record.folder / "journal.jsonl").stat().st_size


def test_what_is_made_from_the_record_is_uploaded_at_the_end(storage, remote):
    record = Record.open(storage, HEADER)
    with record.held():
        (record.folder / "report.html").write_text("a page")
    assert (remote / "report.html").read_text() == "a page"


def test_a_record_at_a_uri_is_written_to_only_while_it_is_held(storage):
    record = written(storage, 0)
    with pytest.raises(RecordError, match=r"must be held .* Write inside `with record\.held\(\):`"):
        record.append(start(1))


def test_a_record_at_a_uri_pickles_while_it_is_held(storage):
    record = Record.open(storage, HEADER)
    with record.held():
        copy = pickle.loads(pickle.dumps(record))  # noqa: S301 - our own
    assert (copy.folder, copy.name, copy.header) == (record.folder, record.name, record.header)


# Which copy is believed


def test_a_search_whose_machine_is_lost_goes_on_from_what_is_uploaded(storage, remote, cache):
    written(storage, 0, 1)
    shutil.rmtree(cache)
    record = written(storage, 2)
    assert numbers(record) == numbers(Record.read(storage)) == [0, 1, 2]


def test_a_working_folder_that_is_older_is_brought_up_to_date(storage, cache, tmp_path):
    written(storage, 0)
    shutil.copytree(cache, tmp_path / "older")
    written(storage, 1)
    shutil.rmtree(cache)
    shutil.move(tmp_path / "older", cache)
    assert numbers(written(storage, 2)) == [0, 1, 2]
    assert numbers(Record.read(storage)) == [0, 1, 2]


def test_a_working_folder_that_is_newer_is_uploaded(storage, remote):
    record = written(storage, 0)
    with (record.folder / "journal.jsonl").open("a") as journal:
        journal.write(json.dumps(start(1)) + "\n")
    assert numbers(Record.read(storage)) == [0, 1]
    assert b'"trial": 1' not in uploaded(remote)
    written(storage, 2)
    assert [json.loads(line)["trial"] for line in uploaded(remote).splitlines()] == [0, 1, 2]


@pytest.mark.parametrize("attempt", [Record.read, lambda s: Record.open(s, HEADER)])
def test_two_journals_that_went_different_ways_are_refused(storage, cache, tmp_path, attempt):
    written(storage, 0)
    shutil.copytree(cache, tmp_path / "other")
    written(storage, 1)
    shutil.rmtree(cache)
    shutil.move(tmp_path / "other", cache)
    folder = Record.read(storage).folder.parents[1] / "runs"
    (journal,) = folder.glob("*/journal.jsonl")
    journal.write_text(journal.read_text() + json.dumps(start(7)) + "\n")
    with pytest.raises(RecordError, match=rf"two searches .* Delete {folder}/run-\w+ to go on"):
        attempt(storage)


def test_another_search_at_the_place_is_refused_by_the_setting_that_differs(storage, cache):
    written(storage, 0)
    with pytest.raises(RecordError, match="holds another search: its seed is 0, but this one"):
        Record.open(storage, {**HEADER, "seed": 1})
    shutil.rmtree(cache)
    with pytest.raises(RecordError, match="holds another search: its seed is 0, but this one"):
        Record.open(storage, {**HEADER, "seed": 1})


def test_a_search_that_could_not_begin_leaves_the_place_to_others(storage, remote):
    Record.open(storage, HEADER)
    assert not remote.exists()
    assert Record.open(storage, {**HEADER, "seed": 1}).header["seed"] == 1


def test_a_search_that_began_since_the_record_was_opened_is_noticed(storage, monkeypatch, tmp_path):
    record = Record.open(storage, HEADER)
    monkeypatch.setenv("NAS_RAY_CACHE", str(tmp_path / "other"))
    with Record.open(storage, {**HEADER, "seed": 1}).held():
        pass
    monkeypatch.setenv("NAS_RAY_CACHE", str(tmp_path / "cache"))
    with pytest.raises(RecordError, match="holds another search: its seed is 1, but this one"):
        record.held().__enter__()


@pytest.mark.parametrize("left", [5, -1], ids=["after-it-began", "without-its-end"])
def test_an_upload_that_was_torn_is_ignored_and_written_anew(storage, remote, cache, left):
    written(storage, 0, 1)
    path = remote / "journal" / "000000.jsonl"
    whole = path.read_bytes()
    second = whole.index(b"\n") + 1
    path.write_bytes(whole[: second + left] if left > 0 else whole[:left])
    shutil.rmtree(cache)
    assert numbers(Record.read(storage)) == [0]
    assert numbers(written(storage, 2)) == [0, 2]
    assert [json.loads(line)["trial"] for line in uploaded(remote).splitlines()] == [0, 2]


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b'{"event"')])
def test_a_segment_missing_or_torn_before_others_is_refused(storage, remote, monkeypatch, damage):
    monkeypatch.setattr(upload, "SEGMENT_BYTES", 1)
    record = Record.open(storage, HEADER)
    with record.held():
        for number in range(3):
            record.append(start(number))
            until(lambda n=number: record._upload._uploaded.last == n + 1)
    damage(remote / "journal" / "000001.jsonl")
    with pytest.raises(RecordError, match=r"is damaged: journal/000001\.jsonl is missing or torn"):
        Record.read(storage)


# Reading


def test_reading_needs_no_right_to_write_and_sees_a_search_that_runs_elsewhere(
    storage, remote, monkeypatch, tmp_path
):
    record = Record.open(storage, HEADER)
    with record.held():
        record.append(start(0))
        until(lambda: b'"trial": 0' in uploaded(remote))
        monkeypatch.setenv("NAS_RAY_CACHE", str(tmp_path / "of another machine"))
        before = sorted(remote.rglob("*"))
        seen = Record.read(storage)
        assert numbers(seen) == [0]
        assert seen.is_held
        assert not (tmp_path / "of another machine" / "runs").exists()
        assert sorted(remote.rglob("*")) == before
        monkeypatch.setenv("NAS_RAY_CACHE", str(tmp_path / "cache"))
    assert not seen.is_held


def test_reading_where_nothing_is_names_the_uri_and_leaves_nothing(storage, remote):
    with pytest.raises(RecordError, match=r"/run holds no search: record\.json is missing"):
        Record.read(storage)
    assert not remote.exists()


def test_status_and_report_take_a_uri(tmp_path, capsys):
    uri = f"file://{tmp_path}/remote/run"
    written(uri, 0)
    assert main(["status", uri, "--json"]) == 0
    status = json.loads(capsys.readouterr().out.splitlines()[-1])[uri]
    assert (status["is_running"], status["funnel"]["running"]) == (False, 1)
    assert main(["report", uri, "--to", str(tmp_path / "page.html")]) == 0
    assert uri in (tmp_path / "page.html").read_text()
    capsys.readouterr()
    assert main(["report", uri, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (shown["folder"], Path(shown["report"]).is_file()) == (uri, True)
    assert not (tmp_path / "remote/run/report.html").exists()


# Checkpoints


def result(checkpoint: str) -> dict:
    event = {"event": "result", "trial": 0, "epoch": 1, "metrics": {"accuracy": 0.5}}
    return {**event, "checkpoint": checkpoint}


def with_checkpoint(storage, checkpoint: str) -> Record:
    record = Record.open(storage, HEADER)
    with record.held():
        record.append(start(0))
        record.append(result(checkpoint))
    return record


def test_the_files_of_a_checkpoint_are_read_from_the_place(storage, remote):
    record = with_checkpoint(storage, "checkpoints/a/1")
    (remote / "checkpoints/a/1").mkdir(parents=True)
    (remote / "checkpoints/a/1/network.pt").write_bytes(b"weights")
    place = record.checkpoint(record.trials()[0])
    assert place.name == f"{record.name}/checkpoints/a/1"
    with place.file("network.pt") as path:
        assert path.read_bytes() == b"weights"
    with pytest.raises(FileNotFoundError), place.file("trainer.ckpt"):
        pass


@pytest.mark.parametrize("name", ["../elsewhere", "/etc/passwd", "checkpoints/../../up"])
def test_a_checkpoint_outside_the_place_is_refused(storage, name):
    record = with_checkpoint(storage, name)
    with pytest.raises(RecordError, match="lies outside"):
        record.checkpoint(record.trials()[0])


def test_a_checkpoint_at_a_uri_is_no_path_of_this_machine(storage):
    record = with_checkpoint(storage, "checkpoints/a/1")
    with pytest.raises(RecordError, match=r"Read its files with record\.checkpoint"):
        record.checkpoint_path(record.trials()[0])


# Who may write


def test_a_second_search_on_another_machine_is_refused_with_who_holds_the_place(
    storage, monkeypatch, tmp_path
):
    with Record.open(storage, HEADER).held():
        monkeypatch.setenv("NAS_RAY_CACHE", str(tmp_path / "other"))
        other = Record.open(storage, HEADER)
        with pytest.raises(RecordError, match=r"another search is writing .*process \d+ on"):
            other.held().__enter__()
        monkeypatch.setenv("NAS_RAY_CACHE", str(tmp_path / "cache"))


def test_a_second_search_on_the_same_machine_is_refused(storage):
    with Record.open(storage, HEADER).held():
        second = Record.open(storage, HEADER)
        with pytest.raises(RecordError, match="another search is writing to"):
            second.held().__enter__()


def leave_lease(remote: Path, age_s: float) -> None:
    remote.mkdir(parents=True, exist_ok=True)
    left = {"host": "gone", "pid": 7, "owner": "another", "time": time.time() - age_s}
    (remote / "lease.json").write_text(json.dumps(left))


def test_a_lease_that_was_not_renewed_is_nobodys(storage, remote):
    leave_lease(remote, age_s=lease.LASTS_S - 5)
    record = Record.open(storage, HEADER)
    assert record.is_held
    with pytest.raises(RecordError, match=r"process 7 on gone, 5\d s ago.* forgotten after 60 s"):
        record.held().__enter__()
    leave_lease(remote, age_s=lease.LASTS_S + 1)
    assert not record.is_held
    with record.held():
        assert record.is_held


def test_a_search_that_was_killed_begins_again_on_its_machine_without_waiting(storage, remote):
    record = Record.open(storage, HEADER)
    with record.held():
        left = (remote / "lease.json").read_text()
    (remote / "lease.json").write_text(left)
    assert record.is_held
    with Record.open(storage, HEADER).held():
        pass
    assert not record.is_held


def test_a_search_whose_place_was_taken_over_ends_and_uploads_nothing_more(
    storage, remote, monkeypatch
):
    monkeypatch.setattr(upload, "RENEWED_EVERY_S", 0.0)
    record = Record.open(storage, HEADER)

    def search() -> None:
        with record.held():
            record.append(start(0))
            until(lambda: b'"trial": 0' in uploaded(remote))
            leave_lease(remote, age_s=0)
            until(lambda: record.fault is not None)
            record.append(start(1))

    with pytest.raises(RecordError, match=r"another search took over .*process 7 on gone"):
        search()
    assert b'"trial": 1' not in uploaded(remote)
    assert json.loads((remote / "lease.json").read_text())["owner"] == "another"


# Where it cannot be written


class Handler(FileSystemHandler):
    """The files of one folder, as a store that can be switched off and counts what it is sent."""

    def __init__(self, folder: Path) -> None:
        self.inner = SubTreeFileSystem(str(folder), LocalFileSystem())
        self.fails = False
        self.bytes_written: dict[str, int] = {}

    def get_type_name(self):
        return "faulty"

    def normalize_path(self, path):
        return path

    def get_file_info(self, paths):
        return self.inner.get_file_info(paths)

    def get_file_info_selector(self, selector):
        return self.inner.get_file_info(selector)

    def create_dir(self, path, recursive):
        self._writes(path)
        self.inner.create_dir(path, recursive=recursive)

    def open_input_stream(self, path):
        return self.inner.open_input_stream(path)

    def open_output_stream(self, path, metadata):
        self._writes(path)
        return Counting(self, path)

    def delete_file(self, path):
        self._writes(path)
        self.inner.delete_file(path)

    def _writes(self, path: str) -> None:
        if self.fails:
            raise PermissionError(f"no right to write {path}")

    def _unused(self, *_):
        raise NotImplementedError

    copy_file = move = delete_dir = delete_dir_contents = delete_root_dir_contents = _unused
    open_append_stream = open_input_file = _unused


def Counting(handler: Handler, path: str):  # noqa: N802 - stands for a stream
    import pyarrow as pa  # noqa: PLC0415

    class Stream:
        closed = False

        def __init__(self) -> None:
            self.inner = handler.inner.open_output_stream(path)

        def write(self, content):
            kind = path.split("/")[1]
            sent = handler.bytes_written
            sent[kind] = sent.get(kind, 0) + len(content)
            self.inner.write(content)
            return len(content)

        def flush(self):
            self.inner.flush()

        def close(self):
            self.closed = True
            self.inner.close()

    return pa.PythonFile(Stream(), mode="w")


class Faulty:
    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.handler = Handler(folder)
        self.bytes_written = self.handler.bytes_written
        filesystem = PyFileSystem(self.handler)
        self.place = Place(filesystem=filesystem, path="run", name="faulty://run")

    @contextmanager
    def off(self):
        self.handler.fails = True
        try:
            yield
        finally:
            self.handler.fails = False


@pytest.fixture
def faulty(tmp_path) -> Faulty:
    return Faulty(tmp_path / "remote")


def test_a_place_that_cannot_be_written_is_refused_before_anything_happens(faulty):
    record = Record.open(faulty.place, HEADER)
    with (
        faulty.off(),
        pytest.raises(RecordError, match=r"faulty://run cannot be written: no right"),
    ):
        record.held().__enter__()


def test_uploads_that_fail_for_a_while_are_made_up_for(faulty, remote):
    record = Record.open(faulty.place, HEADER)
    with record.held():
        with faulty.off():
            record.append(start(0))
            until(lambda: record._upload._failing_since is not None)
            record.append(start(1))
        until(lambda: record._upload._failing_since is None)
        assert record.fault is None
    assert [json.loads(line)["trial"] for line in uploaded(remote).splitlines()] == [0, 1]


def test_uploads_that_fail_for_too_long_end_the_search_and_lose_nothing(
    faulty, remote, monkeypatch
):
    monkeypatch.setattr(upload, "GIVE_UP_AFTER_S", 0.1)
    record = Record.open(faulty.place, HEADER)
    search = EvolutionarySearch(
        cells(), objectives=[Objective("accuracy", "max")], costs=lambda _: {}, surrogate=False
    )

    def run() -> None:
        with record.held(), faulty.off():
            archive = Archive(search, max_epochs=3, record=record)
            archive.begin_run(trials=2)
            until(lambda: record.fault is not None)
            archive.require_upload()
            assert archive.interrupted
            assert archive.fault is record.fault
            raise archive.fault

    with pytest.raises(RecordError, match=r"could not be written for .*the same command") as told:
        run()
    assert "no right to write" in str(told.value)
    assert str(record.folder) in str(told.value)
    with Record.open(faulty.place, HEADER).held():
        pass
    assert json.loads(uploaded(remote))["event"] == "run"


def cells():
    from nas_ray import Categorical, SearchSpace  # noqa: PLC0415

    return SearchSpace(name="cells", choices={"a": Categorical(1, 2)})


def test_what_cannot_be_uploaded_at_the_end_is_told(faulty, monkeypatch):
    monkeypatch.setattr(upload, "GIVE_UP_AFTER_S", 0.1)
    record = Record.open(faulty.place, HEADER)

    def search() -> None:
        with record.held():
            faulty.handler.fails = True
            record.append(start(0))

    with pytest.raises(RecordError, match="could not be written"):
        search()


# URIs


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("nope://x/y", "that pyarrow.fs knows .* nope://x/y is none: Unrecognized filesystem type"),
        ("s3:///", "is none: Missing bucket name"),
        ("s3://b/run?colour=red", "is none: Unexpected query parameter"),
    ],
)
def test_a_uri_that_names_no_place_is_refused(uri, message):
    with pytest.raises(RecordError, match=message):
        Record.read(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "s3://AKIA:HUSH@bucket/run",
        "s3://AKIA:HU/HUSH@bucket/run?region=eu-west-1",
        "s3://HUSH@bucket/run",
        "s3://bucket/run?access_key=HUSH",
        "s3://bucket/run?session_token=HUSH",
        "abfs://:HUSH@account/run",
    ],
)
def test_a_uri_with_credentials_is_refused_and_not_repeated(uri, capsys):
    with pytest.raises(RecordError, match="must not hold credentials") as told:
        Record.read(uri)
    assert "HUSH" not in str(told.value)
    assert told.value.__cause__ is None


def test_the_query_of_a_uri_is_not_shown_but_makes_it_another_place():
    query = "?scheme=http&endpoint_override=127.0.0.1:5000"
    one, other = as_place(f"s3://bucket/run/{query}"), as_place("s3://bucket/run?region=eu-west-1")
    assert (one.name, one.path) == ("s3://bucket/run", "bucket/run")
    assert working_folder(one) != working_folder(other)
    assert working_folder(one) == working_folder(as_place(f"s3://bucket/run{query}"))


@pytest.mark.parametrize("folder", ["runs/digits", "/tmp/runs", Path("runs")])  # noqa: S108
def test_a_path_is_no_uri(folder):
    assert as_place(folder) is None
