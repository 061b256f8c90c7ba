"""Dominance and hypervolume against definitions, hand arithmetic and independent formulas.

Notation: `N` points, `M` objectives; points are `(N, M)`, all minimised.
"""

import numpy as np
import pytest

from nas_ray.pareto import crowding_distance, hypervolume, non_dominated


def dominates(first, second) -> bool:
    return all(first <= second) and any(first < second)


def random_points(seed: int, objectives: int, integers: bool = False):
    rng = np.random.default_rng(seed)
    if integers:
        return rng.integers(0, 4, (30, objectives)).astype(float)
    return rng.random((30, objectives))


@pytest.mark.parametrize("integers", [False, True], ids=["real", "with_ties"])
@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_non_dominated_is_the_definition(objectives, integers):
    for seed in range(10):
        points = random_points(seed, objectives, integers)
        expected = [not any(dominates(other, point) for other in points) for point in points]
        assert non_dominated(points).tolist() == expected


def test_equal_points_all_stay():
    assert non_dominated(np.array([[1.0, 2.0], [1.0, 2.0], [2.0, 2.0]])).tolist() == [
        True,
        True,
        False,
    ]


def test_no_points_have_an_empty_front():
    assert non_dominated(np.empty((0, 2))).shape == (0,)
    assert hypervolume(np.empty((0, 2)), np.array([1.0, 1.0])) == 0.0
    assert crowding_distance(np.empty((0, 2))).shape == (0,)


def test_a_nan_counts_as_the_worst_value():
    points = np.array([[np.nan, 0.5], [0.5, 0.5], [0.1, np.nan]])
    assert non_dominated(points).tolist() == [False, True, True]


def test_a_point_of_nan_only_is_dominated_by_every_other():
    points = np.array([[np.nan, np.nan], [9.0, 9.0]])
    assert non_dominated(points).tolist() == [False, True]


@pytest.mark.parametrize("objectives", [1, 2, 3])
@pytest.mark.parametrize("seed", range(20))
def test_non_dominated_is_the_definition_where_numbers_are_missing_or_tied(seed, objectives):
    """A NaN is worse than any number, infinity included, and as bad as another NaN."""
    rng = np.random.default_rng(seed)
    values = np.array([np.nan, -np.inf, 0.0, 1.0, 2.0, np.inf])
    # Few points and few values: whole columns of ties, and fronts of NaN alone.
    points = values[rng.integers(0, len(values), (rng.integers(1, 12), objectives))]
    order = np.array([5, 0, 1, 2, 3, 4])
    placed = order[(points[..., None] == values).argmax(axis=2)]
    expected = [not any(dominates(other, point) for other in placed) for point in placed]
    assert non_dominated(points).tolist() == expected


def test_in_two_objectives_the_order_of_the_points_makes_no_difference():
    for seed in range(10):
        points = random_points(seed, 2, integers=True)
        turned = np.random.default_rng(seed).permutation(len(points))
        np.testing.assert_array_equal(non_dominated(points[turned]), non_dominated(points)[turned])


def test_crowding_by_hand():
    # First axis 0, 1, 4 of span 4; second 5, 2, 1 of span 4: (4 - 0) / 4 + (5 - 1) / 4.
    points = np.array([[0.0, 5.0], [1.0, 2.0], [4.0, 1.0]])
    assert crowding_distance(points).tolist() == [np.inf, 2.0, np.inf]


def test_crowding_does_not_see_order_or_scale():
    points = random_points(0, 3)
    order = np.random.default_rng(1).permutation(len(points))
    scaled = crowding_distance(points[order] * [1.0, 10.0, 1000.0])
    np.testing.assert_allclose(scaled, crowding_distance(points)[order])


def test_an_objective_that_is_the_same_everywhere_crowds_nobody():
    points = np.array([[0.0, 7.0], [1.0, 7.0], [2.0, 7.0], [4.0, 7.0]])
    np.testing.assert_allclose(crowding_distance(points)[2], 0.75)


@pytest.mark.parametrize(
    ("points", "reference", "volume"),
    [
        ([[1.0]], [4.0], 3.0),
        ([[1.0], [2.0]], [4.0], 3.0),
        ([[1.0, 1.0]], [3.0, 4.0], 6.0),
        # Boxes 3x1 and 1x3 that overlap in 1x1.
        ([[1.0, 3.0], [3.0, 1.0]], [4.0, 4.0], 5.0),
        ([[1.0, 3.0], [3.0, 1.0], [3.0, 3.0]], [4.0, 4.0], 5.0),
        # Three unit-thick slabs of a cube of side 2, inclusion and exclusion: 3*4 - 3*2 + 1.
        ([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], [2.0, 2.0, 2.0], 7.0),
        ([[0.0, 5.0]], [4.0, 4.0], 0.0),
        ([[4.0, 0.0]], [4.0, 4.0], 0.0),
        ([[0.0, 0.0], [np.nan, 0.0]], [1.0, 1.0], 1.0),
    ],
    ids=["1d", "1d_two", "box", "two", "dominated", "3d", "outside", "on_edge", "nan"],
)
def test_hypervolume_by_hand(points, reference, volume):
    assert hypervolume(np.array(points), np.array(reference)) == pytest.approx(volume)


def test_hypervolume_of_two_objectives_is_the_area_under_the_staircase():
    for seed in range(10):
        points = random_points(seed, 2)
        front = points[non_dominated(points)]
        front = front[np.argsort(front[:, 0])]
        widths = np.diff(np.append(front[:, 0], 1.0))
        assert hypervolume(points, np.ones(2)) == pytest.approx((widths * (1 - front[:, 1])).sum())


@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_hypervolume_is_the_share_of_random_places_that_are_dominated(objectives):
    points = random_points(0, objectives)
    places = np.random.default_rng(1).random((40_000, objectives))
    share = (points[None] <= places[:, None]).all(axis=2).any(axis=1).mean()
    # The standard error of a share over 40,000 places is at most 0.0025.
    assert hypervolume(points, np.ones(objectives)) == pytest.approx(share, abs=0.01)


def test_hypervolume_does_not_see_the_order_of_points_or_objectives():
    points, reference = random_points(3, 3), np.array([1.0, 1.2, 0.9])
    turned = hypervolume(points[::-1, ::-1], reference[::-1])
    assert turned == pytest.approx(hypervolume(points, reference))
