"""Scores and ensembles of them against the accuracies of trained networks.

Notation: `S` initialisations, `M` networks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_ray import zero_shot
from scoring.figures import figures
from scoring.kept import Scores
from scoring.tables import Benchmark

Array = NDArray[np.float64]
Row = dict[str, float]

#: Log-rank sums to compare with: the four of AZ-NAS, and one that was chosen on NAS-Bench-Macro.
ENSEMBLES: Mapping[str, Sequence[str]] = {
    "default ensemble": zero_shot.DEFAULT_SCORES,
    "AZ-NAS": ("expressivity", "progressivity", "trainability", "complexity"),
    "depth, trainability, NASWOT, MACs": ("depth", "trainability", "naswot", "complexity"),
}


def compared(
    benchmark: Benchmark, chosen: NDArray[np.intp], kept: Sequence[Mapping[str, Scores]]
) -> dict[str, dict[str, Row]]:
    """By data set and score: figures of the networks `chosen`, `kept` being their scores by seed.

    The mean over the initialisations; `tau_spread` is the largest tau less the smallest, and
    `tau_of_mean` that of the score averaged over the initialisations.
    """
    values = _values(benchmark, chosen, kept)
    return {
        data: {name: _row(v, accuracy[chosen], benchmark.flops[chosen]) for name, v in values}
        for data, accuracy in benchmark.accuracies.items()
    }


def _values(
    benchmark: Benchmark, chosen: NDArray[np.intp], kept: Sequence[Mapping[str, Scores]]
) -> list[tuple[str, Array]]:
    """Each score and ensemble by name: `(S, M)`."""
    rows = [[scores[benchmark.classes[m]] for m in chosen] for scores in kept]
    known = set.intersection(*(set(row) for one in rows for row in one))
    result = {"params": benchmark.params[chosen][None], "FLOPs": benchmark.flops[chosen][None]}
    for name in zero_shot.SCORES:
        if name in known:
            result[name] = np.array([[row[name] for row in one] for one in rows])
    ensembles = {name: members for name, members in ENSEMBLES.items() if set(members) <= known}
    ensembles |= _without_each(zero_shot.DEFAULT_SCORES)
    for name, members in ensembles.items():
        result[name] = np.array(
            [zero_shot.log_rank([{n: row[n] for n in members} for row in one]) for one in rows]
        )
    return list(result.items())


def _without_each(members: Sequence[str]) -> dict[str, Sequence[str]]:
    return {f"default without {name}": [n for n in members if n != name] for name in members}


def _row(values: Array, accuracy: Array, flops: Array) -> Row:
    each = [asdict(figures(one, accuracy, flops)) for one in values]
    taus = [one["tau"] for one in each]
    mean = {name: float(np.mean([one[name] for one in each])) for name in each[0]}
    of_mean = figures(values.mean(axis=0), accuracy, flops).tau
    return {**mean, "tau_spread": max(taus) - min(taus), "tau_of_mean": of_mean}


def best_sums(
    benchmark: Benchmark, chosen: NDArray[np.intp], scores: Mapping[str, Scores], count: int = 5
) -> dict[str, Row]:
    """The `count` best log-rank sums of up to six scores on the first data set, and the default.

    Best is the largest sum of the three figures.
    """
    accuracy, flops = next(iter(benchmark.accuracies.values()))[chosen], benchmark.flops[chosen]
    rows = [scores[benchmark.classes[m]] for m in chosen]
    names = [name for name in rows[0] if name in zero_shot.SCORES]
    logs = {name: zero_shot.log_rank([{name: row[name]} for row in rows]) for name in names}
    sums = {
        members: asdict(figures(np.sum([logs[name] for name in members], 0), accuracy, flops))
        for size in range(1, 7)
        for members in combinations(logs, size)
    }
    order = sorted(sums, key=lambda members: -sum(sums[members].values()))
    default = next(m for m in sums if set(m) == set(zero_shot.DEFAULT_SCORES))
    kept = [*order[:count], default]
    return {
        " + ".join(members): {**sums[members], "place": order.index(members) + 1}
        for members in kept
    }


def printable(table: Mapping[str, Any], digits: int = 4) -> dict[str, Any]:
    """`table` with all numbers rounded."""
    return {
        key: round(value, digits) if isinstance(value, float)
        else printable(value, digits) if isinstance(value, dict) else value
        for key, value in table.items()
    }  # fmt: skip
