"""Normal scores: quantiles of ranks, against the standard library and by law."""

from statistics import NormalDist

import numpy as np
import pytest

from nas_ray.evolution.normal_scores import normal_scores


def test_they_are_the_normal_quantiles_of_the_places():
    # Places 1/8, 3/8, 5/8, 7/8: the middles of four equal shares.
    expected = [NormalDist().inv_cdf(place) for place in (0.625, 0.125, 0.875, 0.375)]
    assert normal_scores(np.array([30.0, 10.0, 9999.0, 20.0])) == pytest.approx(expected)


def test_ties_share_the_mean_of_their_places():
    # Ranks 1, 2.5, 2.5, 4 of four.
    expected = [NormalDist().inv_cdf((rank - 0.5) / 4) for rank in (2.5, 1, 4, 2.5)]
    assert normal_scores(np.array([5.0, 1.0, 8.0, 5.0])) == pytest.approx(expected)


@pytest.mark.parametrize(
    "rising", [np.exp, np.cbrt, lambda x: 3 * x - 7], ids=["exp", "cube_root", "line"]
)
def test_a_rising_transformation_makes_no_difference(rising):
    values = np.random.default_rng(0).normal(size=30)
    np.testing.assert_array_equal(normal_scores(rising(values)), normal_scores(values))


def test_mirrored_values_have_mirrored_scores():
    values = np.random.default_rng(0).integers(0, 9, 30).astype(float)
    np.testing.assert_allclose(normal_scores(-values), -normal_scores(values), atol=1e-12)


@pytest.mark.parametrize("values", [[], [3.0], [3.0, 3.0]], ids=["none", "one", "all_alike"])
def test_where_nothing_differs_all_are_0(values):
    assert normal_scores(np.array(values)).tolist() == [0.0] * len(values)


def test_an_infinite_value_is_only_the_last_in_order():
    scores = normal_scores(np.array([1.0, np.inf, -np.inf]))
    np.testing.assert_array_equal(scores, normal_scores(np.array([1.0, 2.0, 0.0])))
