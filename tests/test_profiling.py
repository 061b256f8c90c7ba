"""`profile`: every sample is measured once or reported lost, whatever the back-end does.

The back-end below is a plug-in of its own kind: it keeps a log of what it was asked, and
device.toml says at which call it misbehaves.
"""

import os
import time
from pathlib import Path

import numpy as np
import pytest

from nas_ray.errors import DeviceError, MeasureError
from nas_ray.graph import signature
from nas_ray.measure.measurement import Measurement
from nas_ray.measure.profiling import profile
from nas_ray.measure.sampling import sample_subgraphs
from nas_ray.measure.table import read_table, table_path

MULTIPLE = 8


def logging_backend(graph, settings):
    """One millisecond a million MACs, unless this call is to exit, hang, raise or use the host."""
    log = Path(settings["log"])
    calls = log.read_text(encoding="utf-8") if log.exists() else ""
    log.write_text(calls + signature(graph) + "\n", encoding="utf-8")
    action = settings["actions"].get(f"call{calls.count(chr(10)) + 1}", settings["usual"])
    if action == "exit":
        os._exit(3)
    if action == "hang":
        time.sleep(3600)
    if action == "raise":
        raise ValueError("a mistake inside the back-end")
    if action == "refuse":
        raise MeasureError("this one cannot be measured")
    return Measurement(
        latency_ms=(graph.macs + 1) / 1e6,
        peak_memory_bytes=1,
        weight_bytes=graph.weight_elements,
        macs=graph.macs,
        cpu_operators=2 if action == "host" else 0,
    )


class Workplace:
    """A device folder whose back-end keeps a log."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder / "device", folder / "log"
        self.folder.mkdir()
        self.behave()

    def behave(self, usual="measure", **actions) -> None:
        """From now on do `usual`, except at the calls named; the log begins anew."""
        lines = [f'{name} = "{action}"' for name, action in actions.items()]
        text = (
            f"clock_hz = 1e9\nparallelism_factor = {MULTIPLE}\n[measure]\nbackend = 'vela'\n"
            f"log = '{self.log}'\nusual = '{usual}'\n[measure.actions]\n"
        )
        (self.folder / "device.toml").write_text(text + "\n".join(lines), encoding="utf-8")
        self.log.unlink(missing_ok=True)

    def profile(self, count, **options):
        options = {"timeout_s": 0.5, "backend": logging_backend, **options}
        return profile(self.folder, count, seed=4, **options)

    def asked(self):
        return self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []

    def rows(self):
        return [row.signature for row in read_table(table_path(self.folder))]


@pytest.fixture
def place(tmp_path):
    return Workplace(tmp_path)


def samples(count):
    graphs = sample_subgraphs(count, np.random.default_rng(4), MULTIPLE)
    return [signature(graph) for graph in graphs]


def test_each_lost_sample_costs_one_row_and_is_reported_and_asked_again_next_time(place):
    wanted = samples(7)
    place.behave(call2="exit", call4="hang", call5="raise", call6="refuse")
    report = place.profile(7)
    assert place.asked() == wanted
    assert report.failed == (
        (wanted[1], "the back-end crashed (exit code 3)"),
        (wanted[3], "no answer within 0.5 s"),
        (wanted[4], "the back-end crashed (exit code 1)"),
        (wanted[5], "this one cannot be measured"),
    )
    assert (report.rows, report.added) == (3, 3)
    assert place.rows() == [wanted[0], wanted[2], wanted[6]]

    place.behave()
    again = place.profile(7)
    assert place.asked() == [wanted[1], *wanted[3:6]]
    assert (again.rows, again.added, again.failed) == (7, 4, ())
    assert sorted(place.rows()) == sorted(wanted)


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


def test_what_runs_on_the_host_is_lost_because_its_time_is_not_counted(place):
    place.behave(call1="host")
    report = place.profile(2)
    assert report.failed == ((samples(1)[0], "2 operators run on the host processor"),)
    assert place.rows() == samples(2)[1:]


def test_a_back_end_that_measures_nothing_at_all_is_an_error_with_its_reason(place):
    place.behave(usual="refuse")
    with pytest.raises(MeasureError, match=r"none of 2 .* could be measured: this one"):
        place.profile(2)


def test_an_unknown_back_end_is_refused_with_those_there_are(place):
    path = place.folder / "device.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("vela", "vella"), encoding="utf-8")
    with pytest.raises(DeviceError, match="'vella' is unknown: did you mean 'vela'"):
        place.profile(1, backend=None)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("clock_hz = 1e9\n[measure]", "'parallelism_factor' is missing"),
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
        place.profile(1)
    assert place.asked() == []
