"""`LightningTrial` in a plain Ray Tune run: what it reports, keeps, resumes and raises."""

import json
from pathlib import Path

import pytest
import tiny_job
import torch
from ray import tune

import nas_ray
from nas_ray.tune.results import RESUME_FROM, numbers_in

pytestmark = pytest.mark.usefixtures("local_ray")

CONFIG = {"width": 16, "depth": 2, "kernel": 3}


def fit(folder: Path, trial: nas_ray.LightningTrial, config: dict, **settings):
    tuner = tune.Tuner(
        tune.with_resources(trial, {"cpu": 1}),
        param_space=config,
        tune_config=tune.TuneConfig(reuse_actors=True, max_concurrent_trials=1),
        run_config=tune.RunConfig(storage_path=str(folder), name="run", verbose=0, **settings),
    )
    return tuner.fit()


def weights(folder: str | Path) -> dict[str, torch.Tensor]:
    return torch.load(Path(folder) / "network.pt", weights_only=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, small_device):
    """Four epochs without an interruption."""
    trial = nas_ray.LightningTrial(
        tiny_job.space(), tiny_job.task, tiny_job.data, device=small_device, max_epochs=4
    )
    return fit(tmp_path_factory.mktemp("whole"), trial, CONFIG)[0]


def test_every_epoch_is_reported_with_accuracy_and_estimated_costs(whole, small_device):
    table = whole.metrics_dataframe
    assert list(table["epoch"]) == [1, 2, 3, 4]
    assert table["accuracy"].between(0, 1).all()
    space = tiny_job.space()
    costs = small_device.estimate_configs(space, [CONFIG]).iloc[0]
    for name, value in costs.items():
        assert set(table[name]) == {value}


def test_the_checkpoint_holds_the_config_and_weights_that_load_into_the_built_network(whole):
    folder = Path(whole.checkpoint.path)
    assert json.loads((folder / "config.json").read_text()) == CONFIG
    tiny_job.space().build(CONFIG).load_state_dict(weights(folder))


def test_a_trial_resumed_from_a_checkpoint_ends_as_if_it_had_never_stopped(
    whole, tmp_path, small_device
):
    trial = nas_ray.LightningTrial(
        tiny_job.space(), tiny_job.task, tiny_job.data, device=small_device, max_epochs=4
    )
    first = fit(tmp_path / "a", trial, CONFIG, stop={"epoch": 2})[0]
    assert first.metrics["epoch"] == 2
    again = {**CONFIG, RESUME_FROM: first.checkpoint.path}
    second = fit(tmp_path / "b", trial, again)[0]
    assert list(second.metrics_dataframe["epoch"]) == [3, 4]
    assert second.metrics["accuracy"] == whole.metrics["accuracy"]
    for name, value in weights(second.checkpoint.path).items():
        torch.testing.assert_close(value, weights(whole.checkpoint.path)[name], atol=0, rtol=0)


def test_a_module_that_keeps_its_network_and_logs_last_is_resumed_and_heard(tmp_path):
    trial = nas_ray.LightningTrial(
        tiny_job.space(), tiny_job.keeping_task, tiny_job.data, max_epochs=2
    )
    first = fit(tmp_path / "a", trial, CONFIG, stop={"epoch": 1})[0]
    second = fit(tmp_path / "b", trial, {**CONFIG, RESUME_FROM: first.checkpoint.path})[0]
    assert second.error is None
    told = [numbers_in(result.metrics) for result in (first, second)]
    assert [one["val/epochs"] for one in told] == [1.0, 2.0]
    assert [one["error"] for one in told] == [0.25, 0.25]


def test_trials_share_one_worker_and_each_has_the_threads_it_was_promised(tmp_path):
    trial = nas_ray.LightningTrial(
        tiny_job.space(), tiny_job.process_task, tiny_job.data, max_epochs=1
    )
    grid = {**CONFIG, "depth": tune.grid_search([1, 2, 3])}
    results = [result.metrics for result in fit(tmp_path, trial, grid)]
    assert [r["epoch"] for r in results] == [1, 1, 1]
    assert len({r["process"] for r in results}) == 1
    assert {r["threads"] for r in results} == {1.0}


def test_outside_a_cascade_search_a_failure_is_raised_as_ray_tune_expects(tmp_path):
    trial = nas_ray.LightningTrial(
        tiny_job.unsound_space("nan"), tiny_job.task, tiny_job.data, max_epochs=3
    )
    config = {"width": 8, "depth": 1, "kernel": 3, "kind": "nan"}
    (result,) = fit(tmp_path, trial, config)
    assert "must be finite" in str(result.error)


def test_a_task_that_makes_no_lightning_module_is_refused(tmp_path):
    trial = nas_ray.LightningTrial(tiny_job.space(), tiny_job.no_task, tiny_job.data, max_epochs=1)
    (result,) = fit(tmp_path, trial, CONFIG)
    assert "a task must return a LightningModule" in str(result.error)
