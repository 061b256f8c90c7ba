"""Which candidates are chosen: by hand, and by the definition of greedy hypervolume.

Notation: `q` candidates, `n` points taken, `M` objectives; all minimised.
"""

import numpy as np
import pytest

from nas_ray.evolution.choosing import Draw, choose
from nas_ray.pareto import hypervolume


def chosen(taken, points, count: int, unfit=None) -> list[int]:
    points = np.array(points, dtype=float)
    taken = np.array(taken, dtype=float).reshape(-1, points.shape[1])
    unfit = np.zeros(len(points)) if unfit is None else np.array(unfit, dtype=float)
    return choose(taken, [Draw(points=points, unfit=unfit)], count, np.random.default_rng(0))


def test_the_candidate_that_adds_most_is_first():
    # Beside (0, 10) and (10, 0), reference 10.5: 5.5 x 5.5 less what those dominate is largest.
    assert chosen([[0, 10], [10, 0]], [[9, 9], [5, 5], [8, 3]], 1) == [1]


def test_what_is_chosen_counts_among_what_is_taken():
    """The second best by itself is beside the first and adds hardly anything after it."""
    points = [[5, 5], [5.1, 5.1], [2, 8.5]]
    # Alone they add 25, 24.01 and 12 to the front; after the first 0, and 1.5 x 5.
    assert chosen([[0, 10], [10, 0]], points, 2) == [0, 2]
    assert chosen([[0, 10], [10, 0]], points[1:], 1) == [0]


def test_where_nothing_adds_any_the_least_behind_is_first():
    # In spans of 10, by the lesser of both gaps: behind (0, 0) by 0.4, 0.3 and 1.
    assert chosen([[0, 0]], [[5, 4], [3, 9], [10, 10]], 3) == [1, 0, 2]


def test_the_unfit_are_last_however_good_and_the_less_unfit_before_the_more():
    points = [[0, 0], [1, 1], [9, 9], [0.5, 0.5]]
    assert chosen([[5, 5]], points, 4, unfit=[100, 0, 0, 0.2]) == [1, 2, 3, 0]


def drawn(*points, unfit=None) -> Draw:
    unfit = [0.0] * len(points) if unfit is None else unfit
    return Draw(points=np.array(points, dtype=float), unfit=np.array(unfit, dtype=float))


def test_of_several_draws_the_mean_decides():
    """The first is best by one draw and nothing by the others, the second good by all three."""
    taken = np.array([[5.0]])
    draws = [drawn([0], [3]), drawn([9], [3]), drawn([9], [3])]
    # They gain (5 + 0 + 0) / 3 and 2; the first draw alone would have it the other way round.
    assert choose(taken, draws, 1, np.random.default_rng(0)) == [1]
    assert choose(taken, draws[:1], 1, np.random.default_rng(0)) == [0]


def test_unfit_by_one_draw_of_three_is_a_third_as_unfit():
    taken = np.array([[5.0]])
    fit = drawn([4], [4], [4])
    draws = [
        drawn([4], [4], [4], unfit=[3, 0.8, 0.9]),
        fit,
        drawn([4], [4], [4], unfit=[0, 0.8, 0]),
    ]
    # 3 / 3, 1.6 / 3 and 0.9 / 3.
    assert choose(taken, draws, 3, np.random.default_rng(0)) == [2, 1, 0]


@pytest.mark.parametrize("objectives", [1, 2])
@pytest.mark.parametrize("seed", range(6))
def test_each_pick_is_the_one_after_which_the_hypervolume_is_largest(seed, objectives):
    rng = np.random.default_rng(seed)
    taken, points = rng.random((6, objectives)), rng.random((15, objectives))
    low, high = (getattr(np.vstack([taken, points]), name)(axis=0) for name in ("min", "max"))
    reference, best = low + 1.05 * (high - low), []
    for pick in chosen(taken, points, 4):
        volumes = [hypervolume(np.vstack([taken, points[best], p]), reference) for p in points]
        assert volumes[pick] == pytest.approx(max(volumes), abs=1e-12)
        best.append(pick)
    assert len(set(best)) == 4


@pytest.mark.parametrize("seed", range(3))
def test_the_unit_and_the_origin_of_an_objective_make_no_difference(seed):
    rng = np.random.default_rng(seed)
    taken, points = rng.random((5, 2)), rng.random((12, 2))
    scale, shift = np.array([1000.0, 0.25]), np.array([-8.0, 64.0])
    assert chosen(taken * scale + shift, points * scale + shift, 6) == chosen(taken, points, 6)


@pytest.mark.parametrize(("asked", "expected"), [(0, 0), (2, 2), (3, 3), (9, 3)])
def test_as_many_as_asked_for_or_as_there_are_each_once(asked, expected):
    picks = chosen([[1, 1]], [[0, 2], [2, 0], [3, 3]], asked)
    assert len(picks) == len(set(picks)) == expected


def test_equal_candidates_are_chosen_one_after_another():
    assert sorted(chosen([[1, 1]], [[0, 0], [0, 0]], 2)) == [0, 1]


def test_with_nothing_taken_the_largest_box_is_first():
    # Spans 0 to 10 in both, reference 10.5: 9.5 x 0.5, 5.5 x 5.5, 0.5 x 10.5 and 10.5 x 0.5.
    assert chosen([], [[1, 10], [5, 5], [10, 0], [0, 10]], 1) == [1]


def test_the_end_of_a_front_adds_something_although_it_is_the_worst_in_one_objective():
    # Beside (2, 5), reference 10.5: the end adds 2 x 0.5, the one between 0.1 x 4.5.
    assert chosen([[2, 5]], [[1.9, 6], [0, 10], [10, 10]], 1) == [1]


def test_an_objective_that_is_the_same_everywhere_does_not_decide():
    assert chosen([[7, 3]], [[7, 2], [7, 1], [7, 4]], 3)[:2] == [1, 0]
