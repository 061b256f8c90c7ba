"""What is expected of candidates before training: metrics, axes, the stand-in scores."""

import numpy as np
import pytest

from nas_ray import Categorical, Constraint, Objective, SearchSpace
from nas_ray.evolution.expectation import Axes, Outlook, ensemble_scores, unknown_metrics
from nas_ray.evolution.history import History
from nas_ray.evolution.learner import Learner
from nas_ray.evolution.observation import Observation
from nas_ray.evolution.screen import Candidate

ACCURACY, LATENCY = Objective("accuracy", "max"), Objective("latency_ms", "min")
SPACE = SearchSpace(name="letters", choices={f"place{n}": Categorical(*"abcd") for n in range(4)})


def costing(*latencies: float) -> list[Candidate]:
    return [Candidate(config={}, costs={"latency_ms": latency}) for latency in latencies]


# The stand-in


def test_the_ensemble_puts_the_best_score_first():
    scored = [Candidate(config={}, scores={"naswot": s}) for s in (2.0, 9.0, -1.0, 5.0)]
    assert np.argsort(ensemble_scores(scored)).tolist() == [1, 3, 0, 2]


def test_to_be_last_by_one_score_costs_more_than_to_be_first_by_another_gains():
    """By log rank: ranks 3 x 1 of three are worth less than 2 x 2."""
    pairs = [(9.0, 0.0), (5.0, 5.0), (0.0, 9.0)]
    scored = [Candidate(config={}, scores={"a": a, "b": b}) for a, b in pairs]
    found = ensemble_scores(scored)
    assert found[1] < found[0]
    assert found[0] == found[2]


def test_multiply_accumulates_stand_in_where_nothing_is_scored():
    unscored = [Candidate(config={}, costs={"macs": macs}) for macs in (1e6, 9e6, 4e6)]
    assert np.argsort(ensemble_scores(unscored)).tolist() == [1, 2, 0]


def test_scores_count_alone_where_there_are_any():
    candidates = [
        Candidate(config={}, costs={"macs": 9e6}, scores={"naswot": 1.0}),
        Candidate(config={}, costs={"macs": 1e6}, scores={"naswot": 2.0}),
        Candidate(config={}, costs={"macs": 99e6}),
    ]
    assert np.argsort(ensemble_scores(candidates)).tolist() == [1, 0, 2]


def test_without_scores_and_macs_all_are_alike():
    assert ensemble_scores(costing(1.0, 2.0)).tolist() == [0.0, 0.0]


# Metrics and axes


@pytest.mark.parametrize(
    ("objectives", "constraints", "expected"),
    [
        ([ACCURACY, LATENCY], [], {"accuracy": -1}),
        ([LATENCY], [], {}),
        ([LATENCY, ACCURACY], [Constraint("accuracy", lower=0.5)], {"accuracy": -1}),
        ([ACCURACY], [Constraint("energy_mj", upper=1)], {"accuracy": -1, "energy_mj": 1}),
        ([ACCURACY], [Constraint("latency_ms", upper=1)], {"accuracy": -1}),
    ],
    ids=["cost_known", "all_known", "bound_on_objective", "bound_on_another", "bound_on_cost"],
)
def test_what_only_training_tells_with_its_sign(objectives, constraints, expected):
    assert unknown_metrics(objectives, constraints, costing(1.0, 2.0)) == expected


def test_a_cost_that_one_candidate_lacks_is_not_known():
    candidates = [*costing(1.0), Candidate(config={})]
    assert unknown_metrics([LATENCY], [], candidates) == {"latency_ms": 1}


def test_axes_are_in_the_order_of_the_objectives_costs_as_known_the_rest_as_expected():
    candidates = costing(3.0, 5.0)
    slowest = Objective("latency_ms", "max")
    expected = {"accuracy": np.array([0.1, -0.2])}
    points = Axes([LATENCY, ACCURACY, slowest], candidates).points(candidates, expected)
    assert points.tolist() == [[3.0, 0.1, -3.0], [5.0, -0.2, -5.0]]


def test_no_candidates_are_no_points():
    assert Axes([ACCURACY, LATENCY], []).points([], {"accuracy": np.empty(0)}).shape == (0, 2)


# The outlook


def outlook(history: History, pending=(), constraints=(), enough: int = 12) -> Outlook:
    learner = Learner(SPACE, history, 0)
    return Outlook(history, learner, pending, [ACCURACY, LATENCY], constraints, enough)


def telling(count: int, accuracy_of, failing=lambda config: False) -> History:
    history = History([ACCURACY, LATENCY], [])
    for n in range(count):
        config, costs = network(n)
        if failing(config):
            told = Observation(config=config, metrics={}, final=False, failed=True, costs=costs)
        else:
            metrics = {"accuracy": accuracy_of(config), **costs}
            told = Observation(config=config, metrics=metrics, costs=costs)
        history.add(str(n), told)
    return history


def network(seed: int):
    rng = np.random.default_rng(seed)
    return SPACE.sample(rng), {"latency_ms": float(rng.random())}


def asked(count: int = 40) -> list[Candidate]:
    return [Candidate(config=c, costs=k) for c, k in (network(1000 + n) for n in range(count))]


def count_of_a(config) -> float:
    return float(list(config.values()).count("a"))


def test_before_enough_is_known_scores_stand_in_for_known_pending_and_candidates_alike():
    history = History([ACCURACY, LATENCY], [])
    costs = {"latency_ms": 1.0}
    told = {"accuracy": 0.9, **costs}
    history.add("a", Observation(config={}, metrics=told, costs=costs, scores={"naswot": 3.0}))
    pending, *candidates = (
        Candidate(config={}, costs={"latency_ms": 2.0}, scores={"naswot": score})
        for score in (1.0, 2.0, 4.0)
    )
    taken, (drawn,) = outlook(history, [pending]).draws(candidates, 1, np.random.default_rng(0))
    assert taken[:, 1].tolist() == [1.0, 2.0]
    assert drawn.points[:, 1].tolist() == [2.0, 2.0]
    # From the best score: the second candidate, the known one, the first candidate, the pending.
    order = np.argsort([*taken[:, 0], *drawn.points[:, 0]])
    assert order.tolist() == [3, 0, 2, 1]
    assert drawn.unfit.tolist() == [0, 0]


def test_with_enough_known_what_is_taken_is_the_front_and_what_is_pending():
    history, candidates = telling(30, count_of_a), asked()
    taken, _ = outlook(history, candidates[:2]).draws(candidates[2:], 1, np.random.default_rng(0))
    latencies = [o.metrics["latency_ms"] for o in history.front()]
    pending = [c.costs["latency_ms"] for c in candidates[:2]]
    assert taken[:, 1].tolist() == [*latencies, *pending]


def test_stopped_networks_are_taken_where_they_are_expected_to_end():
    history, candidates = telling(30, count_of_a), asked()
    front = len(history.front())
    for n, (config, costs) in enumerate(map(network, range(500, 503))):
        metrics = {"accuracy": count_of_a(config), **costs}
        # Of the last one it was not known what it costs: it has no place among the others.
        known = costs if n < 2 else {}
        stopped = Observation(config=config, metrics=metrics, final=False, costs=known)
        history.add(f"stopped{n}", stopped)
    taken, _ = outlook(history).draws(candidates, 1, np.random.default_rng(0))
    expected = [network(seed)[1]["latency_ms"] for seed in (500, 501)]
    assert taken[front:, 1].tolist() == expected


def test_drawn_values_follow_what_is_to_be_learned():
    """Less is better: the more of the good option, the lower the drawn value."""
    history, candidates = telling(60, count_of_a), asked()
    counts = [count_of_a(c.config) for c in candidates]
    for seed in range(6):
        _, (drawn,) = outlook(history).draws(candidates, 1, np.random.default_rng(seed))
        assert np.corrcoef(drawn.points[:, 0], counts)[0, 1] < -0.8


def test_candidates_like_those_that_failed_are_unfit():
    def fails(config):
        return config["place0"] == "d"

    history, candidates = telling(80, count_of_a, fails), asked()
    _, (drawn,) = outlook(history).draws(candidates, 1, np.random.default_rng(0))
    wrong = (drawn.unfit > 0) != [fails(c.config) for c in candidates]
    # Of forty a forest may take a few for what they are not.
    assert wrong.sum() <= 4
    assert any(drawn.unfit == 100.0)


@pytest.mark.parametrize(
    "bound",
    [Constraint("accuracy", lower=1.5), Constraint("accuracy", upper=1.5)],
    ids=["lower", "upper"],
)
def test_candidates_are_unfit_by_how_far_they_are_expected_to_break_a_bound(bound):
    """Accuracy is how often the letter a occurs: 0 and 1 are below the bound, 2 and more above."""
    history, candidates = telling(80, count_of_a), asked()
    _, (drawn,) = outlook(history, constraints=[bound]).draws(
        candidates, 1, np.random.default_rng(1)
    )
    counts = np.array([count_of_a(c.config) for c in candidates])
    breaking = counts < 1.5 if bound.lower == 1.5 else counts > 1.5
    far = np.abs(counts - 1.5) > 1
    assert (drawn.unfit[far & breaking] > 0).all()
    assert (drawn.unfit[far & ~breaking] == 0).all()
    assert (far & breaking).any()
    assert (far & ~breaking).any()
