"""Upper ends of estimates: the conformal quantile by hand, its coverage as a law."""

import numpy as np
import pytest
from scipy.stats import binom

from nas_ray.estimate.interval import LEVEL, Calibration, calibrate, ordered_sum

INSIDE = np.zeros(1, dtype=bool)


def calibrated(residuals, predicted_ms):
    """From rows of one part each, so without a network."""
    measured_ms = predicted_ms * np.exp(residuals)
    return calibrate(measured_ms, predicted_ms, np.arange(len(residuals)), 0.0)


def margin_of(residuals) -> float:
    """The one margin of fewer than 200 residuals, which fall in a single bin."""
    residuals = np.array(residuals, dtype=float)
    (margin,) = calibrated(residuals, np.ones(len(residuals))).margins
    return float(margin)


@pytest.mark.parametrize(
    ("count", "rank"),
    [(19, 19), (39, 38), (59, 57), (99, 95), (100, 96)],
    ids=["20*.95=19", "40*.95=38", "60*.95=57", "100*.95=95", "101*.95=95.95"],
)
def test_the_margin_is_the_residual_of_the_conformal_rank(count, rank):
    """Residuals 1, 2, ..., n in any order: the k-th smallest is k; k = ceil(0.95 (n + 1))."""
    residuals = np.random.default_rng(count).permutation(count) + 1
    assert margin_of(residuals / 10) == pytest.approx(rank / 10)


def test_with_too_few_residuals_for_the_level_the_largest_counts():
    """ceil(0.95 * 6) = 6 is more than the five there are."""
    assert margin_of([0.1, 0.5, 0.3, 0.2, 0.4]) == pytest.approx(0.5)


def test_a_model_that_always_overestimates_has_no_negative_margin():
    assert margin_of(np.linspace(-0.5, -0.1, 50)) == 0.0


def test_short_and_long_subgraphs_have_margins_of_their_own():
    """200 rows make two bins at the median; each margin is ceil(0.95 * 101) = 96th of 100."""
    predicted_ms = np.arange(1.0, 201.0)
    residuals = np.concatenate([np.arange(1, 101) * 0.01, np.arange(1, 101) * 0.001])
    calibration = calibrated(residuals, predicted_ms)
    assert calibration.edges_ms.tolist() == [100.5]
    assert calibration.margins == pytest.approx([0.96, 0.096])
    margins_ms = calibration.margin_ms(np.array([10.0, 150.0]), np.zeros(2, dtype=bool))
    assert margins_ms == pytest.approx([10 * (np.exp(0.96) - 1), 150 * (np.exp(0.096) - 1)])


def test_a_new_subgraph_is_below_its_upper_end_in_95_of_100_cases():
    """Split conformal: exactly k / (n + 1) = 95 / 100 over calibrations of n = 99 residuals.

    Each of 2000 trials calibrates anew and draws one new residual, so hits are binomial.
    """
    rng = np.random.default_rng(0)
    trials, hits = 2000, 0
    for _ in range(trials):
        residuals = rng.standard_t(3, 100) * 0.1  # heavy tails: nothing here is normal
        calibration = calibrated(residuals[:99], np.ones(99))
        hits += np.exp(residuals[99]) <= 1 + calibration.margin_ms(np.ones(1), INSIDE)[0]
    low, high = binom.ppf([0.001, 0.999], trials, LEVEL)
    assert low <= hits <= high


@pytest.mark.parametrize("side", ["short", "long"])
def test_coverage_holds_where_short_subgraphs_are_predicted_worse(side):
    """The same law within one end of the range; one margin for all would miss it on both sides."""
    rng = np.random.default_rng(1)
    trials, hits = 1000, 0
    for _ in range(trials):
        predicted_ms = np.exp(rng.uniform(-4, 2, 400))
        calibration = calibrated(rng.normal(0, _spread(predicted_ms)), predicted_ms)
        new = np.exp(rng.uniform(-4, -3, 1) if side == "short" else rng.uniform(1, 2, 1))
        measured = new * np.exp(rng.normal(0, _spread(new)))
        hits += int(measured[0] <= new[0] + calibration.margin_ms(new, INSIDE)[0])
    low, high = binom.ppf([0.001, 0.999], trials, LEVEL)
    assert low <= hits <= high


def _spread(predicted_ms):
    return np.where(predicted_ms < 0.2, 0.3, 0.05)


def plain(factor=1.0, additivity=0.0):
    return Calibration(
        edges_ms=np.array([]),
        margins=np.array([0.1]),
        network_factor=factor,
        additivity=additivity,
    )


def test_outside_the_table_the_margin_is_three_times_as_wide_in_logarithms():
    margins_ms = plain().margin_ms(np.array([2.0, 2.0]), np.array([False, True]))
    assert margins_ms == pytest.approx([2 * (np.exp(0.1) - 1), 2 * (np.exp(0.3) - 1)])


@pytest.mark.parametrize(
    ("factor", "additivity", "margins_ms", "upper_ms"),
    [
        (1.0, 0.0, [3.0, 4.0], 15.0),
        (2.0, 0.0, [3.0, 4.0], 20.0),
        (1.0, np.log(2), [3.0, 4.0], 30.0),
        (2.0, np.log(2), [3.0, 0.0], 13.0),
        (2.0, np.log(2), [0.0, 0.0], 10.0),
    ],
    ids=["in_squares", "times_the_factor", "what_sums_lack", "one_subgraph", "no_margin"],
)
def test_margins_of_different_subgraphs_add_in_squares(factor, additivity, margins_ms, upper_ms):
    """Margins 3 and 4 make 5 above 10; a network of one subgraph has the margin of that."""
    found = plain(factor, additivity).upper_ms(np.array([10.0]), np.array([margins_ms]))
    assert found == pytest.approx([upper_ms])


def test_a_sum_depends_on_neither_order_nor_zeros():
    """To the last bit."""
    values = np.random.default_rng(0).lognormal(0, 5, (50, 9))
    padded = np.random.default_rng(1).permuted(np.hstack([values, np.zeros((50, 4))]), axis=1)
    assert ordered_sum(padded).tolist() == ordered_sum(values).tolist()
    assert ordered_sum(values) == pytest.approx(values.sum(axis=1))


def test_the_factor_of_networks_is_learned_where_there_are_enough():
    """60 networks of four parts, all 10 % too low together: errors that squares do not expect.

    One part is 0.1 ms too low, so a margin of 0.1 each; four make 0.4, in squares 0.2.
    """
    row = np.repeat(np.arange(60), 4)
    ones = np.ones(len(row))
    calibration = calibrate(1.1 * ones, ones, row, 0.5)
    assert calibration.network_factor == pytest.approx(2.0)
    assert calibration.additivity == 0.0


def test_without_networks_the_profile_says_what_sums_lack():
    calibration = calibrate(1.1 * np.ones(60), np.ones(60), np.arange(60), 0.5)
    assert (calibration.network_factor, calibration.additivity) == (1.0, 0.5)
