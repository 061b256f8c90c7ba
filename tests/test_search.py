"""`nas_ray.search` end to end: what it finds, what it refuses, what survives a fault."""

import errno
import json
import os
import threading
from pathlib import Path

import pytest
import tiny_job
import torch

import nas_ray
from nas_ray.errors import InfeasibleError, NasRayError, RecordError, SearchError, SpaceError
from nas_ray.record import Record

pytestmark = pytest.mark.usefixtures("local_ray")

SMALL = nas_ray.Screen(pool=24, scored=8, kept=4)
ONE_AT_A_TIME = nas_ray.Resources(max_concurrent=1)
NOT_AGAIN = nas_ray.Resources(max_concurrent=1, retries=0)


def run(folder: Path, device, space=None, task=tiny_job.task, **changes) -> nas_ray.SearchResult:
    settings = {
        "device": device,
        "trials": 5,
        "max_epochs": 3,
        "screen": SMALL,
        "seed": 0,
        "resources": ONE_AT_A_TIME,
        **changes,
    }
    return nas_ray.search(
        space or tiny_job.space(), task, tiny_job.data, storage=folder, **settings
    )


def journal(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, small_device) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    run(folder, small_device, constraints=[nas_ray.Constraint("latency_ms", upper=0.02)])
    return folder


def test_same_seed_and_one_worker_propose_and_measure_the_same(finished, tmp_path, small_device):
    run(
        tmp_path / "again",
        small_device,
        constraints=[nas_ray.Constraint("latency_ms", upper=0.02)],
    )
    first = Record.read(finished).trials().values()
    again = Record.read(tmp_path / "again").trials().values()
    assert [t.config for t in first] == [t.config for t in again]
    assert [t.curve for t in first] == [t.curve for t in again]
    assert [t.scores for t in first] == [t.scores for t in again]


def test_the_baseline_comes_first_and_is_trained_in_full_and_tested(finished):
    first = Record.read(finished).trials()[0]
    assert (first.origin, first.status, first.epoch) == ("baseline", "completed", 3)
    assert first.config == tiny_job.space().baseline
    assert first.test["test_accuracy"] > 0.5


def test_only_networks_within_the_constraint_are_trained(finished):
    trials = Record.read(finished).trials().values()
    bred = [trial for trial in trials if trial.origin != "baseline"]
    assert len(bred) == 4
    assert max(trial.costs["latency_ms"] for trial in bred) <= 0.02


def test_no_network_is_trained_twice_and_every_epoch_is_recorded_once(finished):
    space = tiny_job.space()
    keys = [space.key(trial.config) for trial in Record.read(finished).trials().values()]
    assert len(set(keys)) == len(keys) == 5
    epochs = [(e["trial"], e["epoch"]) for e in journal(finished) if e["event"] == "result"]
    assert len(set(epochs)) == len(epochs)


def test_every_trained_network_has_a_checkpoint_that_plain_torch_loads(finished):
    record = Record.read(finished)
    for trial in record.trials().values():
        folder = record.checkpoint_path(trial)
        assert json.loads((folder / "config.json").read_text()) == trial.config
        weights = torch.load(folder / "network.pt", weights_only=True)
        tiny_job.space().build(trial.config).load_state_dict(weights)


def test_the_same_folder_again_keeps_what_is_finished_and_goes_on(tmp_path, small_device):
    run(tmp_path, small_device, trials=3)
    before = Record.read(tmp_path).trials()
    result = run(tmp_path, small_device, trials=5)
    after = Record.read(tmp_path).trials()
    assert len(after) == 5
    assert {n: t.curve for n, t in after.items() if n in before} == {
        n: t.curve for n, t in before.items()
    }
    assert len(result.trials) == 5


def test_a_finished_search_started_again_trains_nothing(finished, small_device):
    before = journal(finished)
    run(
        finished,
        small_device,
        constraints=[nas_ray.Constraint("latency_ms", upper=0.02)],
    )
    *same, new = journal(finished)
    assert same == before
    assert (new["event"], new["trials"]) == ("run", 5)


@pytest.fixture(scope="module")
def unsound(tmp_path_factory, small_device) -> Path:
    """A search through every network of a space in which only the baseline is sound."""
    folder = tmp_path_factory.mktemp("unsound")
    space = tiny_job.unsound_space("wrong_outputs", "nan", "dies", "raises", "no_module")
    with pytest.warns(UserWarning, match="the search ended after 4 of 20 trials"):
        run(folder, small_device, space, trials=20, max_epochs=2, resources=NOT_AGAIN)
    return folder


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("wrong_outputs", "Build the network with 10 outputs"),
        ("nan", "must be finite"),
        ("dies", "worker"),
    ],
)
def test_a_network_that_fails_is_one_failed_trial_with_its_reason_in_the_report(
    kind, says, unsound
):
    (trial,) = [t for t in Record.read(unsound).trials().values() if t.config["kind"] == kind]
    assert trial.status == "failed"
    assert says in trial.error
    assert says in (unsound / "report.html").read_text()


@pytest.mark.parametrize(
    ("kind", "says"),
    [("raises", "raised RuntimeError: no such network"), ("no_module", "it returned str")],
)
def test_a_config_that_builds_no_network_is_never_a_trial_and_is_told_of(kind, says, unsound):
    record = Record.read(unsound)
    assert kind not in [trial.config["kind"] for trial in record.trials().values()]
    assert any(says in reason for batch in record.batches() for reason in batch.unbuildable)
    assert says in (unsound / "report.html").read_text()


def test_a_search_goes_on_past_failures_and_ends_when_the_space_is_used_up(unsound):
    statuses = {t.config["kind"]: t.status for t in Record.read(unsound).trials().values()}
    failed = dict.fromkeys(("wrong_outputs", "nan", "dies"), "failed")
    assert statuses == {"sound": "completed", **failed}


# What is refused, before anything is trained


def test_a_baseline_that_cannot_be_built_is_refused_at_once(tmp_path, small_device):
    space = tiny_job.unsound_space("raises")
    space.baseline["kind"] = "raises"
    with pytest.raises(SpaceError, match="no such network"):
        run(tmp_path / "new", small_device, space)
    assert not (tmp_path / "new").exists()


def test_a_space_that_cannot_be_sent_to_workers_is_refused_at_once(tmp_path, small_device):
    space = tiny_job.space()
    space.lock = threading.Lock()
    with pytest.raises(SearchError, match="the space is sent to Ray's workers"):
        run(tmp_path / "new", small_device, space)
    assert not (tmp_path / "new").exists()


def test_a_bound_nothing_meets_is_refused_with_the_best_reachable_value(tmp_path, small_device):
    bound = nas_ray.Constraint("latency_ms", upper=1e-6)
    with pytest.raises(InfeasibleError, match=r"latency_ms = 0\.\d+"):
        run(tmp_path / "new", small_device, constraints=[bound])
    assert not (tmp_path / "new").exists()


def test_a_bound_on_what_nothing_reports_is_refused_with_the_nearest_name(tmp_path, small_device):
    bound = nas_ray.Constraint("latency", upper=1.0)
    with pytest.raises(SearchError, match="did you mean 'latency_ms'"):
        run(tmp_path / "new", small_device, constraints=[bound])
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "settings",
    [
        {"trials": 0},
        {"max_epochs": 0},
    ],
    ids=["no_trials", "no_epochs"],
)
def test_a_budget_of_nothing_is_refused(settings, tmp_path, small_device):
    with pytest.raises(SearchError, match="at least 1"):
        run(tmp_path / "new", small_device, **settings)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "settings",
    [
        {"cpus_per_trial": 0},
        {"gpus_per_trial": -1.0},
        {"max_concurrent": 0},
        {"retries": -1},
    ],
    ids=["no_cpu", "negative_gpu", "none_at_once", "fewer_than_none_again"],
)
def test_resources_that_mean_nothing_are_refused(settings):
    with pytest.raises(SearchError, match="must be at least"):
        nas_ray.Resources(**settings)


def test_an_objective_that_is_not_logged_ends_the_search_with_the_nearest_name(
    tmp_path, small_device
):
    with pytest.raises(SearchError, match="did you mean 'acuracy'"):
        run(tmp_path, small_device, task=tiny_job.unlogged_task)
    assert [e["event"] for e in journal(tmp_path) if e["event"] == "result"] == []


def test_the_folder_of_another_space_is_refused_and_left_as_it_was(finished, small_device):
    before = {path: path.read_bytes() for path in finished.glob("*.json*")}
    with pytest.raises(RecordError, match="holds another search"):
        run(finished, small_device, tiny_job.space(name="other"))
    assert {path: path.read_bytes() for path in finished.glob("*.json*")} == before


def test_a_folder_that_cannot_be_written_is_refused_before_training(tmp_path, small_device):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RecordError, match="cannot be written"):
        run(tmp_path / "file" / "run", small_device)


def test_a_full_disk_ends_the_search_and_the_same_call_goes_on_once_there_is_space(
    tmp_path, small_device, monkeypatch
):
    written = []

    def full_after_four(descriptor: int) -> None:
        written.append(descriptor)
        if len(written) > 4:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_after_four)
        with pytest.raises(NasRayError, match=r"No space left on device.*same command"):
            run(tmp_path, small_device)
    kept = Record.read(tmp_path).trials()
    assert kept
    run(tmp_path, small_device)
    trials = Record.read(tmp_path).trials()
    assert len(trials) == 5
    assert {n: t.config for n, t in trials.items() if n in kept} == {
        n: t.config for n, t in kept.items()
    }
    assert {t.status for t in trials.values()} <= {"completed", "stopped"}


def test_two_searches_never_write_to_one_folder(tmp_path, small_device):
    folder = tmp_path / "run"
    run(folder, small_device, trials=1, max_epochs=1)
    before = (folder / "journal.jsonl").read_bytes()
    with (
        Record.read(folder).held(),
        pytest.raises(RecordError, match="another search is writing"),
    ):
        run(folder, small_device, trials=2, max_epochs=1)
    assert (folder / "journal.jsonl").read_bytes() == before


def test_a_folder_of_the_same_space_with_another_task_is_refused(finished, small_device):
    with pytest.raises(RecordError, match=r"its task is tiny_job.task"):
        run(
            finished,
            small_device,
            task=tiny_job.slow_task,
            constraints=[nas_ray.Constraint("latency_ms", upper=0.02)],
        )


def test_storage_that_fills_up_under_a_checkpoint_ends_the_search_and_fails_no_trial(
    tmp_path, small_device
):
    # The folder of the checkpoints is a file: no checkpoint can be written.
    (tmp_path / "checkpoints").write_text("in the way")
    with pytest.raises(NasRayError, match="the same command"):
        run(tmp_path, small_device)
    assert "failed" not in {t.status for t in Record.read(tmp_path).trials().values()}
