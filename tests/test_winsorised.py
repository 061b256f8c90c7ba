"""Winsorised values: order, scale, and the held tail by hand."""

import numpy as np
import pytest

from nas_ray.evolution.winsorised import winsorised


def held_of(values) -> np.ndarray:
    return winsorised(values)[0]


def skewed(seed: int, count: int = 40) -> np.ndarray:
    """Many values near the best and a long tail of bad ones."""
    return np.random.default_rng(seed).exponential(size=count) ** 3


@pytest.mark.parametrize("seed", range(5))
def test_the_order_is_kept_far_out_as_well(seed):
    values = skewed(seed)
    held = held_of(values)
    assert (np.diff(held[np.argsort(values)]) > 0).all()


@pytest.mark.parametrize("count", [2, 3, 40])
def test_they_have_mean_0_and_deviation_1(count):
    held = held_of(skewed(0, count))
    assert held.mean() == pytest.approx(0.0, abs=1e-12)
    assert held.std() == pytest.approx(1.0)


@pytest.mark.parametrize(("scale", "shift"), [(1000.0, 0.0), (1.0, -50.0), (0.01, 7.0)])
def test_the_unit_and_the_origin_of_the_values_make_no_difference(scale, shift):
    values = skewed(0)
    np.testing.assert_allclose(held_of(scale * values + shift), held_of(values), atol=1e-9)


def test_the_bad_tail_is_held_twice_as_far_below_the_median_as_the_best_is_above_it():
    # Median 2, best 0: held beyond 2 + 2 x 2 = 6, so 1000 is 6 and a millionth of 994.
    held = held_of(np.array([0.0, 1.0, 2.0, 6.0, 1000.0]))
    by_hand = np.array([0.0, 1.0, 2.0, 6.0, 6.000994])
    np.testing.assert_allclose(held, (by_hand - by_hand.mean()) / by_hand.std(), atol=1e-9)


def test_without_a_tail_values_are_only_standardised():
    values = np.array([3.0, 1.0, 2.0, 4.0, 5.0])
    # Mean 3; squared deviations 9, 9, 9, 1 and 64.
    np.testing.assert_allclose(held_of(values), (values - 3) / 2**0.5)


def test_where_half_are_the_best_nothing_is_held():
    """Median and best are one: there is no better half to take a reach from."""
    # Mean 3; squared deviations 9, 9, 9, 1 and 64.
    values = np.array([0.0, 0.0, 0.0, 4.0, 11.0])
    np.testing.assert_allclose(held_of(values), (values - 3) / (92 / 5) ** 0.5)


@pytest.mark.parametrize("values", [[], [5.0], [5.0, 5.0, 5.0]], ids=["none", "one", "all_alike"])
def test_where_nothing_differs_all_are_0(values):
    assert held_of(np.array(values)).tolist() == [0.0] * len(values)


def test_equal_values_stay_equal():
    held = held_of(np.array([1.0, 9.0, 1.0, 2.0, 9.0, 3.0]))
    assert held[0] == held[2]
    assert held[1] == held[4]


def test_with_them_comes_the_difference_that_is_1():
    values = np.array([0.0, 1.0, 2.0, 6.0, 1000.0])
    held, deviation = winsorised(values)
    assert (held[1] - held[0]) * deviation == pytest.approx(1.0)
    assert winsorised(np.array([5.0, 5.0]))[1] == 1.0
