"""The parallelism factor, seen in measurements: costs over channel counts that rise in steps.

An accelerator that works on P channels at a time takes as long for kP + 1 channels as for
(k + 1)P: its cost jumps from kP to kP + 1 and nowhere else. A candidate P is judged by two
shares, as a search is by precision and recall: how much of all that jumps does so at a multiple
of P (the true P: all, 2P: half, a straight line: 1/P), and at how many of its multiples there is a
jump (the true P: all, P/2: half). Neither asks that costs never fall, and both look at single
jumps that stand out of the noise, so that a dip spoils two steps and not the sum.

Up to 64 channels at a time every channel count is looked at. Wider staircases have few and large
steps, so only every eighth count is, and every count inside those intervals that jump.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from nas_ray.estimate.operator_table import Array

#: Periods that are looked for; of 2 and 3 a straight line has too much.
CANDIDATES = range(4, 65)
#: Channel counts of a sweep: each candidate has two multiples inside, and what follows them.
CHANNELS = tuple(range(1, 131))
#: Periods that are looked for where none of `CANDIDATES` fits.
WIDE_CANDIDATES = range(65, 257)
#: Channel counts beyond `CHANNELS` that tell of them: two multiples of each lie inside.
COARSE = tuple(range(138, 515, 8))
#: A staircase of more than 64 has at most 6 jumps there, the largest but for noise.
_MOST_JUMPS = 10
#: The harmonic mean of both shares; 2P and P/2 reach 0.67, a straight line 0.4.
_LEAST_AGREEMENT = 0.72
#: A jump is at least this much, and this many standard deviations of the steps between jumps.
_LEAST_JUMP = np.log(1.01)
_SIGNIFICANCE = 3.0
#: Beyond this many periods a jump is too small, relative to the cost, to be told from noise.
_PERIODS_SEEN = 10


def period(sweeps: Sequence[Array]) -> int | None:
    """The number of channels that are worked on at a time, or None where no staircase shows.

    Each sweep holds the costs of 1, 2, 3, ... channels (at least 129) of one kind of operator,
    each for an image of another size. Costs are compared as logarithms: noise weighs the same at
    every channel count, and the mean over sweeps halves what only one of them shows.
    """
    steps = np.diff(np.mean([np.log(sweep) for sweep in sweeps], axis=0))
    return _best(np.where(steps > _least_jump(steps), steps, 0.0), CANDIDATES)


def worth_refining(sweeps: Sequence[Mapping[int, float]]) -> tuple[int, ...]:
    """The counts between those of `COARSE` where a wide staircase may jump.

    Each sweep holds costs by channel count, of `CHANNELS` and `COARSE`.
    """
    marks = np.array([CHANNELS[-1], *COARSE])
    steps = np.diff(_logarithms(sweeps)[marks - 1])
    # Costs that rise everywhere rise in each interval: a jump stands out of that.
    found = np.flatnonzero(steps > np.median(steps) + _least_jump(steps))
    found = np.sort(found[np.argsort(-steps[found], kind="stable")[:_MOST_JUMPS]])
    return tuple(count for n in found for count in range(marks[n] + 1, marks[n + 1]))


def wide_period(sweeps: Sequence[Mapping[int, float]]) -> int | None:
    """The period above 64, or None where no staircase shows.

    Each sweep holds costs by channel count, of `CHANNELS`, `COARSE` and `worth_refining`; a cost
    that is not known lies on the line between its neighbours.
    """
    steps = np.diff(_logarithms(sweeps))
    # Between coarse counts steps are an eighth of what was measured: they say nothing about noise.
    least = _least_jump(steps[: CHANNELS[-1] - 1])
    return _best(np.where(steps > least, steps, 0.0), WIDE_CANDIDATES)


def _logarithms(sweeps: Sequence[Mapping[int, float]]) -> Array:
    """The mean over sweeps of the logarithms of costs of 1, 2, 3, ... channels."""
    counts = np.arange(1, COARSE[-1] + 1)
    lines = []
    for sweep in sweeps:
        known = sorted(sweep)
        lines.append(np.interp(counts, known, np.log([sweep[count] for count in known])))
    mean: Array = np.mean(lines, axis=0)
    return mean


def _least_jump(steps: Array) -> float:
    noise = 1.4826 * float(np.median(np.abs(steps - np.median(steps))))
    return max(float(_LEAST_JUMP), _SIGNIFICANCE * noise)


def _best(jumps: Array, candidates: range) -> int | None:
    agreements = [_agreement(jumps[: _PERIODS_SEEN * p], p) for p in candidates]
    best = int(np.argmax(agreements))
    return candidates[best] if agreements[best] >= _LEAST_AGREEMENT else None


def _agreement(jumps: Array, period: int) -> float:
    """Harmonic mean of: the share of the movement at multiples, of the multiples that jump."""
    at_multiples = jumps[period - 1 :: period]
    if not at_multiples.any():
        return 0.0
    precision = float(at_multiples.sum() / jumps.sum())
    recall = float((at_multiples > 0).mean())
    return 2 * precision * recall / (precision + recall)
