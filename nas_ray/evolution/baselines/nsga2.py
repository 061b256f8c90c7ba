"""NSGA-II (Deb et al., 2002) as Optuna has it, behind `ask` and `tell`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.trial import Trial, TrialState

from nas_ray.evolution.baselines.ledger import Ledger
from nas_ray.evolution.costing import Costs
from nas_ray.evolution.new_study import new_study
from nas_ray.evolution.observation import Observation
from nas_ray.evolution.screen import Candidate
from nas_ray.objective import Constraint, Objective
from nas_ray.space import Config, SearchSpace

#: Trials that Optuna may spend on networks that are known or forbidden, for each one asked for.
REDRAWS = 50


class Nsga2:
    """`optuna.samplers.NSGAIISampler` over the space, all objectives minimised.

    A network that its costs forbid is told to Optuna at once, with by how much, and is never
    returned: it costs no training. One that is known already is told as failed, which Optuna
    leaves out; after `REDRAWS` of them in a row the next network is a random one.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint] = (),
        costs: Costs = None,
        population: int = 50,
        seed: int = 0,
    ) -> None:
        self._ledger = Ledger(
            space, objectives=objectives, constraints=constraints, costs=costs, seed=seed
        )
        self._rng = np.random.default_rng(seed)
        self._distributions = space.to_optuna()
        self._study = new_study(
            ["minimize"] * len(objectives),
            sampler=optuna.samplers.NSGAIISampler(population_size=population, seed=seed),
        )
        self._trials: dict[str, Trial] = {}

    def ask(self) -> Config:
        """The next config; StopIteration when there is no further one."""
        for _ in range(REDRAWS):
            trial = self._study.ask(self._distributions)
            config = self._ledger.space.canonical(trial.params)
            if self._ledger.is_known(config):
                self._study.tell(trial, state=TrialState.FAIL)
                continue
            (candidate,) = self._ledger.costed([config])
            if self._ledger.allows(candidate):
                self._trials[self._ledger.space.key(config)] = trial
                return self._ledger.start(candidate)
            self._tell_forbidden(trial, candidate)
        return self._ledger.random(self._rng)

    def _tell_forbidden(self, trial: Trial, candidate: Candidate) -> None:
        """Constrained domination looks at the excess alone, so any values will do."""
        if candidate.error:
            self._study.tell(trial, state=TrialState.FAIL)
            return
        self._set_constraints(trial, candidate.costs)
        self._study.tell(trial, [float("inf")] * len(self._ledger.objectives))

    def _set_constraints(self, trial: Trial, metrics: Mapping[str, float]) -> None:
        for constraint in self._ledger.constraints:
            if constraint.quantity in metrics:
                trial.set_constraint(
                    str(constraint), constraint.violation(metrics[constraint.quantity])
                )

    def tell(self, config: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        """Record what a config did; one that Optuna did not propose teaches it nothing."""
        told = self._ledger.tell(config, metrics)
        trial = self._trials.pop(self._ledger.space.key(config), None)
        if trial is None:
            return
        self._set_constraints(trial, told.metrics)
        self._study.tell(trial, told.point)

    def tell_failed(self, config: Mapping[str, Any]) -> None:
        """Record a config that could not be evaluated."""
        self._ledger.tell_failed(config)
        trial = self._trials.pop(self._ledger.space.key(config), None)
        if trial is not None:
            self._study.tell(trial, state=TrialState.FAIL)

    def front(self) -> list[Observation]:
        """The feasible networks told so far that no other dominates."""
        return self._ledger.front()
