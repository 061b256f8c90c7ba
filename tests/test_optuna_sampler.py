"""`CascadeSampler` by its laws: the same search as `EvolutionarySearch`, in the hands of Optuna."""

import json
import pickle
import threading

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.storages import InMemoryStorage
from optuna.testing.pytest_samplers import BasicSamplerTestCase
from optuna.trial import TrialState
from toy_spaces import conditional, dial_latency, dials, twelve

from nas_ray import (
    CascadeSampler,
    Constraint,
    EvolutionarySearch,
    Objective,
    Ordinal,
)
from nas_ray import SearchSpace as Space
from nas_ray.errors import InfeasibleError, SearchError

ACCURACY, LATENCY = Objective("accuracy", "max"), Objective("latency_ms", "min")
ENERGY = Objective("energy_mj", "min")
OBJECTIVES = [ACCURACY, LATENCY, ENERGY]
DIRECTION = {"max": "maximize", "min": "minimize"}


@pytest.fixture(autouse=True)
def _quiet():
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def number_of(config, salt=0) -> float:
    """A number in [0, 1) that only the config decides."""
    return float(np.random.default_rng([salt, *json.dumps(config).encode()]).random())


def values_of(config, objectives) -> list[float]:
    return [number_of(config, n) for n in range(len(objectives))]


def make(space, objectives=(ACCURACY,), storage=None, name=None, **settings) -> optuna.Study:
    return optuna.create_study(
        directions=[DIRECTION[o.direction] for o in objectives],
        sampler=CascadeSampler(space, objectives=objectives, **settings),
        storage=storage,
        study_name=name,
        load_if_exists=True,
    )


def run(study, space, trials, objectives=(ACCURACY,), **settings) -> None:
    study.optimize(
        lambda trial: values_of(space.suggest(trial), objectives), n_trials=trials, **settings
    )


def configs(study, space) -> list:
    return [space.canonical(trial.params) for trial in study.trials if trial.params]


def keys(study, space) -> list[str]:
    return [space.key(config) for config in configs(study, space)]


# The same search


@pytest.mark.parametrize("objectives", [OBJECTIVES[:n] for n in (1, 2, 3)], ids=len)
@pytest.mark.parametrize(
    ("costs", "constraints"),
    [(None, []), (dial_latency, [Constraint("latency_ms", upper=20)])],
    ids=["free", "constrained"],
)
def test_one_after_another_it_proposes_what_the_search_does(objectives, costs, constraints):
    space = dials(6)
    settings = {"costs": costs, "constraints": constraints, "seed": 3}
    study = make(space, objectives, **settings)
    run(study, space, 25, objectives)
    search = EvolutionarySearch(space, objectives=objectives, **settings)
    expected = []
    for _ in range(25):
        expected.append(config := search.ask())
        values = values_of(config, objectives)
        search.tell(config, {o.metric: v for o, v in zip(objectives, values, strict=True)})
    assert configs(study, space) == expected


def test_failures_and_pruned_trials_are_told_as_what_they_are():
    space = dials(6)
    study = make(space)
    search = EvolutionarySearch(space, objectives=[ACCURACY])

    def objective(trial):
        config, number = space.suggest(trial), trial.number
        for step in (1, 3):
            trial.report(number_of(config) / (4 - step), step)
        if number % 4 == 1:
            raise optuna.TrialPruned
        if number % 4 == 2:
            raise RuntimeError
        return float("nan") if number % 4 == 3 else number_of(config)

    study.optimize(objective, n_trials=24, catch=(RuntimeError,))
    for number in range(24):
        config = search.ask()
        assert config == configs(study, space)[number]
        value = number_of(config)
        curve = {1: {"accuracy": value / 3}, 3: {"accuracy": value}}
        if number % 4 == 0:
            search.tell(config, {"accuracy": value}, curve)
        elif number % 4 == 1:
            search.tell_stopped(config, {"accuracy": value}, curve)
        else:
            search.tell_failed(config)


def test_by_ask_and_tell_it_is_the_same():
    space = twelve()
    one, other = make(space, seed=1), make(space, seed=1)
    run(one, space, 8)
    for _ in range(8):
        trial = other.ask()
        config = space.suggest(trial)
        other.tell(trial, number_of(config))
    assert configs(one, space) == configs(other, space)


# Define by run


def test_choices_that_are_not_in_use_are_not_asked_for():
    space = conditional()
    study = make(space)
    run(study, space, 66)
    assert sorted(keys(study, space)) == sorted(space.key(c) for c in space.configs())
    assert [t.params for t in study.trials] == configs(study, space)


def test_choices_may_be_asked_for_by_name_in_any_order_and_kind_and_beside_others():
    space = twelve()
    study = make(space)

    def objective(trial):
        rate = trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)
        kernel = trial.suggest_int("kernel", 3, 5, step=2)
        depth = trial.suggest_float("depth", 1.0, 3.0)
        block = trial.suggest_categorical("block", ["fused_ibn", "ibn"])
        return rate + kernel + depth + len(block)

    study.optimize(objective, n_trials=12)
    assert (
        len({(t.params["depth"], t.params["block"], t.params["kernel"]) for t in study.trials})
        == 12
    )
    assert len({t.params["learning_rate"] for t in study.trials}) == 12


def test_the_whole_space_may_be_asked_for_at_once():
    space = conditional()
    study = make(space)
    for _ in range(30):
        trial = study.ask(space.to_optuna())
        study.tell(trial, number_of(space.canonical(trial.params)))
    assert len(set(keys(study, space))) == 30


def test_an_objective_that_leaves_out_an_option_is_told_so():
    study = make(Space(name="one", choices={"depth": Ordinal(1, 2, 3)}))
    with pytest.raises(SearchError, match=r"'depth' with every option .* Use space\.suggest"):
        study.optimize(lambda trial: trial.suggest_int("depth", 1, 2), n_trials=3)


# What is never proposed


@pytest.mark.parametrize("jobs", [1, 2])
def test_nothing_infeasible_and_nothing_twice_is_proposed(jobs):
    space = dials(6)
    bound = Constraint("latency_ms", upper=15)
    study = make(space, costs=dial_latency, constraints=[bound])
    run(study, space, 40, n_jobs=jobs)
    assert len(set(keys(study, space))) == 40
    assert max(dial_latency(c)["latency_ms"] for c in configs(study, space)) <= 15
    assert [t.constraints for t in study.trials] == [
        {"latency_ms <= 15": dial_latency(c)["latency_ms"] - 15} for c in configs(study, space)
    ]


def test_a_bound_that_nothing_meets_ends_with_the_nearest():
    study = make(dials(6), costs=dial_latency, constraints=[Constraint("latency_ms", upper=-1)])
    with pytest.raises(InfeasibleError, match="latency_ms = 0"):
        run(study, dials(6), 3)


@pytest.mark.parametrize("jobs", [1, 2])
def test_when_the_space_is_used_up_the_study_stops(jobs):
    space = twelve()
    study = make(space)
    run(study, space, 50, n_jobs=jobs)
    done = [t for t in study.trials if t.state == TrialState.COMPLETE]
    assert len({space.key(t.params) for t in done}) == len(done) == 12
    rest = [t for t in study.trials if t.state != TrialState.COMPLETE]
    assert 1 <= len(rest) <= jobs
    assert {(t.state, len(t.params)) for t in rest} == {(TrialState.PRUNED, 0)}


def test_many_pending_trials_are_all_different():
    space = twelve()
    study = make(space)
    trials = [study.ask(space.to_optuna()) for _ in range(12)]
    assert len({space.key(t.params) for t in trials}) == 12
    with pytest.raises(optuna.TrialPruned, match="every network of 'twelve'"):
        study.ask(space.to_optuna())


# Constraints on what is only measured


def test_a_measured_quantity_is_taken_from_the_attributes_of_the_trial():
    space = twelve()
    study = make(space, constraints=[Constraint("energy_mj", upper=0.5)])

    def objective(trial):
        config = space.suggest(trial)
        trial.set_user_attr("energy_mj", number_of(config, 9))
        return number_of(config)

    study.optimize(objective, n_trials=12)
    fits = [number_of(c, 9) <= 0.5 for c in configs(study, space)]
    assert [t.constraints["energy_mj <= 0.5"] <= 0 for t in study.trials] == fits
    best = max(number_of(c) for c, fit in zip(configs(study, space), fits, strict=True) if fit)
    assert study.best_value == best


def test_a_measured_quantity_that_no_trial_sets_is_asked_for():
    study = make(twelve(), constraints=[Constraint("energy_mj", upper=0.5)])
    with pytest.raises(SearchError, match=r"trial 0 has no 'energy_mj'.*set_user_attr"):
        run(study, twelve(), 3)


# Storages, processes, people


def test_a_restarted_study_learns_from_its_trials_and_repeats_none():
    space, storage = twelve(), InMemoryStorage()
    run(make(space, storage=storage, name="s"), space, 5)
    again = make(space, storage=storage, name="s")
    run(again, space, 20)
    assert sorted(keys(again, space)) == sorted(space.key(c) for c in space.configs())


def test_trials_of_another_sampler_teach_too():
    space, storage = twelve(), InMemoryStorage()
    random = optuna.create_study(
        storage=storage, study_name="s", direction="maximize",
        sampler=optuna.samplers.RandomSampler(0),
    )  # fmt: skip
    run(random, space, 6)
    known = set(keys(random, space))
    study = make(space, storage=storage, name="s")
    run(study, space, 12)
    assert len(known) + len(set(keys(study, space)) - known) == 12
    assert len(keys(study, space)) == 6 + 12 - len(known)


def test_two_samplers_of_one_seed_share_a_study_without_repeating_each_other(tmp_path):
    """As two processes would: each has a sampler of its own, and only the storage is shared."""
    space, url = dials(6), f"sqlite:///{tmp_path}/study.db"
    studies = [make(space, storage=url, name="s", costs=dial_latency) for _ in range(2)]
    begin = threading.Barrier(2)

    def work(study):
        begin.wait()
        run(study, space, 8)

    threads = [threading.Thread(target=work, args=(study,)) for study in studies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(keys(studies[0], space))) == len(studies[0].trials) == 16


def test_what_a_person_enqueues_is_evaluated_and_not_proposed_again():
    space = twelve()
    wanted = {"depth": 2, "block": "ibn", "kernel": 5}
    study = make(space)
    study.enqueue_trial(wanted)
    run(study, space, 30)
    assert configs(study, space)[0] == wanted
    assert len(set(keys(study, space))) == len(keys(study, space)) == 12


def test_what_waits_to_be_evaluated_is_not_proposed():
    space = twelve()
    study = make(space)
    first = study.ask()
    study.enqueue_trial({"depth": 2, "block": "ibn", "kernel": 5})
    assert space.suggest(first) != {"depth": 2, "block": "ibn", "kernel": 5}
    waiting = make(space)
    first = [waiting.ask() for _ in range(11)]
    waiting.enqueue_trial({"depth": 2, "block": "ibn", "kernel": 5})
    assert {"depth": 2, "block": "ibn", "kernel": 5} not in [space.suggest(t) for t in first]


@pytest.mark.parametrize("name", ["block", "kernel"])
def test_a_value_that_a_person_fixes_is_kept_and_the_rest_is_new_and_allowed(name):
    space = twelve()
    value = space.choices[name].options[1]
    study = make(space, costs=lambda c: {"latency_ms": c["depth"]},
                 constraints=[Constraint("latency_ms", upper=2)])  # fmt: skip
    for _ in range(4 if name == "kernel" else 2):
        study.enqueue_trial({name: value})
    run(study, space, 20)
    first = configs(study, space)[: 4 if name == "kernel" else 2]
    assert {config[name] for config in first} == {value}
    assert len(set(keys(study, space))) == len(keys(study, space)) == 8


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_what_a_partly_fixed_trial_did_not_take_is_proposed_later():
    space = twelve()
    study = make(space)
    whole = study.sampler
    study.sampler = optuna.samplers.PartialFixedSampler({"kernel": 5}, whole)
    run(study, space, 3)
    assert {config["kernel"] for config in configs(study, space)} == {5}
    study.sampler = whole
    run(study, space, 30)
    assert set(keys(study, space)) == {space.key(c) for c in space.configs()}


def test_one_sampler_may_serve_one_study_after_another():
    space = twelve()
    sampler = CascadeSampler(space, objectives=[ACCURACY])
    runs = []
    for _ in range(2):
        study = optuna.create_study(direction="maximize", sampler=sampler)
        run(study, space, 20)
        runs.append(keys(study, space))
    assert runs[0] == runs[1]
    assert len(runs[0]) == 12


def test_a_pickled_sampler_goes_on():
    space, storage = twelve(), InMemoryStorage()
    study = make(space, storage=storage, name="s")
    run(study, space, 5)
    study.sampler = pickle.loads(pickle.dumps(study.sampler))  # noqa: S301 - our own bytes
    run(study, space, 20)
    assert len(set(keys(study, space))) == len(keys(study, space)) == 12


@pytest.mark.parametrize("directions", [["minimize"], ["maximize", "minimize"]])
def test_a_study_with_other_directions_is_refused(directions):
    sampler = CascadeSampler(twelve(), objectives=[ACCURACY])
    study = optuna.create_study(directions=directions, sampler=sampler)
    with pytest.raises(SearchError, match=r"must be .*\['maximize'\].* Pass directions="):
        study.ask()


# Optuna's own conformance suite, for a space that the suite knows nothing of


class TestConformance(BasicSamplerTestCase):
    @pytest.fixture
    def sampler(self):
        return lambda: CascadeSampler(twelve(), objectives=[Objective("loss", "min")])


def test_the_suggestions_have_the_distributions_of_the_space():
    space = conditional()
    study = make(space)
    run(study, space, 40)
    kinds = {name: d for t in study.trials for name, d in t.distributions.items()}
    assert kinds == space.to_optuna()
    assert kinds["channels"] == IntDistribution(16, 64, step=16)
    assert kinds["expansion"] == CategoricalDistribution((2, 4, 6))
