"""What another search found out, for this one: its networks mapped into this space.

They are hints, not trials: told to the surrogate with some doubt and bred from, but never on the
front and free to be trained here. The best of them are trained first.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas_ray.errors import RecordError, SpaceError
from nas_ray.evolution.costing import cost_candidates
from nas_ray.evolution.observation import Observation
from nas_ray.evolution.proposal import best_first
from nas_ray.evolution.screen import violation
from nas_ray.evolution.search import EvolutionarySearch
from nas_ray.record import Record, Trial
from nas_ray.space import Config, SearchSpace

#: How many of the best networks are trained first.
FIRST = 8


@dataclass(frozen=True, kw_only=True)
class WarmStart:
    """What is known from elsewhere, the configs to train `first`, and `notes` for a person.

    Notes say what was assumed of choices that are new, and what could not be mapped and why.
    """

    source: str
    observed: tuple[Observation, ...]
    first: tuple[Config, ...]
    notes: tuple[str, ...]


def warm_start(record: Record, search: EvolutionarySearch) -> WarmStart:
    """Map what `record` knows into the space of `search`; costs are those of `search`.

    Raises RecordError where nothing of it can be used.
    """
    trials = [t for t in record.trials().values() if t.curve and t.status != "failed"]
    mapping = _Mapping(search.space)
    found: dict[str, tuple[Config, Trial]] = {}
    for trial in trials:
        config = mapping.mapped(trial.config)
        if config is None:
            continue
        if not _has_objectives(search, trial):
            mapping.refused["no value of every objective"] += 1
            continue
        key = search.space.key(config)
        if key not in found or trial.epoch >= found[key][1].epoch:
            found[key] = (config, trial)
    observed = _observed(search, list(found.values()))
    notes = mapping.notes(record.name, len(trials), len(observed))
    if not observed:
        raise RecordError(
            f"nothing of {record.name} can be used by this search: {' '.join(notes)} Name the "
            "folder of a search over a similar space with the same objectives, or none."
        )
    return WarmStart(
        source=record.name,
        observed=tuple(observed),
        first=tuple(_best(search, observed)),
        notes=notes,
    )


def _has_objectives(search: EvolutionarySearch, trial: Trial) -> bool:
    return all(
        np.isfinite(trial.metrics.get(objective.metric, np.nan)) for objective in search.objectives
    )


def _observed(search: EvolutionarySearch, found: list[tuple[Config, Trial]]) -> list[Observation]:
    costed = cost_candidates(search.space, search.costs, [config for config, _ in found])
    return [
        Observation(
            config=config,
            metrics={**trial.curve[trial.epoch], **candidate.costs},
            final=False,
            elsewhere=True,
            costs=candidate.costs,
            scores=trial.scores,
            curve=trial.curve,
        )
        for (config, trial), candidate in zip(found, costed, strict=True)
        if violation(candidate, search.constraints) == 0
    ]


def _best(search: EvolutionarySearch, observed: list[Observation]) -> list[Config]:
    points = np.array(
        [[o.minimised(one.metrics[o.metric]) for o in search.objectives] for one in observed]
    )
    return [observed[n].config for n in best_first(points, FIRST)]


class _Mapping:
    """Maps configs of another space into this one, and remembers what it could not."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._removed: Counter[str] = Counter()
        self._added: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    def mapped(self, config: Mapping[str, Any]) -> Config | None:
        """`config` in this space: without choices it lacks, with the baseline's for new ones."""
        known = {name: value for name, value in config.items() if name in self._space.choices}
        given = {**self._space.baseline, **known}
        try:
            mapped = self._space.canonical(given)
        except SpaceError as error:
            self.refused[str(error)] += 1
            return None
        self._removed.update(name for name in config if name not in self._space.choices)
        self._added.update(name for name in mapped if name not in config)
        return mapped

    def notes(self, source: str, trials: int, used: int) -> tuple[str, ...]:
        """What happened, for a person."""
        notes = [f"{used} of {trials} trained networks of {source} are used."]
        notes += [
            f"{name!r} is no choice here: {count} networks are taken without it."
            for name, count in self._removed.items()
        ]
        notes += [
            f"{name!r} is new or newly in use: {count} networks are taken to have the baseline's "
            f"{self._space.baseline[name]!r}."
            for name, count in self._added.items()
        ]
        notes += [f"{count} could not be mapped: {why}" for why, count in self.refused.items()]
        return tuple(notes)
