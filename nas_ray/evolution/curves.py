"""Where a learning curve that was cut off would have ended.

A network that was stopped at a rung tells less than one trained in full, but not nothing. What
the networks trained in full did after the same epoch says where it would have ended: a straight
line through their values then and at the end, and how far they lie around it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nas_ray.evolution.observation import Observation

#: Fewer networks trained in full than this say how far values rise, but not how steeply.
_ENOUGH = 5


@dataclass(frozen=True)
class Ending:
    """An expected final value and its variance; None where too few were trained in full to say."""

    value: float
    variance: float | None


@dataclass(frozen=True)
class _Line:
    """The end expected of a value: `end + slope * (value - then)`."""

    then: float
    end: float
    slope: float
    variance: float | None


class Endings:
    """Expected ends of cut-off curves, by the `finals`: observations trained in full."""

    def __init__(self, finals: Sequence[Observation]) -> None:
        self._finals = finals
        self._lines: dict[tuple[int, str], _Line] = {}

    def of(self, stopped: Observation, metric: str) -> Ending:
        """Where `metric` of a network stopped early would have ended."""
        at = (stopped.epoch, metric)
        if at not in self._lines:
            self._lines[at] = self._line(*at)
        line, value = self._lines[at], stopped.metrics[metric]
        return Ending(line.end + line.slope * (value - line.then), line.variance)

    def _line(self, epoch: int, metric: str) -> _Line:
        pairs = [
            (o.curve[epoch][metric], o.metrics[metric])
            for o in self._finals
            if math.isfinite(o.curve.get(epoch, {}).get(metric, math.nan))
        ]
        if len(pairs) < _ENOUGH:
            rise = float(np.mean([end - then for then, end in pairs])) if pairs else 0.0
            return _Line(0.0, rise, 1.0, None)
        then, end = np.array(pairs, dtype=float).T
        slope = _slope(then, end)
        residuals = end - end.mean() - slope * (then - then.mean())
        variance = float(residuals @ residuals) / (len(pairs) - 2)
        return _Line(float(then.mean()), float(end.mean()), slope, variance)


def _slope(then: np.ndarray, end: np.ndarray) -> float:
    """Least squares, but never falling: who leads early is not expected to trail."""
    variance = float(then.var())
    if variance == 0:
        return 0.0
    covariance = float(((then - then.mean()) * (end - end.mean())).mean())
    return max(0.0, covariance / variance)
