"""What Ray's metrics are told of a search."""

import pickle
from typing import ClassVar

import pytest

from nas_ray import EvolutionarySearch, Objective, Ordinal, SearchSpace
from nas_ray.evolution import Archive, Candidate
from nas_ray.record import Batch
from nas_ray.tune import metrics
from nas_ray.tune.metrics import Metrics


class Told:
    """A gauge that remembers its last value for every set of tags."""

    values: ClassVar[dict[tuple[str, ...], float]] = {}

    def __init__(self, name: str, description: str, tag_keys: tuple[str, ...]) -> None:
        self.name, self.keys = name, tag_keys

    def set(self, value: float, tags: dict[str, str]) -> None:
        assert tuple(tags) == self.keys
        Told.values[self.name, *tags.values()] = value


@pytest.fixture
def archive(monkeypatch) -> Archive:
    monkeypatch.setattr(metrics, "Gauge", Told)
    monkeypatch.setattr(Told, "values", {})
    space = SearchSpace(name="depths", choices={"depth": Ordinal(1, 2, 3, 4)})
    search = EvolutionarySearch(space, objectives=[Objective("accuracy", "max")])
    one = Archive(search, max_epochs=1)
    one.add_batch(Batch(draws=0, costed=9, feasible=5, scored=3), [])
    for depth, status in ((1, "completed"), (2, "failed"), (3, "running")):
        number = one.start_baseline(Candidate(config={"depth": depth})).number
        if status == "completed":
            one.report(number, 1, {"accuracy": 0.5})
        if status != "running":
            one.finish(number, status)
    return one


def test_trials_candidates_and_front_are_told(archive):
    Metrics(archive).update()
    assert Told.values == {
        ("nas_ray_trials", "depths", "running"): 1,
        ("nas_ray_trials", "depths", "completed"): 1,
        ("nas_ray_trials", "depths", "stopped"): 0,
        ("nas_ray_trials", "depths", "failed"): 1,
        ("nas_ray_candidates", "depths", "costed"): 9,
        ("nas_ray_candidates", "depths", "feasible"): 5,
        ("nas_ray_candidates", "depths", "scored"): 3,
        ("nas_ray_front", "depths"): 1,
    }


def test_they_are_told_at_most_every_few_seconds_and_once_more_at_the_end(archive):
    told = Metrics(archive)
    told.on_step_end(0, [])
    Told.values.clear()
    told.on_step_end(1, [])
    assert not Told.values
    told.on_experiment_end([])
    assert Told.values


def test_ray_tune_may_pickle_them(archive):
    told = Metrics(archive)
    told.update()
    again = pickle.loads(pickle.dumps(told))  # noqa: S301 - of its own making
    Told.values.clear()
    again.update()
    assert Told.values
