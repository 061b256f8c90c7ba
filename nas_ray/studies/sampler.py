"""`CascadeSampler`: the evolution as an Optuna sampler."""

import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from nas_ray.choice import Value
from nas_ray.errors import SearchError
from nas_ray.evolution.costing import Costs
from nas_ray.evolution.search import EvolutionarySearch, Scores
from nas_ray.objective import Constraint, Objective
from nas_ray.space import Config, SearchSpace
from nas_ray.studies.constraint_attributes import constraint_values
from nas_ray.studies.following import Following


class CascadeSampler(BaseSampler):
    """Suggests the choices of `space` as `EvolutionarySearch` does; arguments as there.

        study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
        study.optimize(lambda trial: evaluate(space.suggest(trial)), n_trials=100)

    The values of the study are the `objectives` in their order. A constraint may be on a cost, an
    objective, or a user attribute that the trial sets; feasibility is kept on the trial, so that
    `study.best_trials` and the dashboard know of it. Nothing that its costs forbid is suggested,
    and no network twice, but what a person enqueues is. All trials of the study teach, those of
    other processes and earlier runs too; give each process a seed of its own. Parameters that are
    no choices of the space are random. When the space is used up, the trial that finds so is pruned
    and `study.optimize` ends.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint] = (),
        costs: Costs = None,
        scores: Scores | None = None,
        surrogate: bool = True,
        seed: int = 0,
    ) -> None:
        self._settings: dict[str, Any] = {
            "objectives": tuple(objectives),
            "constraints": tuple(constraints),
            "costs": costs,
            "scores": scores,
            "told": [constraint.quantity for constraint in constraints],
            "surrogate": surrogate,
            "seed": seed,
        }
        self._space = space
        self._random = RandomSampler(seed)
        self._lock = threading.RLock()
        self._study = ""
        self._following = self._fresh()
        self._running: dict[int, Config] = {}

    def _fresh(self) -> Following:
        return Following(EvolutionarySearch(self._space, **self._settings))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.RLock()

    def reseed_rng(self) -> None:
        """Let the parameters that are no choices differ between threads; called by Optuna."""
        self._random.reseed_rng()

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Nothing: choices are asked for by name, and only those in use."""
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Nothing, as `infer_relative_search_space` says."""
        return {}

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Make sure that the study is the one that is searched; called by Optuna."""
        with self._lock:
            self._random.before_trial(study, trial)
            if study.study_name != self._study:
                self._require_directions(study)
                self._study, self._following, self._running = study.study_name, self._fresh(), {}

    def _require_directions(self, study: optuna.Study) -> None:
        wanted = [
            StudyDirection.MAXIMIZE if o.direction == "max" else StudyDirection.MINIMIZE
            for o in self._settings["objectives"]
        ]
        if list(study.directions) != wanted:
            raise SearchError(
                f"the directions of the study must be those of the objectives, {_names(wanted)}, "
                f"but they are {_names(study.directions)}. Pass directions={_names(wanted)} to "
                "create_study."
            )

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """The value of one choice; the first call of a trial asks for its network."""
        if param_name in self._space.choices:
            config = self._config(study, trial)
            if param_name in config:
                return _within(param_name, config[param_name], param_distribution)
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def _config(self, study: optuna.Study, trial: FrozenTrial) -> Config:
        with self._lock:
            if trial.number not in self._running:
                try:
                    asked = self._following.ask(study, trial)
                except StopIteration:
                    with suppress(RuntimeError):  # by study.ask there is no loop to stop
                        study.stop()
                    reason = f"every network of {self._space.name!r} that is allowed was tried"
                    raise optuna.TrialPruned(reason) from None
                self._running[trial.number] = asked["config"]
            return self._running[trial.number]

    def after_trial(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Keep on the trial which constraints it meets; called by Optuna.

        The trial itself is told when the next one asks, like those of other processes.
        """
        with self._lock:
            self._random.after_trial(study, trial, state, values)
            self._running.pop(trial.number, None)
            config = self._following.config_of(trial)
            constraints = self._settings["constraints"]
            if config is None or not constraints or state == TrialState.FAIL:
                return
            costs = self._following.costs_of(trial, config)
            metrics = {**costs, **self._following.metrics_of(trial, values)}
            kept = create_trial(
                state=TrialState.RUNNING, constraints=constraint_values(constraints, metrics)
            )
            for name, value in kept.system_attrs.items():
                if name not in trial.system_attrs:
                    # As in `Following.ask`: there is no public door.
                    study._storage.set_trial_system_attr(trial._trial_id, name, value)  # noqa: SLF001


def _names(directions: Sequence[StudyDirection]) -> list[str]:
    return [direction.name.lower() for direction in directions]


def _within(name: str, value: Value, distribution: BaseDistribution) -> Value:
    """`value`, if the objective asks for it in a way that allows it."""
    if isinstance(distribution, CategoricalDistribution):
        allowed = value in distribution.choices
    else:
        numeric = isinstance(value, int | float)
        allowed = numeric and distribution.low <= value <= distribution.high  # type: ignore[attr-defined]
    if not allowed:
        raise SearchError(
            f"the objective must ask for {name!r} with every option that the space gives it, but "
            f"{value!r} is not in {distribution}. Use space.suggest(trial)."
        )
    return float(value) if isinstance(distribution, FloatDistribution) else value
