"""`as_study`: the record of a search as an Optuna study, for its plots and its dashboard.

The record is the truth and the study a copy: one Optuna trial a network, with the same number.
"""

import json
import math
import warnings
from collections.abc import Mapping
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from nas_ray.errors import RecordError
from nas_ray.evolution.new_study import new_study
from nas_ray.optuna_form import distribution
from nas_ray.record import Record, Trial
from nas_ray.report.settings import constraints_of, objectives_of, settings_of
from nas_ray.studies.constraint_attributes import constraint_values

#: User attributes of the study: the header of the record; metrics on test data by trial number.
SEARCH, TEST = "search", "test"
_DIRECTIONS: Mapping[str, Literal["maximize", "minimize"]] = {"max": "maximize", "min": "minimize"}
_STATES = {
    "running": TrialState.RUNNING,
    "completed": TrialState.COMPLETE,
    "stopped": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


def as_study(record: Record, storage: str | BaseStorage | None = None) -> optuna.Study:
    """The search in `record` as a study named like its folder.

    A trial has the choices in use as parameters, objectives as values, constraints, and with one
    objective its values by epoch. User attributes: number, origin, `cost.*` as estimated before
    training, `score.*`, `metric.*` as last reported, checkpoint, error. Trials that were stopped
    early are pruned. Optuna changes no trial that has ended, so what networks did on test data is
    an attribute of the study.

    `storage` is what `optuna.create_study` takes; a study that is there already is brought up to
    date. Raises RecordError where another search has a study of that name.
    """
    study_storage = optuna.storages.get_storage(storage)
    copy = StudyCopy(record, study_storage)
    copy.update(record.trials())
    return optuna.load_study(study_name=record.folder.name, storage=study_storage)


class StudyCopy:
    """The study of a record in `storage`, made there if there is none."""

    def __init__(self, record: Record, storage: BaseStorage) -> None:
        self._objectives = objectives_of(record)
        self._constraints = constraints_of(record)
        self._distributions = _distributions(record)
        self._storage = storage
        self._study = new_study(
            [_DIRECTIONS[objective.direction] for objective in self._objectives],
            storage=storage,
            study_name=record.folder.name,
            load_if_exists=True,
        )
        self._claim(record)
        self._copied: dict[int, Trial] = {}

    def _claim(self, record: Record) -> None:
        """Make sure that the study is of this record."""
        header = json.loads(json.dumps(record.header))
        found = self._study.user_attrs.get(SEARCH)
        if found is None and not self._study.get_trials(deepcopy=False):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                self._study.set_metric_names([o.metric for o in self._objectives])
            self._study.set_user_attr(SEARCH, header)
        elif found != header:
            raise RecordError(
                f"the storage already has a study {record.folder.name!r}, and it is not of the "
                f"search in {record.folder}. Use another storage, or delete that study."
            )

    def update(self, trials: Mapping[int, Trial]) -> None:
        """Copy what has changed since the last time. Doing it again changes nothing."""
        changed = [t for n, t in sorted(trials.items()) if self._copied.get(n) is not t]
        if not changed:
            return
        copies = self._study.get_trials(deepcopy=False)
        for trial in changed:
            fresh = self._fresh(trial)
            if trial.number >= len(copies):
                self._study.add_trial(fresh)
            elif not copies[trial.number].state.is_finished():
                self._carry_over(fresh, copies[trial.number])
            self._copied[trial.number] = trial
        self._copy_tests(trials)

    def _fresh(self, trial: Trial) -> FrozenTrial:
        """The trial as Optuna has it."""
        state = _STATES[trial.status]
        values = [trial.metrics.get(o.metric, math.nan) for o in self._objectives]
        if not trial.curve or any(math.isnan(value) for value in values):
            values = []
            state = TrialState.FAIL if state == TrialState.COMPLETE else state
        one = len(self._objectives) == 1
        has_values = state == TrialState.COMPLETE or (state == TrialState.PRUNED and one)
        return create_trial(
            state=state,
            params=dict(trial.config),
            distributions={name: self._distribution(name) for name in trial.config},
            values=values if has_values and values else None,
            intermediate_values=self._by_epoch(trial) if one else {},
            constraints=constraint_values(self._constraints, trial.metrics),
            user_attrs=_attributes(trial),
        )

    def _distribution(self, name: str) -> BaseDistribution:
        if name not in self._distributions:
            raise RecordError(
                f"the header of the record must describe every choice, but {name!r} is not in it."
            )
        return self._distributions[name]

    def _by_epoch(self, trial: Trial) -> dict[int, float]:
        metric = self._objectives[0].metric
        return {
            epoch: values[metric]
            for epoch, values in sorted(trial.curve.items())
            if metric in values
        }

    def _carry_over(self, fresh: FrozenTrial, copy: FrozenTrial) -> None:
        """Bring a trial of the study that has not ended up to date."""
        trial_id = copy._trial_id  # noqa: SLF001 - storages know trials by it, and studies do not say
        for epoch, value in fresh.intermediate_values.items():
            if copy.intermediate_values.get(epoch) != value:
                self._storage.set_trial_intermediate_value(trial_id, epoch, value)
        for name, attribute in fresh.user_attrs.items():
            if copy.user_attrs.get(name) != attribute:
                self._storage.set_trial_user_attr(trial_id, name, attribute)
        for name, attribute in fresh.system_attrs.items():
            if copy.system_attrs.get(name) != attribute:
                self._storage.set_trial_system_attr(trial_id, name, attribute)
        if fresh.state.is_finished():
            self._storage.set_trial_state_values(trial_id, fresh.state, fresh.values)

    def _copy_tests(self, trials: Mapping[int, Trial]) -> None:
        tests = {str(t.number): dict(t.test) for t in trials.values() if t.test}
        if self._study.user_attrs.get(TEST, {}) != tests:
            self._study.set_user_attr(TEST, tests)


def _distributions(record: Record) -> dict[str, BaseDistribution]:
    return {
        name: distribution(choice["kind"], choice["options"])
        for name, choice in settings_of(record).choices.items()
    }


def _attributes(trial: Trial) -> dict[str, Any]:
    groups = {"cost": trial.costs, "score": trial.scores, "metric": trial.curve.get(trial.epoch)}
    numbers = {
        f"{group}.{name}": value
        for group, values in groups.items()
        for name, value in (values or {}).items()
    }
    texts = {"checkpoint": trial.checkpoint, "error": trial.error}
    given = {name: text for name, text in texts.items() if text}
    return {"number": trial.number, "origin": trial.origin, **numbers, **given}
