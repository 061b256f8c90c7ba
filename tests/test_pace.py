"""How many are chosen at a time, by what a choice takes and what it is a choice of."""

import heapq

import pytest

from nas_ray.tune.pace import MOST, SHARE, Pace


def paced(choice_s: float, trial_s: float, workers: int = 1, trials: int = 400) -> list[int]:
    """How many are chosen at a time, choice by choice, where every trial takes as long."""
    pace, found, planned, free_s = Pace(), [], 0, 0.0
    ends = [0.0] * workers
    for begun in range(trials):
        now = max(heapq.heappop(ends), free_s)
        if planned == 0:
            free_s = now + choice_s
            ended = max(begun + 1 - workers, 0)
            planned = pace.at_once
            pace.note(now, free_s, trials_ended=ended, workers=workers)
            found.append(pace.at_once)
            now = free_s
        planned -= 1
        heapq.heappush(ends, now + trial_s)
    return found


@pytest.mark.parametrize("workers", [1, 2, 8, 16])
def test_where_trials_take_long_one_is_chosen_at_a_time_though_workers_ask_together(workers):
    """All begin at once, and all trials end at once."""
    assert set(paced(choice_s=0.03, trial_s=60.0, workers=workers)) == {1}


@pytest.mark.parametrize(("choice_s", "trial_s", "at_once"), [(0.03, 0.1, 6), (0.03, 0.02, 30)])
def test_where_they_do_not_so_many_that_choosing_takes_its_share(choice_s, trial_s, at_once):
    found = paced(choice_s, trial_s)
    assert found[-1] == pytest.approx(at_once, abs=1)
    assert choice_s / (found[-1] * trial_s) <= SHARE < choice_s / ((found[-1] - 2) * trial_s)


def test_with_many_workers_it_is_their_rate_that_counts():
    """A hundred of them end ten trials a second: 30 ms are a third of the time for each."""
    assert paced(choice_s=0.03, trial_s=10.0, workers=100, trials=2000)[-1] >= 5


def test_never_more_than_can_be_learned_from():
    assert paced(choice_s=1.0, trial_s=0.001)[-1] == MOST


def test_one_slow_choice_changes_nothing():
    pace = Pace()
    for n in range(20):
        pace.note(n, n + (0.9 if n == 10 else 0.01), trials_ended=n, workers=1)
        assert pace.at_once == 1


def test_before_trials_end_nothing_is_known_of_their_rate():
    pace = Pace()
    for n in range(50):
        pace.note(0.1 * n, 0.1 * n + 0.05, trials_ended=0, workers=50)
    assert pace.at_once == 1
