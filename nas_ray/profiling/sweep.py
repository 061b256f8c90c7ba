"""Ask a back-end what each operator kind costs at 1, 2, 3, ... channels, and read the staircase."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from nas_ray.errors import MeasureError
from nas_ray.estimate.operator_table import Array
from nas_ray.graph import signature, trace
from nas_ray.measure.measurement import Measurement
from nas_ray.measure.workers import MeasureMany
from nas_ray.profiling.staircase import CHANNELS, period

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """One operator with a number of channels that varies; `sides` are those of its images.

    Two images, because a compiler may split one of them in a way that hides the steps.
    """

    make: Callable[[int, int], tuple[nn.Module, Shape]]
    sides: tuple[int, ...]

    def signatures(self, side: int) -> list[str]:
        """One operator for each of `CHANNELS`."""
        found = []
        for channels in CHANNELS:
            with torch.device("meta"):
                module, shape = self.make(channels, side)
                found.append(signature(trace(module, torch.empty(shape))))
        return found


def _convolution(channels: int, side: int) -> tuple[nn.Module, Shape]:
    return nn.Conv2d(32, channels, 3, padding=1), (1, 32, side, side)


def _pointwise_in(channels: int, side: int) -> tuple[nn.Module, Shape]:
    return nn.Conv2d(channels, 64, 1), (1, channels, side, side)


def _pointwise_out(channels: int, side: int) -> tuple[nn.Module, Shape]:
    return nn.Conv2d(128, channels, 1), (1, 128, side, side)


def _depthwise(channels: int, side: int) -> tuple[nn.Module, Shape]:
    return nn.Conv2d(channels, channels, 3, padding=1, groups=channels), (1, channels, side, side)


def _linear(channels: int, _: int) -> tuple[nn.Module, Shape]:
    return nn.Linear(256, channels), (1, 256)


#: The operator kind whose period is the parallelism factor of the accelerator as a whole.
MAIN = "conv_out"
SWEEPS: Mapping[str, Sweep] = {
    MAIN: Sweep(make=_convolution, sides=(16, 32)),
    "pointwise_in": Sweep(make=_pointwise_in, sides=(8, 16)),
    "pointwise_out": Sweep(make=_pointwise_out, sides=(16, 28)),
    "depthwise": Sweep(make=_depthwise, sides=(12, 24)),
    "linear_out": Sweep(make=_linear, sides=(1,)),
}


def detect(
    measure_many: MeasureMany, on_progress: Callable[[int, int], None] | None = None
) -> dict[str, int | None]:
    """The period of each kind of `SWEEPS`, None where it shows no staircase.

    Raises MeasureError where most of a sweep cannot be measured.
    """
    keys = {name: [sweep.signatures(s) for s in sweep.sides] for name, sweep in SWEEPS.items()}
    wanted = [key for sweeps in keys.values() for sweep in sweeps for key in sweep]
    answers: dict[str, Measurement | str] = {}
    for done, (key, answer) in enumerate(measure_many(iter(wanted)), start=1):
        answers[key] = answer
        if on_progress:
            on_progress(done, len(wanted))
    return {name: period([_costs(sweep, answers) for sweep in keys[name]]) for name in keys}


def _costs(sweep: list[str], answers: Mapping[str, Measurement | str]) -> Array:
    """Latencies in the order of `sweep`; what could not be measured lies between its neighbours."""
    latencies = dict(_measured(sweep, answers))
    if len(latencies) < 0.9 * len(sweep):
        reasons = {a for a in (answers[key] for key in sweep) if isinstance(a, str)}
        raise MeasureError(
            f"the parallelism factor needs {len(sweep)} operators such as {sweep[-1]!r}, but "
            f"{len(sweep) - len(latencies)} could not be measured: {sorted(reasons)[:1]}. Write "
            "parallelism_factor into device.toml yourself."
        )
    return np.interp(np.arange(len(sweep)), list(latencies), list(latencies.values()))


def _measured(
    sweep: list[str], answers: Mapping[str, Measurement | str]
) -> Iterator[tuple[int, float]]:
    for place, key in enumerate(sweep):
        answer = answers[key]
        if isinstance(answer, Measurement):
            yield place, answer.latency_ms
