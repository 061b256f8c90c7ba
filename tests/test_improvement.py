"""Hypervolume improvement against differences of hypervolumes; distances behind a front.

Notation: `F` points of a front, `Q` queries, `M` objectives; all minimised.
"""

import numpy as np
import pytest

from nas_ray.evolution.improvement import behind, hypervolume_improvement
from nas_ray.pareto import hypervolume, non_dominated


def front_of(seed: int, objectives: int, count: int = 12, grid: bool = False) -> np.ndarray:
    rng = np.random.default_rng(seed)
    points = rng.random((count, objectives))
    points = np.round(points * 4) / 4 if grid else points
    return points[non_dominated(points)]


def added(front: np.ndarray, queries: np.ndarray, reference: np.ndarray) -> list[float]:
    """The definition: the hypervolume with the query less the one without it."""
    before = hypervolume(front, reference)
    return [hypervolume(np.vstack([front, [q]]), reference) - before for q in queries]


@pytest.mark.parametrize("grid", [False, True], ids=["real", "with_ties"])
@pytest.mark.parametrize("objectives", [1, 2])
@pytest.mark.parametrize("seed", range(8))
def test_it_is_the_hypervolume_added_exactly_in_one_and_two_objectives(seed, objectives, grid):
    front, rng = front_of(seed, objectives, grid=grid), np.random.default_rng(100 + seed)
    # Some ahead of everything, some beyond the reference, and the front itself.
    queries = np.vstack([rng.uniform(-0.5, 1.5, (40, objectives)), front])
    queries = np.round(queries * 4) / 4 if grid else queries
    reference = np.linspace(1.05, 0.7, objectives)
    found = hypervolume_improvement(front, queries, reference, rng)
    np.testing.assert_allclose(found, added(front, queries, reference), atol=1e-12)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("objectives", [3, 4])
def test_it_is_the_hypervolume_added_within_sampling_error_in_more(seed, objectives):
    front, rng = front_of(seed, objectives), np.random.default_rng(100 + seed)
    queries = rng.uniform(0.0, 1.2, (20, objectives))
    reference = np.full(objectives, 1.05)
    found = hypervolume_improvement(front, queries, reference, rng)
    # A share of 4096 points has a standard error of at most 0.008 of the box, here below 1.3.
    np.testing.assert_allclose(found, added(front, queries, reference), atol=0.035)


@pytest.mark.parametrize(
    ("front", "queries", "expected"),
    [
        ([[2.0]], [[1.0], [2.0], [3.0]], [1.0, 0.0, 0.0]),
        # Boxes to the reference (4, 4): 3 x 3; what (1, 3) leaves of 3 x 2; dominated.
        ([[1.0, 3.0]], [[1.0, 1.0], [2.0, 2.0], [2.0, 3.0]], [6.0, 2.0, 0.0]),
        # Between two: the square from (2, 2) to (3, 3).
        ([[1.0, 3.0], [3.0, 1.0]], [[2.0, 2.0], [0.0, 5.0], [0.0, 3.5]], [1.0, 0.0, 0.5]),
    ],
    ids=["one", "two", "between_neighbours"],
)
def test_it_by_hand(front, queries, expected):
    front, queries = np.array(front), np.array(queries)
    reference = np.full(front.shape[1], 4.0)
    found = hypervolume_improvement(front, queries, reference, np.random.default_rng(0))
    assert found.tolist() == expected


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_on_no_front_it_is_the_box_to_the_reference(objectives):
    queries, reference = np.full((1, objectives), 0.5), np.full(objectives, 2.0)
    empty, rng = np.empty((0, objectives)), np.random.default_rng(0)
    found = hypervolume_improvement(empty, queries, reference, rng)
    assert found == pytest.approx([1.5**objectives])


def test_what_of_the_front_is_beyond_the_reference_makes_no_difference():
    front, queries = np.array([[1.0, 1.0]]), np.array([[0.5, 2.0], [0.0, 0.0]])
    beyond = np.array([[0.0, 5.0], [1.0, 1.0], [4.0, 0.5]])
    reference, rng = np.array([3.0, 3.0]), np.random.default_rng(0)
    np.testing.assert_array_equal(
        hypervolume_improvement(beyond, queries, reference, rng),
        hypervolume_improvement(front, queries, reference, rng),
    )


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        # From (1, 3) and (3, 1): the lesser gap to each, the greater of those.
        ([4.0, 4.0], 1.0),
        ([3.0, 3.0], 0.0),
        ([2.0, 2.0], -1.0),
        ([0.0, 9.0], -1.0),
        ([3.5, 1.5], 0.5),
    ],
    ids=["behind_both", "at_the_corner", "between", "first_in_one", "behind_one"],
)
def test_behind_by_hand(query, expected):
    assert behind(np.array([[1.0, 3.0], [3.0, 1.0]]), np.array([query])).tolist() == [expected]


@pytest.mark.parametrize("objectives", [1, 2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_improved_by_what_it_is_behind_a_query_is_at_the_edge_of_the_front(seed, objectives):
    """A little less and some point is better in every objective, a little more and none is."""
    front, rng = front_of(seed, objectives), np.random.default_rng(seed)
    queries = rng.uniform(-0.2, 1.5, (30, objectives))
    distance = behind(front, queries)[:, None]
    short, far = queries - distance + 1e-9, queries - distance - 1e-9
    beaten = [[(front < q).all(axis=1).any() for q in moved] for moved in (short, far)]
    assert all(beaten[0])
    assert not any(beaten[1])


def test_nothing_is_behind_an_empty_front():
    assert behind(np.empty((0, 2)), np.ones((3, 2))).tolist() == [0.0, 0.0, 0.0]
