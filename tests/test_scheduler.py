"""`CascadeScheduler` alone, in a plain Ray Tune run with several objectives."""

import pytest
from ray import tune

from nas_ray import CascadeScheduler, Objective
from nas_ray.errors import SearchError

OBJECTIVES = (Objective("accuracy", "max"), Objective("latency_ms", "min"))


def straight_line(config: dict) -> None:
    for epoch in range(1, 10):
        tune.report({"accuracy": config["slope"] * epoch, "latency_ms": config["latency_ms"]})


def epochs_trained(folder, points: list[tuple[float, float]], **settings) -> list[int]:
    """How long each of `points` (slope, latency) is trained, one after another."""
    tuner = tune.Tuner(
        tune.with_resources(straight_line, {"cpu": 1}),
        param_space={
            "point": tune.grid_search(points),
            "slope": tune.sample_from(lambda spec: spec["point"][0]),
            "latency_ms": tune.sample_from(lambda spec: spec["point"][1]),
        },
        tune_config=tune.TuneConfig(
            scheduler=CascadeScheduler(OBJECTIVES, **settings),
            max_concurrent_trials=1,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(storage_path=str(folder), name="run", verbose=0),
    )
    return [result.metrics["training_iteration"] for result in tuner.fit()]


def test_a_dominated_trial_stops_at_the_first_rung_and_its_dominator_trains_in_full(
    local_ray, tmp_path
):
    # Each later one is worse in both objectives than all before it.
    points = [(0.09, 1.0), (0.08, 2.0), (0.07, 3.0)]
    assert epochs_trained(tmp_path, points, max_epochs=9) == [9, 1, 1]


def test_a_slower_but_more_accurate_trial_is_not_stopped_for_being_slower(local_ray, tmp_path):
    # Ends of the front are never crowded: both objectives have their champion.
    points = [(0.05, 1.0), (0.09, 2.0), (0.02, 0.5)]
    assert epochs_trained(tmp_path, points, max_epochs=9) == [9, 9, 9]


def test_trials_shorter_than_the_first_rung_are_left_alone(local_ray, tmp_path):
    points = [(0.09, 1.0), (0.08, 2.0), (0.07, 3.0)]
    assert epochs_trained(tmp_path, points, max_epochs=9, grace_epochs=9) == [9, 9, 9]


def test_an_objective_that_trials_do_not_report_is_refused_with_the_nearest_name(
    local_ray, tmp_path
):
    tuner = tune.Tuner(
        straight_line,
        param_space={"slope": 1.0, "latency_ms": 1.0},
        tune_config=tune.TuneConfig(
            scheduler=CascadeScheduler([Objective("acuracy", "max")], max_epochs=9)
        ),
        run_config=tune.RunConfig(storage_path=str(tmp_path), name="run", verbose=0),
    )
    with pytest.raises(tune.TuneError, match="did you mean 'accuracy'"):
        tuner.fit()


@pytest.mark.parametrize(
    "settings",
    [{}, {"max_epochs": 9}, {"objectives": OBJECTIVES}],
    ids=["neither", "no_objectives", "no_epochs"],
)
def test_without_an_archive_it_needs_objectives_and_epochs(settings):
    with pytest.raises(SearchError):
        CascadeScheduler(**settings)
