"""How many are chosen at a time, by what a choice takes and what it is a choice of."""

import pytest

from nas_ray.tune.pace import MOST, SHARE, Pace


def paced(choice_s: float, trial_s: float, choices: int = 20) -> list[int]:
    """How many are chosen at a time, choice by choice, with one trial after the other."""
    pace, now, handed_out, found = Pace(), 0.0, 0, []
    for _ in range(choices):
        pace.note(now, now + choice_s, handed_out)
        found.append(pace.at_once)
        now += choice_s + pace.at_once * trial_s
        handed_out += pace.at_once
    return found


def test_where_trials_take_seconds_one_is_chosen_at_a_time():
    assert paced(choice_s=0.03, trial_s=1.0) == [1] * 20


@pytest.mark.parametrize(("choice_s", "trial_s", "at_once"), [(0.03, 0.1, 6), (0.03, 0.02, 30)])
def test_where_they_do_not_so_many_that_choosing_takes_its_share(choice_s, trial_s, at_once):
    found = paced(choice_s, trial_s)
    assert found[-1] == at_once
    assert choice_s / (at_once * trial_s) <= SHARE < choice_s / ((at_once - 1) * trial_s)


def test_never_more_than_can_be_learned_from():
    assert paced(choice_s=1.0, trial_s=0.001)[-1] == MOST


def test_one_slow_choice_changes_nothing():
    pace = Pace()
    for n in range(10):
        pace.note(n, n + (5.0 if n == 5 else 0.01), n)
    assert pace.at_once == 1


def test_choices_with_nothing_handed_out_between_them_teach_nothing():
    pace = Pace()
    pace.note(0.0, 1.0, 3)
    pace.note(1.0, 2.0, 3)
    assert pace.at_once == 1
