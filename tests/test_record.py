"""The record: what was appended is read back, whatever happens in between."""

import json
import resource
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from nas_ray.errors import RecordError
from nas_ray.record import Batch, Record, Trial

HEADER = {"seed": 0, "space": {"name": "cells", "choices": {"a": [1, 2]}}, "bounds": (1, 2)}
START = {
    "event": "start",
    "trial": 0,
    "config": {"a": 1},
    "origin": "baseline",
    "costs": {"latency_ms": 1.5},
    "scores": {"synflow": 3.0},
}
FIRST = {
    "event": "result",
    "trial": 0,
    "epoch": 1,
    "metrics": {"accuracy": 0.5},
    "checkpoint": "checkpoints/a/1",
}
SECOND = {**FIRST, "epoch": 2, "metrics": {"accuracy": 0.7}, "checkpoint": "checkpoints/a/2"}
END = {"event": "end", "trial": 0, "status": "completed", "error": ""}
TEST = {"event": "test", "trial": 0, "metrics": {"test_accuracy": 0.6}}
EVENTS = [START, FIRST, SECOND, END, TEST]


def written(folder: Path, events: list[dict]) -> Record:
    record = Record.open(folder, HEADER)
    for event in events:
        record.append(event)
    return record


def events(record: Record) -> list[dict]:
    """What happened, without when."""
    return [{k: v for k, v in event.items() if k != "time"} for event in record.events()]


def test_every_event_has_its_time(tmp_path):
    before = time.time()
    times = [event["time"] for event in written(tmp_path, EVENTS).events()]
    assert before - 0.001 <= times[0] <= times[-1] <= time.time() + 0.001
    assert times == sorted(times)


def test_whether_a_search_writes_to_the_folder_is_known_without_being_in_its_way(tmp_path):
    record = written(tmp_path, EVENTS)
    assert not record.is_held
    with Record.open(tmp_path, HEADER).held():
        assert record.is_held
    assert not record.is_held
    (tmp_path / ".lock").unlink()
    assert not record.is_held


def test_what_is_appended_is_read_back(tmp_path):
    written(tmp_path / "run", EVENTS)
    record = Record.read(tmp_path / "run")
    (trial,) = record.trials().values()
    assert trial == Trial(
        number=0,
        config={"a": 1},
        origin="baseline",
        costs={"latency_ms": 1.5},
        scores={"synflow": 3.0},
        status="completed",
        curve={1: {"accuracy": 0.5}, 2: {"accuracy": 0.7}},
        test={"test_accuracy": 0.6},
        checkpoint="checkpoints/a/2",
    )
    assert (trial.epoch, trial.metrics) == (2, {"latency_ms": 1.5, "accuracy": 0.7})
    assert events(record) == EVENTS


def test_opening_again_goes_on_in_the_same_journal(tmp_path):
    written(tmp_path, EVENTS[:2])
    assert events(written(tmp_path, EVENTS[2:])) == EVENTS


@pytest.mark.parametrize("repeated", EVENTS, ids=lambda e: f"{e['event']}-{e.get('epoch', '')}")
@pytest.mark.parametrize("at_once", [True, False], ids=["at-once", "at-the-end"])
def test_reading_an_event_twice_changes_nothing(tmp_path, repeated, at_once):
    position = EVENTS.index(repeated) if at_once else len(EVENTS)
    twice = [*EVENTS[:position], repeated, *EVENTS[position:]]
    once = written(tmp_path / "once", EVENTS).trials()
    assert written(tmp_path / "twice", twice).trials() == once


def test_a_batch_is_counted_once_for_its_draws(tmp_path):
    batch = {"event": "batch", "draws": 256, "costed": 256, "feasible": 90, "scored": 48}
    survivors = [{"config": {"a": 2}, "costs": {}, "scores": {}}]
    record = written(tmp_path, [{**batch, "survivors": survivors}] * 2)
    expected = Batch(draws=256, costed=256, feasible=90, scored=48, survivors=tuple(survivors))
    assert record.batches() == (expected,)


@pytest.mark.parametrize("torn", ['{"event": "end", "tri', "{", '{"event": "end"}'])
def test_a_line_without_its_end_is_ignored_and_cut_off_on_opening(tmp_path, torn):
    record = written(tmp_path, [START, FIRST])
    with (tmp_path / "journal.jsonl").open("a") as journal:
        journal.write(torn)
    assert events(record) == [START, FIRST]
    Record.open(tmp_path, HEADER).append(SECOND)
    assert events(record) == [START, FIRST, SECOND]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("not json", "line 2 is not JSON"),
        ("5", "line 2 is not an event: 5"),
        ('{"trial": 0}', "line 2 is not an event"),
        (json.dumps({**END, "trial": 9}), "cannot be used: its trial never started"),
        (json.dumps({**FIRST, "metrics": {"accuracy": "high"}}), "line 2 is not an event"),
        (json.dumps({**START, "trial": 1, "costs": [1]}), "line 2 is not an event"),
        (json.dumps({"event": "end", "trial": 0}), "cannot be used: it lacks 'status'"),
        (json.dumps({**START, "trial": 1, "colour": 1}), "cannot be used: .*colour"),
        ("\udcff", "line 2 is not JSON"),
    ],
)
def test_a_whole_line_that_is_no_event_is_refused(tmp_path, line, message):
    record = written(tmp_path, [START])
    with (tmp_path / "journal.jsonl").open("a", errors="surrogateescape") as journal:
        journal.write(line + "\n")
    with pytest.raises(RecordError, match=message):
        record.trials()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "its seed is 0, but this one has 1"),
        ({"space": {"name": "other", "choices": {}}}, "its space is cells with 1 choices"),
        ({"max_epochs": 9}, "its max_epochs is None, but this one has 9"),
    ],
)
def test_another_search_is_refused_by_the_setting_that_differs(tmp_path, change, message):
    Record.open(tmp_path, HEADER)
    with pytest.raises(RecordError, match=message):
        Record.open(tmp_path, {**HEADER, **change})


def test_the_version_of_the_package_does_not_make_it_another_search(tmp_path):
    Record.open(tmp_path, {**HEADER, "nas_ray": "0.1.0"})
    assert Record.open(tmp_path, {**HEADER, "nas_ray": "0.2.0"}).header["nas_ray"] == "0.1.0"


@pytest.mark.parametrize("content", ['{"format": 2}', "[]", "7"])
def test_another_format_is_refused_with_both_numbers(tmp_path, content):
    (tmp_path / "record.json").write_text(content)
    for attempt in (lambda: Record.read(tmp_path), lambda: Record.open(tmp_path, HEADER)):
        with pytest.raises(RecordError, match=r"record format .+, but this version reads 1"):
            attempt()


def test_a_header_that_is_no_json_is_refused(tmp_path):
    (tmp_path / "record.json").write_text('{"format": 1,')
    with pytest.raises(RecordError, match="cannot be read"):
        Record.read(tmp_path)


def test_reading_where_nothing_is_says_what_is_missing(tmp_path):
    with pytest.raises(RecordError, match=r"holds no search: record\.json is missing"):
        Record.read(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match=r"storage folder .* cannot be written"):
        Record.open(tmp_path / "file", HEADER)


@pytest.mark.parametrize("name", ["../elsewhere", "/etc/passwd", "checkpoints/../../up"])
def test_a_checkpoint_outside_the_folder_is_refused(tmp_path, name):
    record = written(tmp_path / "run", [START, {**FIRST, "checkpoint": name}])
    with pytest.raises(RecordError, match="lies outside"):
        record.checkpoint_path(record.trials()[0])


def test_a_checkpoint_reached_through_a_link_out_of_the_folder_is_refused(tmp_path):
    record = written(tmp_path / "run", [START, {**FIRST, "checkpoint": "link/weights"}])
    (tmp_path / "run" / "link").symlink_to(tmp_path)
    with pytest.raises(RecordError, match="lies outside"):
        record.checkpoint_path(record.trials()[0])


def test_a_checkpoint_lies_in_the_folder(tmp_path):
    record = written(tmp_path, [START])
    assert record.checkpoint_path(record.trials()[0]) is None
    record.append(FIRST)
    assert record.checkpoint_path(record.trials()[0]) == tmp_path / "checkpoints/a/1"


def test_a_full_disk_is_told_with_the_way_on(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    record = Record.open(tmp_path, HEADER)
    (tmp_path / "journal.jsonl").symlink_to("/dev/full")
    with pytest.raises(RecordError, match=r"No space left.*run the same command again"):
        record.append(START)


def test_what_did_not_fit_on_the_disk_does_not_spoil_what_comes_after(tmp_path):
    record = written(tmp_path, [START])
    size = (tmp_path / "journal.jsonl").stat().st_size
    with at_most(size + 20), pytest.raises(RecordError, match="cannot be written"):
        record.append(FIRST)
    assert events(record) == [START]
    record.append(SECOND)
    assert events(record) == [START, SECOND]


@contextmanager
def at_most(size: int):
    """No file of this process can grow beyond `size` bytes, as on a disk that is full there."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
