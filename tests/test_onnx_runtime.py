"""A measurement on this machine: what must hold on any machine, however busy.

The margins are wide and no time is compared with a number: only work with sixteen times as much.
"""

import random
from math import comb

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("onnx", reason="the extra onnx is not installed")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

from nas_ray.errors import MeasureError
from nas_ray.graph import parse_signature, trace
from nas_ray.measure.backends import backend_of
from nas_ray.measure.onnx_runtime import median_interval, median_ms, onnx_runtime
from nas_ray.measure.this_machine import processor, runtime_version

SETTINGS = {"backend": "onnx_runtime", "threads": 1, "repeat_s": 0.2}


def convolution(channels, after, side):
    with torch.device("meta"):
        layer = nn.Conv2d(channels, after, 3, padding=1)
        return trace(layer, torch.empty(1, channels, side, side))


def test_sixteen_times_the_work_takes_longer():
    small, large = convolution(32, 32, 24), convolution(128, 128, 24)
    assert large.macs == 16 * small.macs
    times = [onnx_runtime(graph, SETTINGS).latency_ms for graph in (small, large)]
    assert np.isfinite(times).all()
    assert 0 < 2 * times[0] < times[1]


def test_memory_is_computed_in_numbers_of_four_bytes():
    found = onnx_runtime(convolution(8, 16, 10), SETTINGS)
    assert found.peak_memory_bytes == 4 * (8 + 16) * 10 * 10
    assert found.weight_bytes == 4 * (8 * 16 * 9 + 16)
    assert found.macs == 8 * 16 * 9 * 100


def test_a_subgraph_that_computes_nothing_still_takes_some_time():
    """A table holds latencies above 0, and two medians may be equal."""
    graph = trace(nn.Flatten(), torch.zeros(1, 4, 2))
    assert 0 < onnx_runtime(graph, SETTINGS).latency_ms < 1.0


def test_two_threads_are_measured_too():
    assert onnx_runtime(convolution(16, 16, 16), SETTINGS | {"threads": 2}).latency_ms > 0


@pytest.mark.parametrize("threads", [0, "2", True], ids=["none", "text", "bool"])
def test_threads_are_a_number_above_0(threads):
    with pytest.raises(MeasureError, match="threads must be an int above 0"):
        backend_of(SETTINGS | {"threads": threads})


@pytest.mark.parametrize(
    ("made", "rule"),
    [
        ({"version": "1.0.0"}, r"onnxruntime 1\.0\.0, but \d"),
        ({"processor": "Z80"}, "the processor 'Z80', but this one is '"),
    ],
    ids=["version", "processor"],
)
def test_a_table_begun_elsewhere_is_not_continued_here(made, rule):
    here = {"version": runtime_version(), "processor": processor()}
    assert backend_of(SETTINGS | here) is onnx_runtime
    with pytest.raises(MeasureError, match=rule):
        backend_of(SETTINGS | here | made)


def test_a_kind_that_onnx_does_not_have_is_named():
    graph = parse_signature("1x8x4x4; unknown 0 > 1x8x4x4")
    with pytest.raises(MeasureError, match="of kind 'unknown' has no ONNX form"):
        onnx_runtime(graph, SETTINGS)


class Clock:
    """Time that passes only in `run`, by the next of the durations, in nanoseconds."""

    def __init__(self, durations):
        self.now, self.runs, self.durations = 0, 0, durations

    def run(self):
        self.now += self.durations(self.runs)
        self.runs += 1


def test_a_steady_time_needs_no_more_than_the_fewest_runs():
    clock = Clock(lambda n: 3_000_000)
    assert median_ms(clock.run, 1.0, lambda: clock.now) == 3.0
    again = Clock(lambda n: 3_000_000)
    median_ms(again.run, 60.0, lambda: again.now)
    assert again.runs < 2_000_000  # the warm-up is in real time; a minute would be many millions


def test_outliers_leave_the_median_where_it_is():
    """One run in four is interrupted for a second."""
    clock = Clock(lambda n: 1_000_000_000 if n % 4 == 0 else 2_000_000)
    assert median_ms(clock.run, 1.0, lambda: clock.now) == 2.0


def test_a_time_that_does_not_settle_ends_with_the_time_given():
    noise = random.Random(0)
    clock = Clock(lambda n: noise.choice((1, 1_000_000)))
    assert median_ms(clock.run, 0.05, lambda: clock.now) in {1e-6, 1.0, 0.5000005}


@pytest.mark.parametrize("size", [11, 40, 101, 1000])
def test_the_interval_of_the_median_covers_95_percent(size):
    """Exactly: the binomial probability that the true median lies between the two ranks."""
    low, median, high = median_interval(list(range(size)))
    assert median == (size - 1) / 2
    inside = sum(comb(size, below) for below in range(int(low) + 1, int(high) + 1)) / 2**size
    assert 0.94 < inside < 0.99
