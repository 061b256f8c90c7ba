"""Several measuring processes, here or on a Ray cluster: each answers once, crashes cost a sample.

The back-end exits for one number of MACs and refuses another, as its settings say.
"""

import os

import pytest
from test_worker import line, misbehaving

from nas_ray.errors import MeasureError
from nas_ray.measure.workers import local_workers
from nas_ray.tune.profiling import ray_workers

SETTINGS = {"ms_per_mac": 0.5, "13": "exit", "14": "refuse"}
EXPECTED = {line(n): n * 0.5 for n in range(10, 20) if n not in {13, 14}} | {
    line(13): "the back-end crashed (exit code 7)",
    line(14): "this one cannot be measured",
}


def answered(measure_many):
    pairs = list(measure_many(EXPECTED))
    assert len(pairs) == len(EXPECTED)
    return {key: a if isinstance(a, str) else a.latency_ms for key, a in pairs}


@pytest.mark.parametrize("workers", [1, 3])
def test_every_signature_is_answered_once(workers):
    with local_workers(misbehaving, SETTINGS, 20.0, workers) as measure_many:
        assert answered(measure_many) == EXPECTED


@pytest.mark.usefixtures("local_ray")
def test_on_ray_every_signature_is_answered_once():
    with ray_workers(misbehaving, SETTINGS, 20.0, workers=2) as measure_many:
        assert answered(measure_many) == EXPECTED


def test_nothing_is_taken_from_the_input_before_a_worker_is_free():
    """Or a profile that is killed would have chosen what it never measured."""
    taken = []

    def texts():
        for key in EXPECTED:
            taken.append(key)
            yield key

    with local_workers(misbehaving, SETTINGS, 20.0, 2) as measure_many:
        answers = measure_many(texts())
        next(answers)
        assert len(taken) <= 3
        answers.close()


def test_stopping_in_the_midst_ends_the_processes_at_once():
    with local_workers(misbehaving, {"ms_per_mac": 1.0, "11": "hang"}, 3600.0, 2) as measure_many:
        answers = measure_many([line(10), line(11), line(12)])
        _, first = next(answers)
        answers.close()
    with pytest.raises(ProcessLookupError):
        os.kill(first.peak_memory_bytes, 0)


@pytest.mark.usefixtures("local_ray")
def test_on_ray_a_back_end_that_cannot_run_at_all_is_an_error():
    def nowhere(graph, settings):
        return None

    with (
        ray_workers(nowhere, {}, 20.0, workers=1) as measure_many,
        pytest.raises(MeasureError, match="must be a function of a module"),
    ):
        list(measure_many([line(10)]))
