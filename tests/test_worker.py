"""The measuring process: whatever a back-end does costs one answer and never the caller.

The back-end below is a plug-in of its own kind: what it does is in its settings.
"""

import os
import sys
import time
import types

import pytest

from nas_ray.errors import MeasureError
from nas_ray.measure.measurement import Measurement
from nas_ray.measure.worker import Worker

TINY = "1x3x8x8; conv 0 > 1x4x8x8 w=12 m=768"


def misbehaving(graph, settings):
    """Exits, hangs, raises or refuses for the number of MACs that the settings say."""
    action = settings.get(str(graph.macs), "")
    if action == "exit":
        os._exit(7)
    if action == "hang":
        time.sleep(3600)
    if action == "raise":
        raise RuntimeError("a mistake inside the back-end")
    if action == "refuse":
        raise MeasureError("this one cannot be measured")
    return Measurement(
        latency_ms=graph.macs * settings["ms_per_mac"],
        peak_memory_bytes=os.getpid(),  # so that a test sees which process answered
        weight_bytes=graph.weight_elements,
        macs=graph.macs,
        cpu_operators=0,
    )


def line(macs):
    return f"1x3x8x8; conv 0 > 1x4x8x8 w=12 m={macs}"


@pytest.fixture(scope="module")
def worker():
    """1 MAC makes the process exit, 2 hang, 3 raise, 4 refuse; all others are measured."""
    settings = {"ms_per_mac": 0.5, "1": "exit", "2": "hang", "3": "raise", "4": "refuse"}
    with Worker(misbehaving, settings, timeout_s=1.0) as worker:
        yield worker


def test_one_process_outside_measures_one_subgraph_after_the_other(worker):
    answers = [worker.ask(line(macs)) for macs in (10, 20)]
    assert [answer.latency_ms for answer in answers] == [5.0, 10.0]
    assert answers[0].peak_memory_bytes == answers[1].peak_memory_bytes != os.getpid()


def test_a_back_end_that_refuses_says_why_and_lives_on(worker):
    before = worker.ask(line(10)).peak_memory_bytes
    assert worker.ask(line(4)) == "this one cannot be measured"
    assert worker.ask(line(10)).peak_memory_bytes == before


@pytest.mark.parametrize(
    ("macs", "reason"),
    [
        (1, "the back-end crashed (exit code 7)"),
        (2, "no answer within 1 s"),
        (3, "the back-end crashed (exit code 1)"),
    ],
    ids=["exits", "hangs", "raises"],
)
def test_a_lost_process_costs_one_answer_and_is_replaced(worker, macs, reason):
    before = worker.ask(line(10)).peak_memory_bytes
    assert worker.ask(line(macs)) == reason
    with pytest.raises(ProcessLookupError):
        os.kill(before, 0)
    assert worker.ask(line(10)).latency_ms == 5.0


def test_the_process_ends_with_its_worker():
    with Worker(misbehaving, {"ms_per_mac": 1.0}, timeout_s=30.0) as worker:
        process = worker.ask(line(10)).peak_memory_bytes
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_a_back_end_that_cannot_be_sent_is_refused_with_the_rule():
    with (
        Worker(lambda graph, settings: None, {}, timeout_s=1.0) as worker,
        pytest.raises(MeasureError, match="must be a function of a module that can be imported"),
    ):
        worker.ask(TINY)


def test_a_back_end_that_the_process_cannot_import_is_refused_with_the_rule(monkeypatch):
    """A module that exists in this process alone, as in a notebook."""
    module = types.ModuleType("only_here")
    exec("def backend(graph, settings): return None", module.__dict__)  # noqa: S102
    monkeypatch.setitem(sys.modules, "only_here", module)
    with (
        Worker(module.backend, {}, timeout_s=1.0) as worker,
        pytest.raises(MeasureError, match=r"ended before it began \(exit code 1\)"),
    ):
        worker.ask(TINY)
