"""`CascadeSearch` and `CascadeScheduler` in a person's own `tune.Tuner`, and plain searches."""

import json
import time

import pytest
import tiny_job
from ray import tune

import nas_ray
from nas_ray.errors import SearchError

pytestmark = pytest.mark.usefixtures("local_ray")

OBJECTIVES = (nas_ray.Objective("accuracy", "max"), nas_ray.Objective("latency_ms", "min"))
SMALL = nas_ray.Screen(pool=16, scored=4, kept=4)


def accuracy_of(config: dict) -> float:
    return config["width"] / 64 + config["depth"] / 30


def cost_of(config: dict) -> dict[str, float]:
    return {"latency_ms": config["width"] * config["depth"] * config["kernel"] ** 2 / 1000}


def trainable(config: dict) -> None:
    for epoch in range(1, 4):
        tune.report({"epoch": epoch, "accuracy": accuracy_of(config) * epoch / 3})


def evolution(**settings) -> nas_ray.EvolutionarySearch:
    return nas_ray.EvolutionarySearch(
        tiny_job.space(), objectives=OBJECTIVES, costs=cost_of, seed=1, **settings
    )


def fit(folder, searcher, scheduler=None, trial=trainable, param_space=None):
    tuner = tune.Tuner(
        tune.with_resources(trial, {"cpu": 1}),
        param_space=param_space,
        tune_config=tune.TuneConfig(
            search_alg=searcher, scheduler=scheduler, num_samples=-1, reuse_actors=True
        ),
        run_config=tune.RunConfig(storage_path=str(folder), name="run", verbose=0),
    )
    return tuner.fit()


def test_a_tuner_with_both_trains_as_many_as_asked_and_stops_the_losing_ones(tmp_path):
    archive = nas_ray.Archive(evolution(), max_epochs=3)
    results = fit(
        tmp_path,
        nas_ray.CascadeSearch(archive, trials=9, screen=SMALL),
        nas_ray.CascadeScheduler(archive=archive),
        param_space=tiny_job.space().to_tune(),
    )
    statuses = [trial.status for trial in archive.trials.values()]
    assert len(results) == len(statuses) == 9
    assert set(statuses) == {"completed", "stopped"}
    assert sorted(r.metrics["epoch"] for r in results) == sorted(
        trial.epoch for trial in archive.trials.values()
    )
    best = max(o.metrics["accuracy"] for o in archive.search.front())
    assert best == max(t.metrics["accuracy"] for t in archive.trials.values() if t.epoch == 3)


def test_without_its_scheduler_the_searcher_learns_from_every_trial_in_full(tmp_path):
    archive = nas_ray.Archive(evolution(), max_epochs=3)
    fit(tmp_path, nas_ray.CascadeSearch(archive, trials=4, screen=SMALL))
    told = {json.dumps(o.config): o.metrics["accuracy"] for o in archive.search.observations}
    assert len(told) == 4
    full = {json.dumps(t.config): accuracy_of(t.config) for t in archive.trials.values()}
    assert told == pytest.approx(full)


def test_a_searcher_without_zero_shot_scores_is_plain_evolution(tmp_path):
    archive = nas_ray.Archive(evolution(), max_epochs=3)
    screen = nas_ray.Screen(pool=16, scored=0, kept=4)
    fit(tmp_path, nas_ray.CascadeSearch(archive, trials=4, screen=screen))
    assert all(not trial.scores for trial in archive.trials.values())
    assert len(archive.trials) == 4


def slow_cost_of(config: dict) -> dict[str, float]:
    time.sleep(0.02)
    return cost_of(config)


def slow_trainable(config: dict) -> None:
    time.sleep(0.5)
    trainable(config)


def test_one_worker_trains_the_same_networks_whoever_is_slow_the_screening_or_the_training(
    tmp_path,
):
    def trained(folder, costs, trial):
        search = nas_ray.EvolutionarySearch(
            tiny_job.space(), objectives=OBJECTIVES, costs=costs, seed=1
        )
        archive = nas_ray.Archive(search, max_epochs=3)
        fit(folder, nas_ray.CascadeSearch(archive, trials=18, screen=SMALL), trial=trial)
        return [t.config for t in archive.trials.values()]

    slow_screening = trained(tmp_path / "a", slow_cost_of, trainable)
    slow_training = trained(tmp_path / "b", cost_of, slow_trainable)
    assert len(slow_training) == 18
    assert slow_screening == slow_training


def test_nothing_infeasible_is_suggested(tmp_path):
    bound = nas_ray.Constraint("latency_ms", upper=0.3)
    archive = nas_ray.Archive(evolution(constraints=[bound]), max_epochs=3)
    fit(tmp_path, nas_ray.CascadeSearch(archive, trials=6, screen=SMALL))
    bred = [t for t in archive.trials.values() if t.origin != "baseline"]
    assert len(bred) == 5
    assert max(t.costs["latency_ms"] for t in bred) <= 0.3


def test_a_param_space_that_is_another_space_is_refused(tmp_path):
    searcher = nas_ray.CascadeSearch(nas_ray.Archive(evolution(), max_epochs=3), trials=2)
    with pytest.raises(Exception, match="param_space"):
        fit(tmp_path, searcher, param_space={"learning_rate": tune.choice([0.1, 0.2])})


def test_a_plain_tuner_with_random_search_runs_on_the_ray_form_of_a_space(tmp_path):
    space = tiny_job.space()
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        param_space=space.to_tune(),
        tune_config=tune.TuneConfig(
            num_samples=4, metric="accuracy", mode="max", reuse_actors=True
        ),
        run_config=tune.RunConfig(storage_path=str(tmp_path), name="run", verbose=0),
    )
    results = tuner.fit()
    assert [space.canonical(r.config) for r in results] == [r.config for r in results]
    best = results.get_best_result()
    # Sums of the same numbers in another order.
    assert best.metrics["accuracy"] == pytest.approx(max(accuracy_of(r.config) for r in results))


@pytest.mark.parametrize("settings", [{"trials": 0}, {"trials": 1, "max_concurrent": 0}])
def test_a_search_for_nothing_is_refused(settings):
    with pytest.raises(SearchError, match="at least 1"):
        nas_ray.CascadeSearch(nas_ray.Archive(evolution(), max_epochs=3), **settings)


def test_a_scheduler_beside_another_searcher_says_what_to_give_it(tmp_path):
    archive = nas_ray.Archive(evolution(), max_epochs=3)
    with pytest.raises(tune.TuneError, match="Give the same archive"):
        fit(
            tmp_path,
            nas_ray.CascadeSearch(nas_ray.Archive(evolution(), max_epochs=3), trials=2),
            nas_ray.CascadeScheduler(archive=archive),
        )


def test_a_used_up_space_does_not_end_the_search_while_a_trial_may_yet_be_promoted(tmp_path):
    archive = nas_ray.Archive(evolution(), max_epochs=3, patient=True)
    searcher = nas_ray.CascadeSearch(archive, trials=9, screen=SMALL)
    assert searcher.suggest("first")
    archive.report(0, 1, {"accuracy": 0.5})
    searcher._screening.exhausted = True
    assert searcher.suggest("second") is None
    searcher.on_trial_complete("first")
    assert searcher.suggest("second") == "FINISHED"


@pytest.mark.parametrize(
    ("patient", "stall", "answer"),
    [(False, None, "FINISHED"), (False, 5, "FINISHED"), (True, None, None)],
)
def test_once_all_are_begun_it_is_over_unless_a_stopped_one_may_be_promoted(patient, stall, answer):
    archive = nas_ray.Archive(evolution(), max_epochs=3, patient=patient)
    searcher = nas_ray.CascadeSearch(archive, trials=1, stall=stall, screen=SMALL)
    assert searcher.suggest("only")
    assert searcher.suggest("another") == answer


def test_while_the_last_trial_of_a_stall_runs_it_is_not_over():
    """It may change the front, and the search then goes on."""
    archive = nas_ray.Archive(evolution(), max_epochs=3)
    searcher = nas_ray.CascadeSearch(archive, trials=9, stall=1, screen=SMALL)
    assert searcher.suggest("first")
    archive.stalled_for = 1
    assert searcher.suggest("second") is None


class Controller:
    """What a scheduler calls of Ray Tune's controller when a trial is added."""

    pending = 1

    def update_max_pending_trials(self, most: int) -> None:
        self.pending = most


@pytest.mark.parametrize(("limit", "archived", "waits"), [(None, True, False), ("3", True, True),
                                                          (None, False, True)])  # fmt: skip
def test_trials_start_together_unless_a_person_or_another_searcher_decides(
    monkeypatch, limit, archived, waits
):
    if limit is not None:
        monkeypatch.setenv("TUNE_MAX_PENDING_TRIALS_PG", limit)
    archive = nas_ray.Archive(evolution(), max_epochs=3)
    scheduler = (
        nas_ray.CascadeScheduler(archive=archive)
        if archived
        else nas_ray.CascadeScheduler(OBJECTIVES, max_epochs=3)
    )
    controller = Controller()
    scheduler.on_trial_add(controller, None)
    assert (controller.pending == 1) is waits
