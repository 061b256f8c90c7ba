"""Dominance ranks kept up to date, against fronts peeled off one by one."""

import numpy as np
import pytest

from nas_ray.evolution.levels import Levels
from nas_ray.pareto import non_dominated


def peeled(points) -> list[int]:
    """The rank of each point by its definition."""
    rank = np.full(len(points), -1)
    front = 0
    while (rank < 0).any():
        left = np.flatnonzero(rank < 0)
        rank[left[non_dominated(points[left])]] = front
        front += 1
    return rank.tolist()


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_after_every_arrival_the_ranks_are_those_of_fronts_peeled_off(objectives, ties):
    rng = np.random.default_rng(objectives)
    points = rng.random((150, objectives))
    points = np.floor(points * 5) if ties else points
    levels = Levels(points[:1])
    for count, point in enumerate(points[1:], start=2):
        levels.add(point)
        assert levels.rank.tolist() == peeled(points[:count])
        assert len(levels) == count
    np.testing.assert_array_equal(levels.points, points)


def test_points_given_at_first_are_as_if_they_had_arrived():
    points = np.random.default_rng(0).random((100, 2)).tolist()
    one_by_one = Levels(points[:1])
    for point in points[1:]:
        one_by_one.add(point)
    assert Levels(points).rank.tolist() == one_by_one.rank.tolist()


def test_one_that_beats_all_moves_everybody_by_one():
    levels = Levels([[3.0, 1.0], [1.0, 3.0], [4.0, 4.0]])
    assert levels.rank.tolist() == [0, 0, 1]
    levels.add([0.0, 0.0])
    assert levels.rank.tolist() == [1, 1, 2, 0]


def test_equal_points_share_a_front():
    assert Levels([[1.0, 1.0]] * 3).rank.tolist() == [0, 0, 0]


def test_a_nan_is_worse_than_any_number():
    assert Levels([[np.nan, 1.0], [np.inf, 1.0], [2.0, 1.0]]).rank.tolist() == [2, 1, 0]
