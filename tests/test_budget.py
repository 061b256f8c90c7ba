"""When a search ends."""

import time

import pytest

from nas_ray import EvolutionarySearch, Objective, Ordinal, SearchSpace
from nas_ray.cli import main
from nas_ray.errors import SearchError
from nas_ray.evolution import Archive, Candidate
from nas_ray.tune.budget import Budget


def archive() -> Archive:
    space = SearchSpace(name="depths", choices={"depth": Ordinal(*range(1, 41))})
    search = EvolutionarySearch(space, objectives=[Objective("accuracy", "max")])
    return Archive(search, max_epochs=3)


def end(of: Archive, depth: int, accuracy: float | None) -> None:
    """One trial trained in full, or one that failed."""
    number = of.start_baseline(Candidate(config={"depth": depth})).number
    if accuracy is not None:
        of.report(number, 3, {"accuracy": accuracy})
    of.finish(number, "failed" if accuracy is None else "completed")


def test_a_front_stalls_by_the_trials_that_ended_since_it_changed():
    one, stalled = archive(), []
    for depth, accuracy in enumerate([0.5, 0.4, None, 0.6, 0.6, 0.1], start=1):
        end(one, depth, accuracy)
        stalled.append(one.stalled_for)
    # The second 0.6 is no better, but no worse: it is on the front beside the first.
    assert stalled == [0, 1, 2, 0, 0, 1]


def test_time_interrupts_once_it_is_over_and_not_before():
    one, budget = archive(), Budget(trials=5, time_s=0.2)
    with budget.counted(one):
        assert (one.interrupted, budget.is_spent) == (False, False)
        time.sleep(0.5)
        assert (one.interrupted, budget.is_spent) == (True, True)
    assert "0 of 5 trials: its 0.2 s are over. 0 under way" in budget.why_early(one)


def test_what_ends_in_time_is_not_interrupted_afterwards():
    one, budget = archive(), Budget(trials=1, time_s=0.2)
    with budget.counted(one):
        end(one, 1, 0.5)
    time.sleep(0.4)
    assert (one.interrupted, budget.why_early(one)) == (False, "")


def test_why_a_search_ended_before_its_trials():
    one = archive()
    for depth in (1, 2, 3):
        end(one, depth, 1.0 - depth / 10)
    assert Budget(trials=3, stall=2).why_early(one) == ""
    assert "the last 2 did not change the front" in Budget(trials=9, stall=2).why_early(one)
    assert "no further network" in Budget(trials=9, stall=3).why_early(one)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trials": 0}, "trials must be at least 1"),
        ({"trials": 1, "stall": 0}, "stall must be at least 1"),
        ({"trials": 1, "time_s": 0.0}, "time_s must be above 0"),
        ({"trials": 1, "time_s": float("nan")}, "time_s must be above 0"),
    ],
)
def test_a_budget_of_nothing_is_refused(settings, message):
    with pytest.raises(SearchError, match=message):
        Budget(**settings)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--time", "2 hours"], "a time is written 90s, 30m or 2h"),
        (["--time", "0s"], "above 0"),
        (["--until", "bored"], "--until is 'front stalls'"),
        (["--until", "front stalls for 0"], "stall must be at least 1"),
    ],
)
def test_the_command_refuses_what_it_cannot_read(words, message, capsys, tmp_path):
    given = ["search", "classification", "--device", "ethos-u85-2048"]
    assert main([*given, "--storage", str(tmp_path / "new"), *words]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
