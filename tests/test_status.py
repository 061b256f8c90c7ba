"""How far a search is, by its folder alone."""

import json
from pathlib import Path

import pytest

from nas_ray.cli import main
from nas_ray.record import Record
from nas_ray.report import Doubtful, Funnel, status_of, status_text

HEADER = {
    "space": {"name": "cells", "choices": {}},
    "objectives": [
        {"metric": "accuracy", "direction": "max"},
        {"metric": "latency_ms", "direction": "min"},
    ],
}
BATCH = {
    "event": "batch",
    "draws": 0,
    "costed": 256,
    "feasible": 90,
    "scored": 48,
    "unbuildable": {"too deep": 6},
}


def trial(
    number: int, begun: float, ended: float | None, status: str = "completed", **costs: float
) -> list[dict]:
    """A trial of one epoch: accuracy and latency rise with its number, so all are on the front."""
    start = {"event": "start", "trial": number, "config": {"a": number}, "time": begun}
    start["costs"] = {"latency_ms": 1.0 + number, **costs}
    if ended is None:
        return [start]
    report = {"event": "result", "trial": number, "epoch": 1, "checkpoint": "", "time": ended}
    report["metrics"] = {"accuracy": 0.5 + number / 100}
    end = {"event": "end", "trial": number, "status": status, "error": "", "time": ended}
    return [start, report, end] if status == "completed" else [start, end]


def written(folder: Path, *events: dict) -> Record:
    """A record as a search would have written it at other times than now."""
    record = Record.open(folder, HEADER)
    (folder / "journal.jsonl").write_text("".join(json.dumps(e) + "\n" for e in events))
    return record


def some(folder: Path) -> Record:
    """Of 12 trials wanted, 4 have ended in the last run, 100 s apart, and one is open."""
    before = [{"event": "run", "trials": 4, "time": 0.0}, *trial(0, 0.0, 900.0)]
    ends = [event for n in (1, 2) for event in trial(n, 5000.0, 5000.0 + 100 * n)]
    return written(
        folder,
        *before,
        {"event": "run", "trials": 12, "time": 5000.0},
        {**BATCH, "time": 5001.0},
        *ends,
        *trial(3, 5100.0, 5300.0, "stopped"),
        *trial(4, 5100.0, 5400.0, "failed"),
        *trial(5, 5400.0, None),
    )


def test_by_hand(tmp_path):
    found = status_of(some(tmp_path))
    assert found.funnel == Funnel(
        costed=256,
        unbuildable=6,
        feasible=90,
        scored=48,
        trained=6,
        completed=3,
        stopped_early=1,
        failed=1,
        running=1,
    )
    assert (found.trials_wanted, found.trials_left, found.front) == (12, 7, 3)
    assert (found.is_running, found.last_event_s) == (False, 5400.0)
    assert found.trials_per_hour == pytest.approx(36)
    assert found.seconds_left == pytest.approx(700)


def test_it_says_so_in_words_dead_and_alive(tmp_path):
    record = some(tmp_path)
    dead = status_text(status_of(record)).splitlines()
    assert dead[0] == ("not running: 3 completed, 1 stopped early, 1 failed, 1 open, of 12 trials")
    assert dead[1] == "screened: 256 costed, 6 could not be built, 90 feasible, 48 scored"
    assert dead[2] == "36 trials an hour, 11 min 40 s left once it goes on"
    with record.held():
        alive = status_text(status_of(record)).splitlines()
    assert alive[0].startswith("running: 3 completed")
    assert "1 under way" in alive[0]
    assert alive[2] == "36 trials an hour, 11 min 40 s left"


def test_the_first_trial_of_a_run_is_timed_from_its_beginning(tmp_path):
    begun = {"event": "run", "trials": 3, "time": 100.0}
    record = written(tmp_path, begun, *trial(0, 100.0, 150.0))
    assert status_of(record).seconds_left == pytest.approx(100)


def test_only_the_last_trials_count(tmp_path):
    slow = [event for n in range(5) for event in trial(n, 0.0, 1000.0 * (n + 1))]
    fast = [event for n in range(5, 26) for event in trial(n, 0.0, 5000.0 + n)]
    record = written(tmp_path, {"event": "run", "trials": 30, "time": 0.0}, *slow, *fast)
    assert status_of(record).trials_per_hour == pytest.approx(3600)


@pytest.mark.parametrize(
    "events",
    [
        [],
        [{"event": "run", "trials": 3, "time": 1.0}],
        [{"event": "run", "trials": 3, "time": 1.0}, *trial(0, 1.0, None)],
        [e | {"time": 7.0} for e in [{"event": "run", "trials": 3}, *trial(0, 7.0, 7.0)]],
    ],
    ids=["nothing", "begun", "none_ended", "at_once"],
)
def test_with_too_little_to_tell_there_is_no_rate(tmp_path, events):
    found = status_of(written(tmp_path, *events))
    assert (found.trials_per_hour, found.seconds_left) == (None, None)
    assert "an hour" not in status_text(found)


def test_a_record_from_before_runs_were_noted_is_read_as_well(tmp_path):
    events = [{k: v for k, v in e.items() if k != "time"} for e in trial(0, 0.0, 1.0)]
    found = status_of(written(tmp_path, *events))
    assert (found.trials_wanted, found.last_event_s, found.front) == (None, None, 1)
    assert "of an unknown number of trials" in status_text(found)


def test_of_a_search_that_is_over_nothing_is_left(tmp_path):
    record = written(tmp_path, {"event": "run", "trials": 1, "time": 0.0}, *trial(0, 0.0, 10.0))
    assert status_text(status_of(record)).splitlines()[-1] == "360 trials an hour"


def test_networks_whose_latency_is_in_good_part_a_guess_are_counted_in_one_line(tmp_path):
    """More than a tenth outside the table: 2 of 5, 1 of them trained in full; 1 on the host."""
    events = [
        *trial(0, 0.0, 1.0),  # as it was written before shares were known
        *trial(1, 0.0, 1.0, outside_share=0.1),
        *trial(2, 0.0, 1.0, outside_share=0.11),
        *trial(3, 0.0, 1.0, "stopped", outside_share=1.0),
        *trial(4, 0.0, 1.0, outside_share=0.0, host_operators=1),
    ]
    found = status_of(written(tmp_path, *events))
    assert found.doubtful == Doubtful(trained=3, front=2)
    assert status_text(found).splitlines()[2] == (
        "latency in good part a guess: 3 of 5 trained networks, 2 of 4 on the front (more than "
        "10 % of it outside the table, or operators on the host processor)"
    )


@pytest.mark.parametrize("costs", [{}, {"outside_share": 0.05}], ids=["old_record", "little"])
def test_where_no_latency_is_a_guess_there_is_no_line(tmp_path, costs):
    found = status_of(written(tmp_path, *trial(0, 0.0, 1.0, **costs)))
    assert found.doubtful == Doubtful(trained=0, front=0)
    assert "guess" not in status_text(found)


def test_the_command_prints_every_folder_and_ends_with_json(tmp_path, capsys):
    folders = [str(tmp_path / name) for name in ("first", "second")]
    some(tmp_path / "first")
    written(tmp_path / "second", {"event": "run", "trials": 5, "time": 1.0})
    assert main(["status", *folders, "--json"]) == 0
    *shown, last = capsys.readouterr().out.splitlines()
    assert sum("not running:" in line for line in shown) == 2
    found = json.loads(last)
    assert list(found) == folders
    assert found[folders[0]]["trials_left"] == 7
    assert found[folders[0]]["funnel"]["stopped_early"] == 1


def test_a_folder_without_a_search_is_refused(tmp_path, capsys):
    assert main(["status", str(tmp_path)]) == 1
    assert "holds no search: record.json is missing" in capsys.readouterr().err
