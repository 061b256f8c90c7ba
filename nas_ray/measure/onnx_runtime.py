"""Measures a graph on this machine with onnxruntime: a measurement, not a model.

One number is the median of repeated runs, less what a call costs that computes nothing. Runs are
repeated until the median is known to 2 % or the time is over. One thread is timed by its own clock,
which stands still while other programs have the processor; more threads by that on the wall, and
then only an idle machine gives numbers that mean something.
"""

import math
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

from nas_ray.errors import MeasureError
from nas_ray.graph import Graph, parse_signature
from nas_ray.measure.formats import FORMATS
from nas_ray.measure.measurement import Measurement
from nas_ray.measure.onnx_writer import optional
from nas_ray.measure.this_machine import refuse_elsewhere

#: Half the 95 % interval of the median, relative to it, at which repeating ends.
TOLERANCE = 0.02
_WARM_UP_S = 0.02
_FEWEST_RUNS = 11
#: The least that a subgraph can take: a difference of two medians may be 0.
_RESOLUTION_MS = 1e-5
_NOTHING = "1x1; activation 0 > 1x1 act=relu"


def onnx_runtime(graph: Graph, settings: Mapping[str, Any]) -> Measurement:
    """The back-end `onnx_runtime` of a device.toml; `settings` is its section `[measure]`.

    `threads` (1 where it is not said) bounds onnxruntime, `repeat_s` (2) the time of the repeated
    runs, `weight_seed` (0) chooses the weights. Memory is computed from the shapes. Raises
    MeasureError without the extra `onnx`, for an operator that ONNX or onnxruntime does not have,
    for a setting out of range and for a table that was begun on another machine.
    """
    refuse_elsewhere(settings)
    threads, repeat_s = _threads(settings), float(settings.get("repeat_s", 2.0))
    model = FORMATS["onnx"].write(graph, int(settings.get("weight_seed", 0)))
    spent_ms = median_ms(_prepared(model, threads), repeat_s, _clock(threads)) - _call_ms(threads)
    return FORMATS["onnx"].timed(graph, max(spent_ms, _RESOLUTION_MS))


def check_onnx_runtime(settings: Mapping[str, Any]) -> None:
    """Raises what `onnx_runtime` would raise for every graph."""
    _threads(settings)
    optional("onnx")
    refuse_elsewhere(settings)


def median_ms(
    run: Callable[[], object], repeat_s: float, clock_ns: Callable[[], int] = time.perf_counter_ns
) -> float:
    """The median time of `run` by a monotonic clock, after a warm-up.

    Repeats until half the width of the median's 95 % confidence interval, taken between two order
    statistics, is at most 2 % of the median, or `repeat_s` seconds have passed; 11 runs at least.
    """
    _warm_up(run)
    times_ns: list[int] = []
    enough, deadline = _FEWEST_RUNS, time.monotonic() + repeat_s
    while True:
        start = clock_ns()
        run()
        times_ns.append(clock_ns() - start)
        is_over = time.monotonic() > deadline
        if len(times_ns) < _FEWEST_RUNS or (len(times_ns) < enough and not is_over):
            continue
        low, median, high = median_interval(times_ns)
        if is_over or (high - low) / 2 <= TOLERANCE * median:
            return median / 1e6
        enough = len(times_ns) * 3 // 2


def median_interval(values: list[int]) -> tuple[float, float, float]:
    """The median between the ends of its 95 % interval, free of any assumption on the noise.

    The number of values below the true median is binomial with p = 1/2: the ends are the values
    that lie 1.96 of its standard deviations, sqrt(N)/2 each, away from the middle.
    """
    ordered = np.sort(values)
    reach = 1.96 * math.sqrt(len(values)) / 2
    first = max(0, math.floor(len(values) / 2 - reach))
    last = min(len(values) - 1, math.ceil(len(values) / 2 + reach))
    return float(ordered[first]), float(np.median(ordered)), float(ordered[last])


def _warm_up(run: Callable[[], object]) -> None:
    deadline = time.monotonic() + _WARM_UP_S
    run()
    run()
    while time.monotonic() < deadline:
        run()


@cache
def _call_ms(threads: int) -> float:
    """What a call costs that computes nothing."""
    model = FORMATS["onnx"].write(parse_signature(_NOTHING), 0)
    return median_ms(_prepared(model, threads), 0.2, _clock(threads))


def _clock(threads: int) -> Callable[[], int]:
    # One thread computes in the thread that calls; onnxruntime has a pool for more.
    return time.thread_time_ns if threads == 1 else time.perf_counter_ns


def _prepared(model: bytes, threads: int) -> Callable[[], object]:
    """A call that runs `model` once; inputs and outputs are bound, so that no copy is timed."""
    runtime = optional("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    options.log_severity_level = 3
    rng = np.random.default_rng(0)
    try:
        session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        binding = session.io_binding()
        for tensor in session.get_inputs():
            values = rng.uniform(0.0, 1.0, tensor.shape)
            is_position = tensor.type == "tensor(int64)"
            values = values.astype(np.int64 if is_position else np.float32)
            binding.bind_cpu_input(tensor.name, values)
        for tensor in session.get_outputs():
            binding.bind_output(tensor.name)
        session.run_with_iobinding(binding)
    except Exception as error:
        raise MeasureError(f"onnxruntime refused the model: {error}") from error
    return lambda: session.run_with_iobinding(binding)


def _threads(settings: Mapping[str, Any]) -> int:
    threads = settings.get("threads", 1)
    if type(threads) is not int or threads < 1:
        raise MeasureError(f"[measure] threads must be an int above 0, but got {threads!r}.")
    return threads
