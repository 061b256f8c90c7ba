"""The record of a search as an Optuna study, worked out by hand. Constraint: latency_ms <= 2."""

import json
import warnings
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import TrialState

import nas_ray
from nas_ray.errors import RecordError
from nas_ray.record import Record
from nas_ray.studies import LiveStudy, as_study

ACCURACY = {"metric": "accuracy", "direction": "max"}
LATENCY = {"metric": "latency_ms", "direction": "min"}
CHOICES = {
    "block": {"kind": "Categorical", "options": ["ibn", "plain"], "when": {}},
    "expansion": {"kind": "Ordinal", "options": [2, 4], "when": {"block": ["ibn"]}},
    "channels": {"kind": "Channels", "options": [16, 32, 48], "when": {}},
}
IBN = {"block": "ibn", "expansion": 4, "channels": 32}
PLAIN = {"block": "plain", "channels": 16}


def opened(folder: Path, objectives=(ACCURACY, LATENCY)) -> Record:
    header = {
        "space": {"name": "cells", "choices": CHOICES},
        "objectives": list(objectives),
        "constraints": [{"metric": "latency_ms", "upper": 2.0, "lower": None}],
        "seed": 7,
    }
    return Record.open(folder, header)


def start(number, config, latency, origin="evolution") -> dict:
    return {
        "event": "start",
        "trial": number,
        "config": config,
        "origin": origin,
        "costs": {"latency_ms": latency, "macs": 100.0},
        "scores": {"synflow": 3.0},
    }


def result(number, epoch, accuracy) -> dict:
    metrics = {"accuracy": accuracy, "loss": 1 - accuracy}
    checkpoint = f"checkpoints/{number}/{epoch}"
    return {
        "event": "result",
        "trial": number,
        "epoch": epoch,
        "metrics": metrics,
        "checkpoint": checkpoint,
    }


def end(number, status, error="") -> dict:
    return {"event": "end", "trial": number, "status": status, "error": error}


EVENTS = [
    start(0, IBN, 2.5, origin="baseline"),
    result(0, 1, 0.5),
    start(1, PLAIN, 1.0),
    result(0, 2, 0.75),
    end(0, "completed"),
    result(1, 1, 0.25),
    end(1, "stopped"),
    start(2, {**IBN, "channels": 48}, 1.5),
    end(2, "failed", "Traceback: boom"),
    start(3, {**PLAIN, "channels": 48}, 1.75),
    result(3, 1, 0.5),
    {"event": "test", "trial": 0, "metrics": {"test_accuracy": 0.625}},
]


def append(record: Record, events) -> Record:
    for event in events:
        record.append(event)
    return record


def plain(study: optuna.Study) -> list:
    return [
        (t.number, t.state, t.params, t.distributions, t.values, t.constraints,
         t.intermediate_values, t.user_attrs)
        for t in study.trials
    ]  # fmt: skip


def loaded(folder: Path) -> optuna.Study:
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(folder / "study.log"))
    )
    return optuna.load_study(study_name=folder.name, storage=storage)


# What is in it


def test_the_study_is_named_and_directed_like_the_search(tmp_path):
    study = as_study(append(opened(tmp_path / "digits"), EVENTS))
    assert study.study_name == "digits"
    assert study.directions == [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE]
    assert study.metric_names == ["accuracy", "latency_ms"]
    assert study.user_attrs["search"]["seed"] == 7
    assert study.user_attrs["test"] == {"0": {"test_accuracy": 0.625}}


def test_trials_have_the_states_and_values_of_the_record(tmp_path):
    study = as_study(append(opened(tmp_path / "run"), EVENTS))
    assert [(t.number, t.state, t.values) for t in study.trials] == [
        (0, TrialState.COMPLETE, [0.75, 2.5]),
        (1, TrialState.PRUNED, None),
        (2, TrialState.FAIL, None),
        (3, TrialState.RUNNING, None),
    ]


def test_parameters_are_the_choices_in_use_with_the_distributions_of_the_space(tmp_path):
    study = as_study(append(opened(tmp_path / "run"), EVENTS))
    assert [t.params for t in study.trials[:2]] == [IBN, PLAIN]
    assert study.trials[0].distributions == {
        "block": CategoricalDistribution(("ibn", "plain")),
        "expansion": CategoricalDistribution((2, 4)),
        "channels": IntDistribution(16, 48, step=16),
    }
    assert set(study.trials[1].distributions) == {"block", "channels"}


def test_constraints_say_by_how_much_they_are_broken_or_kept(tmp_path):
    study = as_study(append(opened(tmp_path / "run"), EVENTS))
    broken = [t.constraints["latency_ms <= 2"] for t in study.trials]
    assert broken == [0.5, -1.0, -0.5, -0.25]
    assert study.best_trials == []  # the only complete one takes too long


def test_attributes_tell_where_a_network_comes_from_and_what_became_of_it(tmp_path):
    study = as_study(append(opened(tmp_path / "run"), EVENTS))
    costs = {"cost.latency_ms": 2.5, "cost.macs": 100.0, "score.synflow": 3.0}
    assert study.trials[0].user_attrs == {
        "number": 0,
        "origin": "baseline",
        **costs,
        "metric.accuracy": 0.75,
        "metric.loss": 0.25,
        "checkpoint": "checkpoints/0/2",
    }
    assert study.trials[2].user_attrs["error"] == "Traceback: boom"


def test_with_one_objective_the_values_by_epoch_are_in_it(tmp_path):
    study = as_study(append(opened(tmp_path / "run", [ACCURACY]), EVENTS))
    assert [t.intermediate_values for t in study.trials] == [
        {1: 0.5, 2: 0.75},
        {1: 0.25},
        {},
        {1: 0.5},
    ]
    assert [t.values for t in study.trials] == [[0.75], [0.25], None, None]


def test_a_trial_that_completed_without_every_objective_has_failed(tmp_path):
    events = [start(0, IBN, 1.0), end(0, "completed")]
    assert as_study(append(opened(tmp_path), events)).trials[0].state == TrialState.FAIL


def test_a_choice_that_the_header_does_not_describe_is_refused(tmp_path):
    record = append(opened(tmp_path), [start(0, {**PLAIN, "stride": 2}, 1.0)])
    with pytest.raises(RecordError, match="'stride' is not in it"):
        as_study(record)


# Again, and step by step


@pytest.mark.parametrize("objectives", [[ACCURACY], [ACCURACY, LATENCY]], ids=len)
def test_step_by_step_it_becomes_what_it_is_at_once(tmp_path, objectives):
    record = opened(tmp_path / "run", objectives)
    live = LiveStudy(record)
    for event in EVENTS:
        record.append(event)
        live.update(record.trials())
    assert plain(loaded(record.folder)) == plain(as_study(record))
    assert loaded(record.folder).user_attrs == as_study(record).user_attrs


@pytest.mark.parametrize("cut", range(len(EVENTS) + 1))
def test_a_resumed_search_goes_on_with_the_study_it_has(tmp_path, cut):
    record = append(opened(tmp_path / "run"), EVENTS[:cut])
    LiveStudy(record).update(record.trials())
    append(record, EVENTS[cut:])
    again = LiveStudy(record)
    for _ in range(2):
        again.update(record.trials())
    assert plain(loaded(record.folder)) == plain(as_study(record))


@pytest.mark.parametrize("url", ["sqlite:///{}/study.db", None], ids=["sqlite", "in_memory"])
def test_twice_into_one_storage_is_as_good_as_once(tmp_path, url):
    record = append(opened(tmp_path / "run"), EVENTS[:6])
    storage = optuna.storages.get_storage(url and url.format(tmp_path))
    as_study(record, storage)
    append(record, EVENTS[6:])
    expected = plain(as_study(record))
    assert plain(as_study(record, storage)) == plain(as_study(record, storage)) == expected


def test_another_search_does_not_get_into_the_study(tmp_path):
    storage = optuna.storages.InMemoryStorage()
    as_study(append(opened(tmp_path / "a" / "run"), EVENTS), storage)
    other = append(opened(tmp_path / "b" / "run", [LATENCY, ACCURACY]), EVENTS)
    with pytest.raises(RecordError, match="already has a study 'run', and it is not of the search"):
        as_study(other, storage)


# Nothing that happens to the file is worth a search


def test_a_file_that_cannot_be_written_is_one_warning(tmp_path):
    record = append(opened(tmp_path / "run"), EVENTS)
    (record.folder / "study.log").mkdir()
    live = LiveStudy(record)
    with pytest.warns(UserWarning, match=r"study.log is not kept up to date any more.*as_study"):
        live.update(record.trials())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        live.update(record.trials())
        LiveStudy(record).update(record.trials())  # where warnings are errors, it raises none


def test_a_file_that_a_crash_left_unreadable_is_written_anew(tmp_path):
    record = append(opened(tmp_path / "run"), EVENTS)
    LiveStudy(record).update(record.trials())
    path = record.folder / "study.log"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + b'{"half": \n' + whole[len(whole) // 2 :])
    LiveStudy(record).update(record.trials())
    assert plain(loaded(record.folder)) == plain(as_study(record))


def test_a_lock_that_a_killed_process_left_is_taken_away(tmp_path):
    record = append(opened(tmp_path / "run"), EVENTS)
    LiveStudy(record).update({})
    (record.folder / "study.log.lock").symlink_to(record.folder / "study.log")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    LiveStudy(record).update(record.trials())
    assert len(loaded(record.folder).trials) == 4


# In a search


@pytest.mark.usefixtures("local_ray")
def test_a_search_keeps_its_study_and_a_resumed_one_goes_on_with_it(tmp_path, small_device):
    import tiny_job  # noqa: PLC0415 - needs torch, which the laws above do not

    def run(trials):
        nas_ray.search(
            tiny_job.space(), tiny_job.task, tiny_job.data, device=small_device, trials=trials,
            max_epochs=2, storage=tmp_path / "run", seed=0,
            screen=nas_ray.Screen(pool=24, scored=8, kept=4),
            resources=nas_ray.Resources(max_concurrent=1),
        )  # fmt: skip

    for trials in (2, 4):
        run(trials)
        record = Record.read(tmp_path / "run")
        assert plain(loaded(record.folder)) == plain(as_study(record))
        assert len(loaded(record.folder).trials) == trials
    assert json.loads(json.dumps(loaded(record.folder).user_attrs["search"])) == record.header
