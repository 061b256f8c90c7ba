"""The pre-filter: violations by hand, who is scored, who is trained and in which order."""

import math

import numpy as np
import pytest

from nas_ray import Constraint, Objective
from nas_ray.evolution.screen import Candidate, Screen, violation, worth_scoring, worth_training

ACCURACY, LATENCY = Objective("accuracy", "max"), Objective("latency_ms", "min")


def candidate(name: str, score: float | None = None, **costs: float) -> Candidate:
    scores = {} if score is None else {"synflow": score}
    return Candidate(config={"name": name}, costs=costs, scores=scores)


def names(candidates) -> str:
    return "".join(str(c.config["name"]) for c in candidates)


def crowd(count: int) -> list[Candidate]:
    """Scored candidates, the best first: each is dominated by all before it."""
    return [candidate(chr(ord("a") + n), -float(n), latency_ms=float(n)) for n in range(count)]


def chosen(candidates, kept: int, random_share: float = 0.0, seed: int = 0, objectives=(LATENCY,)):
    screen = Screen(kept=kept, random_share=random_share)
    return worth_training(candidates, objectives, screen, np.random.default_rng(seed))


# Violations


@pytest.mark.parametrize(
    ("constraints", "costs", "expected"),
    [
        ([Constraint("latency_ms", upper=2)], {"latency_ms": 2.0}, 0),
        ([Constraint("latency_ms", upper=2)], {"latency_ms": 3.0}, 0.5),
        ([Constraint("latency_ms", lower=4)], {"latency_ms": 1.0}, 0.75),
        ([Constraint("latency_ms", lower=1, upper=4)], {"latency_ms": 6.0}, 0.5),
        # Relative to the upper bound where there is one: (1 - 0.6) / 4.
        ([Constraint("latency_ms", lower=1, upper=4)], {"latency_ms": 0.6}, 0.1),
        ([Constraint("margin", upper=0)], {"margin": 3.0}, 3.0),
        ([Constraint("margin", lower=-4, upper=0)], {"margin": 1.0}, 0.25),
        ([Constraint("margin", upper=-2)], {"margin": -1.0}, 0.5),
        (
            [Constraint("latency_ms", upper=2), Constraint("macs", upper=1000)],
            {"latency_ms": 3.0, "macs": 1100.0},
            0.6,
        ),
        ([Constraint("accuracy", lower=0.9)], {"latency_ms": 3.0}, 0),
        ([Constraint("latency_ms", upper=2)], {"latency_ms": math.nan}, math.inf),
        ([], {"latency_ms": 3.0}, 0),
    ],
    ids=[
        "on_the_bound",
        "half_too_slow",
        "below_the_lower",
        "above_an_interval",
        "below_an_interval",
        "bound_zero_counts_as_it_is",
        "zero_upper_scales_by_the_lower",
        "negative_bound",
        "sum_over_constraints",
        "not_known_yet",
        "nan",
        "free",
    ],
)
def test_violation_by_hand(constraints, costs, expected):
    found = violation(Candidate(config={}, costs=costs), constraints)
    assert found == pytest.approx(expected)
    assert (found == 0) == (expected == 0)


def test_what_cannot_be_built_is_infinitely_far_from_feasible_even_without_constraints():
    assert violation(Candidate(config={}, error="no kernel fits"), []) == math.inf


def test_violation_does_not_see_the_unit():
    seconds = violation(candidate("a", latency_s=0.003), [Constraint("latency_s", upper=0.002)])
    assert seconds == pytest.approx(
        violation(candidate("a", latency_ms=3.0), [Constraint("latency_ms", upper=2.0)])
    )


# Who is scored


@pytest.mark.parametrize("count", [5, 6, 100])
def test_where_there_are_few_all_are_scored(count):
    candidates = crowd(5)
    assert worth_scoring(candidates, count, np.random.default_rng(0)) == candidates


def test_of_many_some_are_scored_once_each_and_in_their_order():
    drawn = names(worth_scoring(crowd(20), 8, np.random.default_rng(0)))
    assert len(set(drawn)) == len(drawn) == 8
    assert drawn == "".join(sorted(drawn))
    assert drawn == names(worth_scoring(crowd(20), 8, np.random.default_rng(0)))


def test_every_candidate_is_as_likely_to_be_scored():
    rng = np.random.default_rng(0)
    drawn = "".join(names(worth_scoring(crowd(10), 3, rng)) for _ in range(1000))
    shares = [drawn.count(name) / 1000 for name in "abcdefghij"]
    # Share 3/10 of 1000 draws: the standard error is 0.0145.
    assert shares == pytest.approx([0.3] * 10, abs=0.05)


# Who is trained


def test_by_hand_the_fronts_of_score_and_cost_in_turn():
    # A and B are the first front (best score; fewest ms), C is behind B, D behind B and C.
    candidates = [
        candidate("D", 1, latency_ms=3.0),
        candidate("C", 2, latency_ms=2.0),
        candidate("B", 3, latency_ms=1.0),
        candidate("A", 4, latency_ms=4.0),
    ]
    assert names(chosen(candidates, kept=4)) == "BACD"
    assert names(chosen(candidates, kept=3)) == "BAC"


def test_within_a_front_the_crowded_come_last():
    """On one front by score and latency; M stands nearest to its neighbours, L less so."""
    candidates = [
        candidate("M", 3, latency_ms=30.0),  # ranks 2..4 of 5; latencies 28 to 32
        candidate("A", 1, latency_ms=10.0),
        candidate("L", 2, latency_ms=28.0),  # latencies 10 to 30
        candidate("N", 4, latency_ms=32.0),  # latencies 30 to 90
        candidate("E", 5, latency_ms=90.0),
    ]
    # Gaps in log-rank, of log 5: L log 3 = .68, M log 2 = .43, N log 5/3 = .32; in latency, of 80:
    # L 20/80 = .25, M 4/80 = .05, N 60/80 = .75. Sums: L .93, M .48, N 1.07.
    assert names(chosen(candidates, kept=5)) in ("AENLM", "EANLM")


def test_a_cost_that_is_better_high_is_turned():
    candidates = [candidate("A", 1, throughput=9.0), candidate("B", 1, throughput=5.0)]
    for objective, order in [("max", "AB"), ("min", "BA")]:
        found = chosen(candidates, kept=2, objectives=[Objective("throughput", objective)])
        assert names(found) == order


def test_without_scores_costs_decide():
    candidates = [candidate(name, latency_ms=ms) for name, ms in [("A", 3), ("B", 1), ("C", 2)]]
    assert names(chosen(candidates, kept=3)) == "BCA"


def test_without_costs_that_are_objectives_scores_decide():
    candidates = [
        candidate("A", 1, latency_ms=1.0),
        candidate("B", 3, latency_ms=3.0),
        candidate("C", 2, latency_ms=2.0),
    ]
    assert names(chosen(candidates, kept=3, objectives=[ACCURACY])) == "BCA"


def test_a_cost_that_is_not_known_of_all_decides_nothing():
    candidates = [candidate("A", 1, latency_ms=1.0), candidate("B", 2)]
    assert names(chosen(candidates, kept=2)) == "BA"


def test_without_scores_and_costs_any_may_be_trained_once():
    candidates = [candidate(name) for name in "ABCDE"]
    found = chosen(candidates, kept=3, random_share=0.5)
    assert len(set(names(found))) == 3


@pytest.mark.parametrize(("count", "kept", "trained"), [(0, 8, 0), (1, 8, 1), (5, 8, 5), (9, 8, 8)])
@pytest.mark.parametrize("random_share", [0.0, 0.25, 1.0])
def test_as_many_are_trained_as_are_kept_or_there_are(count, kept, trained, random_share):
    found = chosen(crowd(count), kept, random_share)
    assert len({c.config["name"] for c in found}) == len(found) == trained


@pytest.mark.parametrize(
    ("random_share", "sure"), [(0.0, 8), (0.25, 6), (0.5, 4), (1.0, 0)], ids=str
)
def test_a_share_of_the_places_is_drawn_from_all_others(random_share, sure):
    draws = [names(chosen(crowd(24), 8, random_share, seed)) for seed in range(200)]
    assert {draw[:sure] for draw in draws} == {"abcdefgh"[:sure]}
    drawn = "".join(draw[sure:] for draw in draws)
    others = [chr(ord("a") + n) for n in range(sure, 24)] if sure < 8 else []
    assert sorted(set(drawn)) == others
    # Each of the others is as likely: the least even share has 16 of 16 x 25 draws.
    counts = [drawn.count(name) for name in others]
    expected = 200 * (8 - sure) / (24 - sure)
    assert counts == pytest.approx([expected] * len(others), abs=4 * math.sqrt(expected))


def test_with_a_confidence_the_interval_must_keep_the_bound():
    candidate = Candidate(config={}, costs={"latency_ms": 0.9, "latency_ms_upper": 1.1})
    assert violation(candidate, [Constraint("latency_ms", upper=1.0)]) == 0
    sure = Constraint("latency_ms", upper=1.0, confidence=0.95)
    assert violation(candidate, [sure]) == pytest.approx(0.1)
