"""Ask a back-end what each operator kind costs at 1, 2, 3, ... channels, and read the staircase."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from nas_ray.errors import MeasureError
from nas_ray.estimate.operator_table import Array
from nas_ray.graph import signature, trace
from nas_ray.measure.measurement import Measurement
from nas_ray.measure.workers import MeasureMany
from nas_ray.profiling.staircase import (
    CHANNELS,
    COARSE,
    period,
    wide_period,
    worth_refining,
)

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """One operator with a number of channels that varies; `sides` are those of its images.

    Two images, because a compiler may split one of them in a way that hides the steps.
    """

    make: Callable[[int, int], tuple[nn.Module, Shape]]
    sides: tuple[int, ...]

    def signatures(self, side: int, counts: Iterable[int] = CHANNELS) -> list[str]:
        """One operator for each of the channel counts."""
        found = []
        for channels in counts:
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


#: Of a sweep, so much must be measured.
_LEAST_MEASURED = 0.9


def detect(
    measure_many: MeasureMany, on_progress: Callable[[int, int], None] | None = None
) -> dict[str, int | None]:
    """The period of each kind of `SWEEPS`, None where it shows no staircase.

    Periods up to 64 are read off 130 channel counts each; where there is none, up to 256 off some
    hundred more. Raises MeasureError where most of the first cannot be measured.
    """
    asked = _Asked(measure_many, on_progress)
    asked.measure(dict.fromkeys(SWEEPS, CHANNELS))
    found = {name: period([_costs(sweep) for sweep in asked.sweeps(name)]) for name in SWEEPS}
    narrow = [name for name in SWEEPS if found[name] is None]
    asked.measure(dict.fromkeys(narrow, COARSE))
    wide = [name for name in narrow if asked.share(name, COARSE) >= _LEAST_MEASURED]
    asked.measure({name: worth_refining(asked.latencies_ms(name)) for name in wide})
    return found | {name: wide_period(asked.latencies_ms(name)) for name in wide}


class _Asked:
    """What the back-end answered so far."""

    def __init__(
        self, measure_many: MeasureMany, on_progress: Callable[[int, int], None] | None
    ) -> None:
        self._measure_many, self._on_progress = measure_many, on_progress
        self._keys: dict[tuple[str, int], dict[int, str]] = {
            (name, side): {} for name, sweep in SWEEPS.items() for side in sweep.sides
        }
        self._answers: dict[str, Measurement | str] = {}
        self._done = self._wanted = 0

    def measure(self, counts: Mapping[str, Sequence[int]]) -> None:
        """Ask for these channel counts of each kind, on all of its images."""
        wanted: list[str] = []
        for (name, side), keys in self._keys.items():
            new = counts.get(name, ())
            fresh = dict(zip(new, SWEEPS[name].signatures(side, new), strict=True))
            keys.update(fresh)
            wanted += fresh.values()
        self._wanted += len(wanted)
        for key, answer in self._measure_many(iter(wanted)):
            self._answers[key] = answer
            self._done += 1
            if self._on_progress:
                self._on_progress(self._done, self._wanted)

    def sweeps(self, name: str) -> list[dict[str, Measurement | str]]:
        """For each image the answers by signature, in the order of channel counts."""
        return [
            {key: self._answers[key] for _, key in sorted(self._keys[name, side].items())}
            for side in SWEEPS[name].sides
        ]

    def latencies_ms(self, name: str) -> list[dict[int, float]]:
        """For each image the latencies by channel count, of those that could be measured."""
        return [
            {
                count: answer.latency_ms
                for count, key in self._keys[name, side].items()
                if isinstance(answer := self._answers[key], Measurement)
            }
            for side in SWEEPS[name].sides
        ]

    def share(self, name: str, counts: Sequence[int]) -> float:
        """The least share of `counts` that could be measured on an image."""
        known = self.latencies_ms(name)
        return min(sum(count in sweep for count in counts) / len(counts) for sweep in known)


def _costs(answers: Mapping[str, Measurement | str]) -> Array:
    """Latencies in their order; what could not be measured lies between its neighbours."""
    keys = list(answers)
    latencies = {
        place: answer.latency_ms
        for place, answer in enumerate(answers.values())
        if isinstance(answer, Measurement)
    }
    if len(latencies) < _LEAST_MEASURED * len(keys):
        reasons = {answer for answer in answers.values() if isinstance(answer, str)}
        raise MeasureError(
            f"the parallelism factor needs {len(keys)} operators such as {keys[-1]!r}, but "
            f"{len(keys) - len(latencies)} could not be measured: {sorted(reasons)[:1]}. Write "
            "parallelism_factor into device.toml yourself."
        )
    return np.interp(np.arange(len(keys)), list(latencies), list(latencies.values()))
