"""Successive halving: who goes on at each rung, by hand and against the rule of ASHA."""

import math

import numpy as np
import pytest

from nas_ray.errors import SearchError
from nas_ray.evolution.rungs import Rungs


def arrive(rungs: Rungs, points, epoch: int = 1) -> list[bool]:
    """What is answered to each of `points` (minimised), one trial after the other."""
    return [rungs.goes_on(f"trial{n}", epoch, np.atleast_1d(p)) for n, p in enumerate(points)]


@pytest.mark.parametrize(
    ("grace", "maximum", "factor", "epochs"),
    [
        (1, 27, 3, (1, 3, 9)),
        (1, 28, 3, (1, 3, 9, 27)),
        (1, 243, 3, (1, 3, 9, 27, 81)),
        (2, 16, 4, (2, 8)),
        (1, 100, 10, (1, 10)),
        (3, 10, 2, (3, 6)),
        (1, 2, 3, (1,)),
        (5, 5, 2, ()),
        (1, 1, 2, ()),
    ],
)
def test_rungs_are_grace_times_powers_of_the_factor_before_the_last_epoch(
    grace, maximum, factor, epochs
):
    rungs = Rungs(grace_epochs=grace, max_epochs=maximum, reduction_factor=factor)
    assert rungs.epochs == epochs


def test_by_hand_with_one_objective():
    # Loss, and its place among the first n; the best ceil(n / 3) go on.
    table = [
        (5.0, True),  # 1st of 1, 1 goes on
        (3.0, True),  # 1st of 2, 1
        (4.0, False),  # 2nd of 3, 1
        (1.0, True),  # 1st of 4, 2
        (2.0, True),  # 2nd of 5, 2
        (6.0, False),  # 6th of 6, 2
        (2.5, True),  # 3rd of 7, 3
        (2.9, False),  # 4th of 8, 3
        (2.8, False),  # 4th of 9, 3
        (2.7, True),  # 4th of 10, 4
    ]
    losses, expected = zip(*table, strict=True)
    assert arrive(Rungs(max_epochs=27), losses) == list(expected)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_with_one_objective_it_is_the_rule_of_asha(factor):
    """Among the best 1 / factor of all that have arrived, itself included, rounded up."""
    losses = np.random.default_rng(factor).random(60)
    expected = [
        sorted(losses[: n + 1]).index(loss) < math.ceil((n + 1) / factor)
        for n, loss in enumerate(losses)
    ]
    assert arrive(Rungs(max_epochs=100, reduction_factor=factor), losses) == expected


def test_at_factor_two_the_better_half_goes_on_rounded_up():
    # 2nd of 2 and 2nd of 3 where ceil(2/2) = 1 and ceil(3/2) = 2 go on.
    assert arrive(Rungs(max_epochs=9, reduction_factor=2), [1, 3, 2]) == [True, False, True]


def test_a_dominated_trial_is_stopped_and_one_that_dominates_goes_on():
    points = [(1, 3), (3, 1), (4, 4), (3, 3), (0, 0)]
    # The first two are one front, both its ends. The third and the fourth are behind 2 of 3 and of
    # 4, of which 1 and 2 go on; the fifth leads.
    assert arrive(Rungs(max_epochs=9), points) == [True, True, False, False, True]


def test_a_small_network_does_not_lose_to_an_accurate_one():
    """Minimised (error, latency): the last is the least accurate of all and the fastest."""
    points = [(0.1, 9.0), (0.2, 7.0), (0.3, 5.0), (0.4, 3.0), (0.9, 0.5)]
    assert arrive(Rungs(max_epochs=9), points)[-1]


def test_within_a_front_the_crowded_are_stopped_and_the_ends_go_on():
    # On one line: ends are infinitely lonely, the third stands between two of them. Of 4 arrived
    # 2 go on and the fourth is a new end; the fifth lies in the gap between the crowd and that end.
    points = [(0, 4), (4, 0), (2, 2), (10, -6), (2.1, 1.9)]
    assert arrive(Rungs(max_epochs=9), points) == [True, True, False, True, False]


def test_who_stands_beside_a_trial_that_diverged_is_judged_as_without_it():
    """A NaN is no number to be crowded by."""
    points = [(np.nan, 1.0), (0.1, 2.0), (0.2, 1.5)]
    assert arrive(Rungs(max_epochs=9), points) == [True, True, False]


def test_equals_are_not_stopped_for_being_late():
    assert arrive(Rungs(max_epochs=9), [0.5] * 7) == [True] * 7


def test_between_rungs_every_trial_goes_on_and_nothing_is_kept():
    rungs = Rungs(max_epochs=27)
    assert arrive(rungs, [1.0, 2.0, 3.0, 4.0], epoch=2) == [True] * 4
    assert arrive(rungs, [1.0, 2.0, 3.0, 4.0], epoch=27) == [True] * 4
    assert rungs.records == {}


def test_rungs_do_not_know_each_other():
    rungs = Rungs(max_epochs=27)
    arrive(rungs, [1.0, 2.0, 3.0], epoch=1)
    assert rungs.goes_on("trial2", 3, [9.0])
    assert rungs.records[3] == {"trial2": (9.0,)}


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_the_same_report_again_gives_the_same_answer_whoever_came_in_between(objectives):
    rungs = Rungs(max_epochs=27)
    # Small integers, so that there are ties.
    points = np.random.default_rng(objectives).integers(0, 6, (40, objectives)).astype(float)
    answers = arrive(rungs, points)
    kept = {epoch: dict(rung) for epoch, rung in rungs.records.items()}
    assert arrive(rungs, points) == answers
    backwards = [rungs.goes_on(f"trial{n}", 1, points[n]) for n in reversed(range(40))]
    assert backwards == answers[::-1]
    assert rungs.records == kept
    assert 0 < sum(answers) < 40


def test_two_runs_do_not_share_their_records():
    arrive(Rungs(max_epochs=9), [1.0, 2.0])
    assert Rungs(max_epochs=9).records == {}


@pytest.mark.parametrize(
    ("settings", "values"),
    [
        ({"max_epochs": 0}, "grace_epochs=1, max_epochs=0"),
        ({"max_epochs": 9, "grace_epochs": 0}, "grace_epochs=0, max_epochs=9"),
        ({"max_epochs": 3, "grace_epochs": 4}, "grace_epochs=4, max_epochs=3"),
        ({"max_epochs": 9, "reduction_factor": 1}, "reduction_factor=1"),
    ],
    ids=["no_epochs", "no_grace", "grace_beyond_the_end", "no_reduction"],
)
def test_settings_that_cannot_work_are_refused_with_their_values(settings, values):
    with pytest.raises(SearchError, match=f"1 <= grace_epochs <= max_epochs.*{values}"):
        Rungs(**settings)


# Patient rungs


def patient(**settings) -> Rungs:
    return Rungs(**{"max_epochs": 27, **settings}, patient=True)


def all_promoted(rungs: Rungs, stopped: set[str]) -> list[tuple[str, int]]:
    """Who is promoted until nobody is any more."""
    found = []
    while (one := rungs.promotable(stopped)) is not None:
        rungs.promote(*one)
        stopped = stopped - {one[0]}
        found.append(one)
    return found


def test_by_hand_nobody_goes_on_before_there_are_three_and_then_the_best_is_promoted():
    rungs = patient()
    # The best floor(n / 3) go on: 0 of 1, 0 of 2, 1 of 3 and of 4.
    assert arrive(rungs, [5.0, 3.0, 4.0, 1.0]) == [False, False, False, True]
    assert arrive(patient(), [5.0, 3.0, 4.0]) == [False, False, False]
    rungs = patient()
    arrive(rungs, [5.0, 3.0, 4.0])
    assert rungs.promotable({"trial0", "trial1", "trial2"}) == ("trial1", 1)
    # Only among those that can be: one that runs or failed is no longer stopped.
    assert rungs.promotable({"trial0", "trial2"}) is None


def test_who_was_promoted_is_told_to_go_on_if_it_reports_that_epoch_again():
    rungs = patient()
    arrive(rungs, [5.0, 3.0, 4.0])
    assert not rungs.goes_on("trial1", 1, [3.0])
    rungs.promote("trial1", 1)
    assert rungs.goes_on("trial1", 1, [3.0])


@pytest.mark.parametrize("factor", [2, 3, 5])
@pytest.mark.parametrize("order", range(3))
def test_in_the_end_the_best_share_went_on_in_whatever_order_they_came(factor, order):
    losses = np.random.default_rng(order).permutation(30).astype(float)
    rungs = patient(reduction_factor=factor)
    on = {f"trial{n}" for n, answer in enumerate(arrive(rungs, losses)) if answer}
    stopped = {f"trial{n}" for n in range(30)} - on
    on |= {trial for trial, _ in all_promoted(rungs, stopped)}
    best = {f"trial{n}" for n in np.argsort(losses)[: 30 // factor]}
    assert best <= on
    # Those that were among the best when they came went on too, and no others.
    early = {
        f"trial{n}"
        for n, loss in enumerate(losses)
        if sorted(losses[: n + 1]).index(loss) < (n + 1) // factor
    }
    assert on == best | early


def test_a_trial_stopped_at_a_later_rung_is_not_promoted_from_an_earlier_one():
    rungs = patient()
    arrive(rungs, [3.0, 2.0, 1.0])
    assert not rungs.goes_on("trial2", 3, [1.0])
    assert rungs.promotable({"trial2"}) is None


def test_the_highest_rung_is_promoted_first():
    rungs = patient()
    arrive(rungs, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    for n, loss in enumerate([1.0, 2.0, 3.0]):
        rungs.goes_on(f"trial{n}", 3, [loss])
    stopped = {f"trial{n}" for n in range(6)}
    assert rungs.promotable(stopped) == ("trial0", 3)
