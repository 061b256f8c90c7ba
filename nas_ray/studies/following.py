"""`Following`: an `EvolutionarySearch` kept in step with the trials of an Optuna study.

The study is the truth: whatever it holds is told, by whichever process it was run, and what runs
or waits in it is pending. What was asked is written to its trial at once, for the others to see.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from nas_ray.errors import SearchError, SpaceError, nearest
from nas_ray.evolution.screen import Candidate, violation
from nas_ray.evolution.search import EvolutionarySearch
from nas_ray.space import Config

#: The system attribute of a trial with what was asked for it.
ASKED = "nas_ray:asked"
#: Candidates among which one with the values that a person fixed is chosen.
_FIXED_CANDIDATES = 64
#: How often a network is asked for again because another process took it at the same moment.
_RETRIES = 20


class Following:
    """What `search` knows of a study, and what it asks for the next trial of it."""

    def __init__(self, search: EvolutionarySearch) -> None:
        self.search = search
        self._told: set[int] = set()
        self._pending: dict[int, Config] = {}

    # From the study

    def catch_up(self, study: optuna.Study, but: int) -> None:
        """Tell what is new in the study; trial `but` is the one that asks.

        Raises SearchError for a complete trial without the value of a constraint.
        """
        for trial in study.get_trials(deepcopy=False):
            if trial.number in self._told or trial.number == but:
                continue
            self.search.skip_draws(trial.system_attrs.get(ASKED, {}).get("draws", 0))
            self._take(trial)

    def _take(self, trial: FrozenTrial) -> None:
        config = self.config_of(trial)
        key = None if config is None else self.search.space.key(config)
        if key is not None and config is not None:
            self._admit(trial, config, key)
        before = self._pending.get(trial.number)
        if before is not None and (key is None or self.search.space.key(before) != key):
            self.search.release(self._pending.pop(trial.number))
        if not trial.state.is_finished():
            if config is not None:
                self._pending[trial.number] = config
            return
        if config is not None:
            self._tell(trial, config)
        self._pending.pop(trial.number, None)
        self._told.add(trial.number)

    def _admit(self, trial: FrozenTrial, config: Config, key: str) -> None:
        """Make a network pending, with the costs that whoever asked for it knew."""
        if not self.search.is_known(key):
            asked = trial.system_attrs.get(ASKED, {})
            known = asked.get("config") == config
            costs = asked.get("costs", {}) if known else self.search.costs_of(config)
            self.search.admit(Candidate(config=config, costs=costs))

    def config_of(self, trial: FrozenTrial) -> Config | None:
        """The network of a trial; None where the trial does not say enough to know it."""
        asked = trial.system_attrs.get(ASKED, {}).get("config", {})
        space = self.search.space
        given = {**asked, **_fixed(trial), **trial.params}
        try:
            return space.canonical({n: v for n, v in given.items() if n in space.choices})
        except SpaceError:
            return None

    def _tell(self, trial: FrozenTrial, config: Config) -> None:
        metrics = self.metrics_of(trial, trial.values)
        finite = all(math.isfinite(value) for value in metrics.values())
        if not trial.values or not finite or trial.state == TrialState.FAIL:
            self.search.tell_failed(config)
            return
        self._require_constraints(trial, metrics, config)
        curve = self._curve(trial)
        if trial.state == TrialState.PRUNED:
            self.search.tell_stopped(config, metrics, curve)
        else:
            self.search.tell(config, metrics, curve)

    def metrics_of(self, trial: FrozenTrial, values: Sequence[float] | None) -> dict[str, float]:
        """Its values by objective, and those of its attributes that constraints are on."""
        quantities = [constraint.quantity for constraint in self.search.constraints]
        measured = {q: float(trial.user_attrs[q]) for q in quantities if q in trial.user_attrs}
        names = [objective.metric for objective in self.search.objectives]
        return {**measured, **dict(zip(names, values or (), strict=False))}

    def _curve(self, trial: FrozenTrial) -> dict[int, dict[str, float]]:
        """Optuna takes intermediate values of studies with one objective only."""
        metric = self.search.objectives[0].metric
        reported = trial.intermediate_values.items()
        return {step: {metric: value} for step, value in reported if math.isfinite(value)}

    def _require_constraints(
        self, trial: FrozenTrial, metrics: Mapping[str, float], config: Config
    ) -> None:
        if not self.search.constraints:
            return
        known = {**self.costs_of(trial, config), **metrics}
        for constraint in self.search.constraints:
            if constraint.quantity not in known:
                raise SearchError(
                    f"a constraint must be on a cost, an objective or a user attribute, but trial "
                    f"{trial.number} has no {constraint.quantity!r}; "
                    f"{nearest(constraint.quantity, known)} Call trial.set_user_attr("
                    f"{constraint.quantity!r}, value) in the objective."
                )

    def costs_of(self, trial: FrozenTrial, config: Config) -> Mapping[str, float]:
        """What the network of a trial costs."""
        asked = trial.system_attrs.get(ASKED, {})
        if asked.get("config") == config:
            costs: Mapping[str, float] = asked["costs"]
            return costs
        return self.search.costs_of(config)

    # To the study

    def ask(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, Any]:
        """What trial is to evaluate, as it is kept in its attribute `ASKED`.

        Raises StopIteration when the space is used up, InfeasibleError when nothing fits.
        """
        fixed = self._fixed_choices(trial)
        for _ in range(_RETRIES):
            self.catch_up(study, but=trial.number)
            config = self._completed(fixed) if fixed else self.search.ask()
            asked: dict[str, Any] = {
                "config": config,
                "costs": dict(self.search.costs_of(config)),
                "draws": self.search.draws,
            }
            # Samplers have no public door to the attributes of a trial; Optuna's own use this one.
            study._storage.set_trial_system_attr(trial._trial_id, ASKED, asked)  # noqa: SLF001
            if fixed or not self._is_taken(study, trial.number, config):
                break
            # Whoever sees the other one gives way: who asked first may not have seen it yet.
            self.search.release(config)
        self._pending[trial.number] = config
        return asked

    def _is_taken(self, study: optuna.Study, number: int, config: Config) -> bool:
        """Whether another trial was given the same network since the study was looked at."""
        others = (t for t in study.get_trials(deepcopy=False) if t.number != number)
        return any(other.system_attrs.get(ASKED, {}).get("config") == config for other in others)

    def _fixed_choices(self, trial: FrozenTrial) -> dict[str, Any]:
        """What of the network of a new trial is given already."""
        choices = self.search.space.choices
        given = {**_fixed(trial), **trial.params}
        return {n: v for n, v in given.items() if n in choices and len(choices[n].options) > 1}

    def _completed(self, fixed: Mapping[str, Any]) -> Config:
        """A network with the values that a person fixed: allowed and new if there is such a one."""
        space = self.search.space
        rng = np.random.default_rng([self.search.seed, self.search.draws, 6])
        drawn = self.search.candidates(_FIXED_CANDIDATES) or [space.sample(rng)]
        filler = {n: c.options[rng.integers(len(c.options))] for n, c in space.choices.items()}
        whole = [space.canonical({**filler, **config, **fixed}) for config in drawn]
        costed = self.search.costed(whole)
        allowed = [c for c in costed if violation(c, self.search.constraints) == 0]
        fresh = [c for c in allowed if not self.search.is_known(space.key(c.config))]
        return self.search.admit((fresh or allowed or costed)[0])


def _fixed(trial: FrozenTrial) -> dict[str, Any]:
    """The values of a trial that a person enqueued."""
    fixed: dict[str, Any] = trial.system_attrs.get("fixed_params", {})
    return fixed
