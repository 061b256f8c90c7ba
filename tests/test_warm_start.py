"""What another search found out, mapped into a space that has changed."""

from pathlib import Path

import numpy as np
import pytest

from nas_ray import Categorical, Constraint, EvolutionarySearch, Objective, Ordinal, SearchSpace
from nas_ray.errors import RecordError
from nas_ray.evolution import Archive, Candidate
from nas_ray.evolution.warm_start import FIRST, warm_start
from nas_ray.record import Record

OBJECTIVES = [Objective("accuracy", "max"), Objective("latency_ms", "min")]


def before() -> SearchSpace:
    """Kernels up to 7, and a block of which one kind has an expansion."""
    return SearchSpace(
        name="before",
        choices={
            "depth": Ordinal(*range(1, 9)),
            "kernel": Ordinal(3, 5, 7),
            "act": Categorical("relu", "silu"),
        },
    )


def after() -> SearchSpace:
    """No kernel 7 and no choice of activation any more, a width that is new."""
    return SearchSpace(
        name="after",
        choices={
            "depth": Ordinal(*range(1, 9)),
            "kernel": Ordinal(3, 5),
            "width": Ordinal(8, 16, 32),
        },
        baseline={"depth": 4, "kernel": 3, "width": 16},
    )


def latency(config) -> dict[str, float]:
    return {"latency_ms": float(config["depth"] * config["kernel"] * config.get("width", 1))}


def accuracy(config) -> float:
    return 0.5 + config["depth"] / 20 + config["kernel"] / 100


def new_search(space: SearchSpace | None = None, **settings) -> EvolutionarySearch:
    return EvolutionarySearch(space or after(), objectives=OBJECTIVES, costs=latency, **settings)


def made(folder: Path, *configs: dict, epochs: int = 2) -> Record:
    """A finished search over the old space that trained `configs`."""
    record = Record.open(folder, {"space": before().describe()})
    archive = Archive(new_search(before()), max_epochs=epochs, record=record)
    for config in configs:
        number = archive.start_baseline(Candidate(config=config, costs=latency(config))).number
        for epoch in range(1, epochs + 1):
            archive.report(number, epoch, {"accuracy": accuracy(config) * epoch / epochs})
        archive.finish(number, "completed")
    return record


def config(depth: int, kernel: int = 3, act: str = "relu") -> dict:
    return {"depth": depth, "kernel": kernel, "act": act}


def test_networks_are_mapped_and_cost_what_they_cost_here(tmp_path):
    start = warm_start(made(tmp_path, config(2), config(5, kernel=5)), new_search())
    one, other = start.observed
    assert one.config == {"depth": 2, "kernel": 3, "width": 16}
    assert one.costs == {"latency_ms": 2 * 3 * 16.0}
    assert one.metrics == {"accuracy": accuracy(config(2)), "latency_ms": 2 * 3 * 16.0}
    assert {epoch: values["accuracy"] for epoch, values in other.curve.items()} == {
        1: accuracy(config(5, 5)) / 2,
        2: accuracy(config(5, 5)),
    }
    assert not one.final


def test_what_was_assumed_and_what_could_not_be_mapped_is_said(tmp_path):
    record = made(tmp_path, config(1), config(2, act="silu"), config(3, kernel=7))
    assert warm_start(record, new_search()).notes == (
        f"2 of 3 trained networks of {tmp_path} are used.",
        "'act' is no choice here: 2 networks are taken without it.",
        "'width' is new or newly in use: 2 networks are taken to have the baseline's 16.",
        "1 could not be mapped: 'kernel' of space 'after' must be one of (3, 5), but got 7.",
    )


def test_of_networks_that_have_become_the_same_the_last_counts(tmp_path):
    record = made(tmp_path, config(4), config(4, act="silu"))
    start = warm_start(record, new_search())
    assert len(start.observed) == 1
    assert start.notes[0].startswith("1 of 2 trained networks")


def test_what_breaks_a_constraint_here_is_left_out(tmp_path):
    record = made(tmp_path, config(1), config(8))
    search = new_search(constraints=[Constraint("latency_ms", upper=100)])
    assert [one.config["depth"] for one in warm_start(record, search).observed] == [1]


def test_a_search_of_which_nothing_can_be_used_is_refused_with_the_reason(tmp_path):
    record = made(tmp_path, config(1, kernel=7), config(2, kernel=7))
    with pytest.raises(RecordError, match=r"0 of 2 trained .* must be one of \(3, 5\), but got 7"):
        warm_start(record, new_search())


def test_a_search_by_other_objectives_is_refused(tmp_path):
    search = EvolutionarySearch(after(), objectives=[Objective("recall", "max")])
    with pytest.raises(RecordError, match="no value of every objective"):
        warm_start(made(tmp_path, config(1)), search)


def over(folder: Path, record: Record | None = None) -> Archive:
    archive = Archive(new_search(), max_epochs=2, record=Record.open(folder, {"seed": 0}))
    if record is not None:
        archive.warm_up(warm_start(record, archive.search))
    return archive


def test_hints_are_no_trials_and_the_best_are_trained_first(tmp_path):
    depths = range(1, 9)
    archive = over(tmp_path / "new", made(tmp_path / "old", *map(config, depths)))
    assert (archive.started, archive.search.front()) == (0, [])
    started = [one.config for one in iter(archive.start_warm, None)]
    assert len(started) == FIRST
    assert sorted(c["depth"] for c in started) == list(depths)
    assert {t.origin for t in archive.trials.values()} == {"warm start"}


def test_the_same_network_is_known_here_once_it_was_trained_here(tmp_path):
    archive = over(tmp_path / "new", made(tmp_path / "old", config(3)))
    key = archive.search.space.key({"depth": 3, "kernel": 3, "width": 16})
    assert not archive.search.is_known(key)
    number = archive.start_warm().number
    assert archive.search.is_known(key)
    archive.report(number, 2, {"accuracy": 0.9})
    archive.finish(number, "completed")
    (best,) = archive.search.front()
    assert best.metrics["accuracy"] == 0.9


@pytest.mark.parametrize("handed_out", [0, 3])
def test_a_resumed_search_knows_them_still(handed_out, tmp_path):
    live = over(tmp_path / "new", made(tmp_path / "old", *map(config, range(1, 7))))
    for _ in range(handed_out):
        live.start_warm()
    resumed = over(tmp_path / "new")
    assert resumed.warmed_by == live.warmed_by == {str(tmp_path / "old")}
    assert resumed.search.state_dict() == live.search.state_dict()
    rest = [one.config for one in iter(resumed.start_warm, None)]
    assert rest == [one.config for one in iter(live.start_warm, None)]


def test_a_state_with_hints_is_restored(tmp_path):
    live = over(tmp_path / "new", made(tmp_path / "old", config(3))).search
    restored = new_search()
    restored.load_state_dict(live.state_dict())
    assert restored.state_dict() == live.state_dict()
    assert restored.front() == []


def test_a_warm_started_search_is_ahead_of_one_that_is_not(tmp_path):
    """On ten seeds: what it asks for while it has told nothing yet is better."""
    known = [config(depth, kernel) for depth in range(1, 9) for kernel in (3, 5)]
    old, asked = made(tmp_path / "old", *known), {"cold": [], "warm": []}
    for seed in range(10):
        for name, of in asked.items():
            search = EvolutionarySearch(after(), objectives=OBJECTIVES[:1], seed=seed)
            if name == "warm":
                search.tell_elsewhere(warm_start(old, search).observed)
            of.append(np.mean([accuracy(search.ask()) for _ in range(4)]))
    assert np.median(asked["warm"]) > np.median(asked["cold"]) + 0.1
