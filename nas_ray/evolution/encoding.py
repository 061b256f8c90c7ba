"""Candidates as numbers: what the surrogate sees of them.

Notation: `N` candidates. Features come in five groups, each a matrix with a row a candidate: the
choices, how often each option occurs, the costs, the zero-shot scores, the descriptors of the graph
among those. A kernel gives each group a length scale of its own, so a group holds what is alike.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nas_ray.choice import Categorical, Choice, Value
from nas_ray.estimate.cost import RELIABILITY
from nas_ray.evolution.screen import Candidate
from nas_ray.space import Config, SearchSpace
from nas_ray.zero_shot import DESCRIPTORS

Array = NDArray[np.float64]
Matrix = Array
Groups = tuple[Matrix, ...]

#: Further out than this many standard deviations a number says only that it is far out.
_FARTHEST = 4.0
#: Configs whose columns are kept: more than a surrogate learns from and chooses among.
_REMEMBERED = 4096


class OptionColumns:
    """The choices of a config of `space` as numbers; those met last need not be worked out again.

    A search sees the same candidates and known networks plan after plan.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._columns = {
            name: {value: _columns_of(choice, value) for value in (*choice.options, None)}
            for name, choice in space.choices.items()
        }
        self._counted = shared_options(space)
        self._rows: dict[tuple[tuple[str, Value], ...], tuple[Array, Array]] = {}

    def of(self, configs: Sequence[Config]) -> tuple[Matrix, Matrix]:
        """What is chosen, `(N, columns)`, and how often each option occurs, `(N, columns)`."""
        rows = [self._row(config) for config in configs]
        chosen = np.array([row[0] for row in rows], dtype=float)
        return chosen, np.array([row[1] for row in rows], dtype=float).reshape(len(configs), -1)

    def _row(self, config: Config) -> tuple[Array, Array]:
        items = tuple(config.items())
        if items not in self._rows:
            if len(self._rows) >= _REMEMBERED:
                self._rows.clear()
            self._rows[items] = self._worked_out(config)
        return self._rows[items]

    def _worked_out(self, config: Config) -> tuple[Array, Array]:
        chosen: list[float] = []
        for name, columns in self._columns.items():
            chosen += columns[config.get(name)]
        counts: list[float] = []
        for options, names in self._counted.items():
            taken = [config[name] for name in names if name in config]
            counts += [float(taken.count(option)) for option in options]
        return np.array(chosen), np.array(counts)


class Encoding:
    """Encodes candidates; numbers are put on the scale of the candidates `among`.

    Costs and scores are standardised, after a logarithm where all of them are positive (costs span
    orders of magnitude, and what counts is their ratio). A number that is missing counts as the
    mean, one that is -inf as far below it.
    """

    def __init__(self, columns: OptionColumns, among: Sequence[Candidate]) -> None:
        self._columns = columns
        self._costs = _Columns([_costs(c) for c in among])
        self._scores = _Columns([_scores(c) for c in among])
        self._descriptors = _Columns([_descriptors(c) for c in among])

    def groups(self, candidates: Sequence[Candidate]) -> Groups:
        """The five groups of features, each `(N, columns)`, some perhaps without a column."""
        return (
            *self._columns.of([c.config for c in candidates]),
            self._costs.standardised([_costs(c) for c in candidates]),
            self._scores.standardised([_scores(c) for c in candidates]),
            self._descriptors.standardised([_descriptors(c) for c in candidates]),
        )


def _costs(candidate: Candidate) -> dict[str, float]:
    """How far an estimate is to be trusted says nothing of the network."""
    return {k: v for k, v in candidate.costs.items() if k not in RELIABILITY}


def _scores(candidate: Candidate) -> dict[str, float]:
    return {k: v for k, v in candidate.scores.items() if k not in DESCRIPTORS}


def _descriptors(candidate: Candidate) -> dict[str, float]:
    return {k: v for k, v in candidate.scores.items() if k in DESCRIPTORS}


def _columns_of(choice: Choice, value: Value | None) -> list[float]:
    """One column an option; for an ordered choice its place from 0 to 1, and whether it is used."""
    options: tuple[Value, ...] = choice.options
    if isinstance(choice, Categorical):
        return [float(option == value) for option in options]
    if value is None:
        return [0.0, 0.0]
    return [options.index(value) / max(1, len(options) - 1), 1.0]


def shared_options(space: SearchSpace) -> dict[tuple[Value, ...], list[str]]:
    """The names of choices by their options, where several choices have the same ones.

    The edges of a cell, the kinds of layers: how many there are of each says more than where.
    """
    names: dict[tuple[Value, ...], list[str]] = {}
    for name, choice in space.choices.items():
        names.setdefault(choice.options, []).append(name)
    return {options: mine for options, mine in names.items() if len(mine) > 1}


class _Columns:
    """Named numbers as standardised columns."""

    def __init__(self, rows: Sequence[Mapping[str, float]]) -> None:
        self._names = sorted({name for row in rows for name in row})
        raw = self._raw(rows)
        known = np.ma.masked_invalid(raw)
        self._logarithmic = np.ma.filled((known > 0).all(axis=0), fill_value=False)
        values = np.ma.masked_invalid(self._on_scale(raw))
        self._mean = np.asarray(values.mean(axis=0).filled(0.0)).reshape(-1)
        deviation = np.asarray(values.std(axis=0).filled(0.0)).reshape(-1)
        self._deviation = np.where(deviation > 0, deviation, 1.0)

    def _raw(self, rows: Sequence[Mapping[str, float]]) -> Matrix:
        found = [[row.get(name, np.nan) for name in self._names] for row in rows]
        return np.array(found, dtype=float).reshape(len(rows), len(self._names))

    def _on_scale(self, raw: Matrix) -> Matrix:
        # What is not positive where all others were is infinitely far below them.
        with np.errstate(divide="ignore", invalid="ignore"):
            logarithm = np.where(raw <= 0, -np.inf, np.log(np.abs(raw)))
        return np.where(self._logarithmic, logarithm, raw)

    def standardised(self, rows: Sequence[Mapping[str, float]]) -> Matrix:
        values = (self._on_scale(self._raw(rows)) - self._mean) / self._deviation
        clipped = np.clip(values, -_FARTHEST, _FARTHEST)
        return np.asarray(np.nan_to_num(clipped, nan=0.0))
