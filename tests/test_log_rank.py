"""The ensemble of scores, by hand: sums of log(rank / m)."""

import math

import numpy as np
import pytest

from nas_ray.zero_shot import log_rank


def logs(*shares: float) -> list[float]:
    return [math.log(share) for share in shares]


@pytest.mark.parametrize(
    ("values", "shares"),
    [
        ([10.0, 30.0, 20.0, 40.0], (1 / 4, 3 / 4, 2 / 4, 4 / 4)),
        ([-1.0], (1,)),
        # Ranks 1 and 2 are shared as 1.5, and 2 to 4 as 3.
        ([5.0, 5.0, 6.0], (1.5 / 3, 1.5 / 3, 1)),
        ([9.0, 9.0, 1.0, 9.0], (3 / 4, 3 / 4, 1 / 4, 3 / 4)),
        ([7.0, 7.0], (1.5 / 2, 1.5 / 2)),
        ([math.nan, -1e300, 0.0], (1 / 3, 2 / 3, 1)),
        ([math.inf, 1.0, 2.0], (1 / 3, 2 / 3, 1)),
        ([-math.inf, math.nan, 2.0], (1.5 / 3, 1.5 / 3, 1)),
    ],
    ids=["order", "alone", "tie", "tie_of_three", "all_equal", "nan", "inf", "two_not_finite"],
)
def test_one_score_by_hand(values, shares):
    assert log_rank([{"synflow": v} for v in values]) == pytest.approx(logs(*shares))


def test_scores_are_summed():
    rows = [
        {"naswot": 1.0, "synflow": 300.0},  # ranks 1 and 3
        {"naswot": 2.0, "synflow": 200.0},  # 2 and 2
        {"naswot": 3.0, "synflow": 100.0},  # 3 and 1
    ]
    assert log_rank(rows) == pytest.approx(logs(3 / 9, 4 / 9, 3 / 9))


def test_a_score_that_a_network_lacks_ranks_lowest():
    rows = [{"naswot": 1.0, "synflow": 1.0}, {"naswot": 2.0}]
    assert log_rank(rows) == pytest.approx(logs(1 / 2 * 2 / 2, 2 / 2 * 1 / 2))


def test_last_by_one_score_costs_more_than_first_by_another_gains():
    lopsided, middling, *_ = log_rank([{"a": float(a), "b": float(b)}
                                       for a, b in [(4, 1), (3, 3), (2, 2), (1, 4)]])  # fmt: skip
    assert lopsided < middling


def test_only_the_order_of_a_score_counts():
    values = np.random.default_rng(0).normal(size=(20, 2))
    rows = [{"a": a, "b": b} for a, b in values]
    turned = [{"b": 1000 * b - 5, "a": math.exp(a)} for a, b in values]
    assert log_rank(turned).tolist() == log_rank(rows).tolist()


def test_the_best_by_every_score_has_0_and_all_others_less():
    values = np.random.default_rng(0).normal(size=(9, 3))
    rows = [dict(zip("abc", row, strict=True)) for row in [*values, [9.0, 9.0, 9.0]]]
    found = log_rank(rows)
    assert found[-1] == 0
    assert (found[:-1] < 0).all()


@pytest.mark.parametrize("rows", [[], [{}, {}]], ids=["no_networks", "no_scores"])
def test_nothing_to_rank_is_0_for_each(rows):
    assert log_rank(rows).tolist() == [0.0] * len(rows)
