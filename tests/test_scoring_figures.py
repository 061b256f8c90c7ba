"""Figures of a ranking, by hand and against a loop over pairs."""

import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from scoring.figures import figures, recall


def test_a_perfect_score_has_all_three_figures_1_and_its_opposite_minus_1_and_0():
    accuracy = np.arange(40.0)
    flops = np.full(40, 7.0)
    best, worst = (figures(sign * accuracy, accuracy, flops) for sign in (1, -1))
    assert (best.tau, best.tau_equal_flops, best.recall) == pytest.approx((1, 1, 1))
    assert (worst.tau, worst.tau_equal_flops, worst.recall) == pytest.approx((-1, -1, 0))


def test_tau_is_that_of_scipy_and_where_all_flops_are_equal_so_is_the_other():
    rng = np.random.default_rng(0)
    score, accuracy = rng.integers(0, 9, 50).astype(float), rng.normal(size=50)
    found = figures(score, accuracy, np.ones(50))
    assert found.tau == pytest.approx(kendalltau(score, accuracy).statistic)
    assert found.tau_equal_flops == pytest.approx(found.tau)


def test_pairs_of_equal_flops_are_those_within_5_percent_of_the_larger():
    rng = np.random.default_rng(0)
    score, accuracy, flops = rng.normal(size=(3, 60))
    flops = np.exp(flops)
    signs = [
        np.sign(score[i] - score[j]) * np.sign(accuracy[i] - accuracy[j])
        for i, j in combinations(range(60), 2)
        if abs(flops[i] - flops[j]) <= 0.05 * max(flops[i], flops[j])
    ]
    assert figures(score, accuracy, flops).tau_equal_flops == pytest.approx(np.mean(signs))


def test_a_score_that_is_nan_ranks_lowest():
    accuracy = np.arange(20.0)
    score = np.where(accuracy < 1, np.nan, accuracy)
    assert figures(score, accuracy, np.ones(20)).tau == pytest.approx(1)


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        # 20 networks: 5 are kept, 2 are the best (accuracies 18 and 19).
        (np.arange(20), 1),
        ([0.0] * 15 + [1.0] * 3 + [0.0, 2.0], 0.5 + 0.5 / 16),  # room for 1 of the 16 that tie
        ([1.0] * 20, 0.25),
        ([1.0] * 5 + [0.0] * 15, 0),
    ],
    ids=["perfect", "one_of_two", "all_tie", "none"],
)
def test_recall_of_the_best_tenth_in_the_best_quarter_by_hand(score, expected):
    assert recall(np.array(score, float), np.arange(20.0)) == pytest.approx(expected)
