"""`profile`: every sample is measured once or reported lost, whatever the back-end does.

The back-end keeps a log of what it was asked, and a file beside it says at which call, or for which
subgraphs, it misbehaves.
"""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from logging_backend import logging_backend
from plain_device import PLAIN

from nas_ray.errors import DeviceError, MeasureError, RecordError
from nas_ray.graph import parse_signature
from nas_ray.measure.backends import read_settings
from nas_ray.measure.table import read_table, table_path
from nas_ray.measure.workers import local_workers
from nas_ray.profiling import Budget, loop, profile
from nas_ray.profiling.starting import starting_samples
from nas_ray.record import alone_in

MULTIPLE = 8
SEED = 4
#: A crash must be noticed within it on a busy machine; one test waits for it.
TIMEOUT_S = 3.0


class Workplace:
    """A device folder whose back-end keeps a log."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder / "device", folder / "log"
        self.behaviour = folder / "behaviour.json"
        self.folder.mkdir()
        (self.folder / "device.toml").write_text(
            f"{PLAIN}backend = 'vela'\nlog = '{self.log}'\nbehaviour = '{self.behaviour}'\n",
            encoding="utf-8",
        )
        self.behave()

    def behave(self, usual="measure", crashes_on=-1, sleep_s=0.0, **actions) -> None:
        """From now on do `usual`, except at the calls named; the log begins anew."""
        values = {"usual": usual, "crashes_on": crashes_on, "sleep_s": sleep_s, "actions": actions}
        self.behaviour.write_text(json.dumps(values), encoding="utf-8")
        self.log.unlink(missing_ok=True)

    def profile(self, count, *, workers=1, on_progress=None, **budget):
        settings, _ = read_settings(self.folder / "device.toml")
        with local_workers(logging_backend, settings, TIMEOUT_S, workers) as measure_many:
            return profile(
                self.folder,
                Budget(count=count, **budget),
                SEED,
                measure_many=measure_many,
                on_progress=on_progress,
            )

    def asked(self):
        return self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []

    def rows(self):
        return [row.signature for row in read_table(table_path(self.folder))]

    def failed(self):
        with (self.folder / "failed.csv").open(encoding="utf-8") as file:
            return {row["signature"]: row["reason"] for row in csv.DictReader(file)}


@pytest.fixture
def place(tmp_path):
    return Workplace(tmp_path)


def samples(count):
    stream = starting_samples(SEED, MULTIPLE)
    return [next(stream) for _ in range(count)]


def test_each_lost_sample_costs_one_row_and_is_reported_and_not_asked_again(place):
    wanted = samples(7)
    place.behave(call2="exit", call4="hang", call5="raise", call6="refuse")
    report = place.profile(7)
    assert place.asked() == wanted
    reasons = {
        wanted[1]: "the back-end crashed (exit code 3)",
        wanted[3]: "no answer within 3 s",
        wanted[4]: "the back-end crashed (exit code 1)",
        wanted[5]: "this one cannot be measured",
    }
    assert dict(report.failed) == place.failed() == reasons
    assert (report.rows, report.added, report.stopped) == (3, 3, "count")
    assert place.rows() == [wanted[0], wanted[2], wanted[6]]

    place.behave()
    again = place.profile(8)
    assert place.asked() == samples(8)[7:]
    assert (again.rows, again.added, dict(again.failed)) == (4, 1, reasons)


def test_without_failed_csv_what_failed_is_asked_again(place):
    place.behave(call2="refuse")
    place.profile(3)
    (place.folder / "failed.csv").unlink()
    place.behave()
    assert place.profile(3).rows == 3
    assert place.asked() == samples(3)[1:2]


def test_an_interrupted_profile_goes_on_and_measures_nothing_twice(place):
    def interrupt(progress):
        if progress.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        place.profile(5, on_progress=interrupt)
    assert place.rows() == samples(5)[:3]
    seen = []
    assert place.profile(5, on_progress=seen.append).added == 2
    assert [(p.done, p.count, p.failed) for p in seen] == [(4, 5, 0), (5, 5, 0)]
    assert [place.asked().count(key) for key in samples(5)] == [1] * 5
    assert place.rows() == samples(5)

    finished = table_path(place.folder).read_bytes()
    report = place.profile(5)
    assert (report.rows, report.added, len(place.asked())) == (5, 0, 5)
    assert table_path(place.folder).read_bytes() == finished


KILLED = """
import sys
from test_profiling import Workplace
place = Workplace.__new__(Workplace)
from pathlib import Path
place.folder, place.log = Path(sys.argv[1]) / "device", Path(sys.argv[1]) / "log"
if __name__ == "__main__":
    place.profile(60, workers=int(sys.argv[2]))
"""


def test_kill_9_in_the_midst_loses_nothing_and_the_same_call_ends_alike(tmp_path, place):
    """What was asked and not answered when it was killed is asked again: one a worker at most."""
    workers = 2
    place.behave(sleep_s=0.02)
    script = tmp_path / "killed.py"
    script.write_text(KILLED, encoding="utf-8")
    paths = os.pathsep.join([str(Path(__file__).parents[1]), str(Path(__file__).parent)])
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path), str(workers)],
        env={**os.environ, "PYTHONPATH": paths},
    )
    deadline = time.monotonic() + 120
    while len(place.asked()) < 15 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    kept = place.rows()
    assert len(kept) >= 15 - workers
    report = place.profile(60, workers=workers)
    assert report.rows == 60
    assert sorted(place.rows()) == sorted(samples(60))
    assert place.rows()[: len(kept)] == kept
    counts = [place.asked().count(key) for key in samples(60)]
    assert sum(counts) <= 60 + workers
    assert all(place.asked().count(key) == 1 for key in kept)


def test_two_profiles_do_not_write_to_one_folder(place):
    with (
        alone_in(place.folder, "busy"),
        pytest.raises(RecordError, match=r"another profile is writing to .*device"),
    ):
        place.profile(3)
    assert place.asked() == []
    assert place.profile(3).rows == 3


def test_two_workers_leave_the_same_rows_as_one(tmp_path):
    tables = []
    for workers in (1, 2):
        (tmp_path / str(workers)).mkdir()
        place = Workplace(tmp_path / str(workers))
        place.behave(crashes_on=2)
        report = place.profile(20, workers=workers)
        tables.append((set(read_table(report.table)), place.failed()))
    assert tables[0] == tables[1]
    rows, failed = tables[0]
    assert failed == dict.fromkeys(failed, "the back-end crashed (exit code -11)")
    assert {parse_signature(key).macs % 10 for key in failed} == {2}
    assert 0 < len(failed) < 8
    assert len(rows) + len(failed) == 20


def test_what_runs_on_the_host_is_lost_because_its_time_is_not_counted(place):
    place.behave(call1="host")
    report = place.profile(2)
    assert report.failed == ((samples(1)[0], "2 operators run on the host processor"),)
    assert place.rows() == samples(2)[1:]


def test_a_back_end_that_measures_nothing_at_all_is_an_error_with_its_reason(place):
    place.behave(usual="refuse")
    with pytest.raises(MeasureError, match=r"none of 2 .* could be measured: this one"):
        place.profile(2)
    place.behave()
    assert place.profile(2).rows == 2


def test_failures_in_a_row_stop_the_profile_and_are_not_held_against_the_samples(place):
    """The compiler was updated, the board unplugged: the same call goes on once that is mended."""
    place.behave(call4="exit", usual="measure")
    place.profile(6)
    place.behave(usual="refuse")
    with pytest.raises(MeasureError, match=r"30 subgraphs in a row .* because: this one cannot"):
        place.profile(200)
    assert len(place.asked()) == loop.FAILURES_IN_A_ROW
    assert len(place.failed()) == 1
    place.behave()
    assert place.profile(20).rows == 19
    assert place.asked() == samples(20)[6:]


def test_the_same_failure_from_the_first_on_stops_the_profile_early(place):
    """A wrong setting need not be tried on thirty samples."""
    place.behave(usual="refuse")
    with pytest.raises(MeasureError, match=r"5 subgraphs in a row .* because: this one cannot"):
        place.profile(200)
    assert len(place.asked()) == loop.ALIKE_FROM_THE_FIRST


def test_an_unknown_back_end_is_refused_with_those_there_are(place):
    path = place.folder / "device.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("vela", "vella"), encoding="utf-8")
    with pytest.raises(DeviceError, match="'vella' is unknown: did you mean 'vela'"):
        profile(place.folder, Budget(count=1))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("clock_hz = 1e9\n[measure]", "'parallelism_factor' is missing.*--detect"),
        ("parallelism_factor = 8\n[measure]", "'clock_hz' is missing"),
        ("clock_hz = 1e9\nparallelism_factor = 8", "'measure' is missing"),
        ("clock_hz = 1e9\nparallelism_factor = 0\n[measure]", "parallelism_factor must be"),
        ("clock_hz = 1e9\nparallelism_factor = 'x'\n[measure]", "parallelism_factor must be"),
        ("clock_hz = 1e9\nparallelism_factor = 8\nmeasure = 3", "measure must be a section"),
        ("clock_hz = ", "cannot be read"),
    ],
    ids=["no_factor", "no_clock", "no_section", "factor_0", "factor_text", "number", "not_toml"],
)
def test_an_unsound_profile_is_refused_before_anything_is_measured(place, text, rule):
    (place.folder / "device.toml").write_text(text, encoding="utf-8")
    with pytest.raises(DeviceError, match=rule):
        profile(place.folder, Budget(count=1))
    assert place.asked() == []
