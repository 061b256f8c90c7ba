"""The learner: its surrogate is a function of what was told, and of not too much of it.

Notation: points are minimised objectives.
"""

import numpy as np
import pytest

from nas_ray import Categorical, Objective, SearchSpace
from nas_ray.evolution.history import History
from nas_ray.evolution.learner import LARGEST, NEAREST, Learner, _last_tuning
from nas_ray.evolution.observation import Observation
from nas_ray.evolution.screen import Candidate

OBJECTIVES = [Objective("accuracy", "max"), Objective("latency_ms", "min")]
METRICS = {"accuracy": -1.0}
SPACE = SearchSpace(name="letters", choices={f"place{n}": Categorical(*"abcd") for n in range(6)})


def observation(seed: int) -> Observation:
    """One network in seven failed, one in five was stopped after two epochs of three."""
    rng = np.random.default_rng(seed)
    config, costs = SPACE.sample(rng), {"latency_ms": float(rng.random())}
    if seed % 7 == 6:
        return Observation(config=config, metrics={}, final=False, failed=True, costs=costs)
    first = float(rng.random())
    last = first + 0.1 * float(rng.random())
    final = seed % 5 < 4
    curve = {1: {"accuracy": first / 2}, 2: {"accuracy": first}, 3: {"accuracy": last}}
    return Observation(
        config=config,
        metrics={"accuracy": last if final else first, **costs},
        final=final,
        costs=costs,
        curve=curve if final else {epoch: curve[epoch] for epoch in (1, 2)},
    )


def told(count: int, history: History | None = None) -> History:
    history = history or History(OBJECTIVES, [])
    for n in range(len(history), count):
        history.add(str(n), observation(n))
    return history


def expected(learner: Learner) -> list[float]:
    """What the surrogate says of ten networks."""
    rng = np.random.default_rng(99)
    candidates = [
        Candidate(config=SPACE.sample(rng), costs={"latency_ms": float(rng.random())})
        for _ in range(10)
    ]
    surrogate = learner.surrogate(METRICS)
    return [*surrogate.mean(candidates)[:, 0], *surrogate.draws(candidates, 1, rng)[0, :, 0]]


def learned_from(history: History, seed: int = 0) -> list[int]:
    return Learner(SPACE, history, seed)._worth_learning(len(history)).tolist()


@pytest.mark.parametrize("count", [13, 40, LARGEST + 50])
def test_a_learner_that_saw_every_step_knows_what_one_knows_that_comes_late(count):
    history = told(12)
    learner = Learner(SPACE, history, seed=1)
    for step in (*range(12, count, 9), count):
        learner.surrogate(METRICS)
        told(step, history)
    assert expected(learner) == expected(Learner(SPACE, told(count), seed=1))


def test_an_observation_told_again_is_learned_anew():
    history = told(20)
    learner = Learner(SPACE, history, seed=1)
    before = expected(learner)
    history.add("3", observation(1003))
    rebuilt = History(OBJECTIVES, [])
    for n in range(20):
        rebuilt.add(str(n), observation(1003 if n == 3 else n))
    assert expected(learner) == expected(Learner(SPACE, rebuilt, seed=1)) != before


def test_other_metrics_are_another_surrogate():
    learner = Learner(SPACE, told(20), seed=1)
    both = learner.surrogate({"accuracy": -1.0, "latency_ms": 1.0})
    assert learner.surrogate(METRICS).scores.keys() == {"accuracy"}
    assert both.scores.keys() == {"accuracy", "latency_ms"}


def test_while_nothing_is_told_the_surrogate_is_not_made_again():
    learner = Learner(SPACE, told(20), seed=1)
    assert learner.surrogate(METRICS) is learner.surrogate(METRICS)


@pytest.mark.parametrize(
    ("told", "tuned"),
    # One more each time up to 10, then a fifth more, rounded down: 12, 14, 16, 19, 22.
    [(1, 1), (5, 5), (9, 9), (10, 10), (11, 10), (12, 12), (13, 12), (15, 14), (18, 16), (22, 22)],
)
def test_weights_are_tuned_at_some_counts_only(told, tuned):
    assert _last_tuning(told) == tuned


@pytest.mark.parametrize("count", [1, LARGEST])
def test_of_few_networks_all_are_learned_from(count):
    assert learned_from(told(count)) == list(range(count))


@pytest.mark.parametrize("count", [LARGEST + 1, 2 * LARGEST])
def test_of_many_it_learns_from_no_more_than_the_largest_number_each_once(count):
    chosen = learned_from(told(count))
    assert len(chosen) == LARGEST
    assert chosen == sorted(set(chosen))


def test_of_many_it_learns_from_the_front_always():
    history = told(2 * LARGEST)
    chosen = {id(history[place]) for place in learned_from(history)}
    assert all(id(o) in chosen for o in history.front())


def test_of_many_it_learns_from_those_nearest_to_the_front_and_from_some_of_the_rest():
    """On a line of falling accuracies at one latency the nearest are the first."""
    history = History(OBJECTIVES, [])
    for n in range(3 * LARGEST):
        metrics = {"accuracy": -float(n), "latency_ms": 1.0 + n}
        history.add(str(n), Observation(config=SPACE.baseline, metrics=metrics))
    chosen = learned_from(history)
    assert chosen[:NEAREST] == list(range(NEAREST))
    # Drawn evenly from 200 to 1199: their mean is 700 and its standard error 20.
    assert np.mean(chosen[NEAREST:]) == pytest.approx(700, abs=80)
    assert learned_from(history, seed=1)[NEAREST:] != chosen[NEAREST:]


def test_failed_networks_are_never_among_the_nearest():
    history = History(OBJECTIVES, [])
    for n in range(LARGEST + NEAREST):
        failed = n < LARGEST
        metrics = {} if failed else {"accuracy": 0.5, "latency_ms": 1.0}
        history.add(
            str(n),
            Observation(config=SPACE.baseline, metrics=metrics, failed=failed, final=not failed),
        )
    assert learned_from(history)[-NEAREST:] == list(range(LARGEST, LARGEST + NEAREST))


def test_a_network_stopped_early_counts_as_what_it_would_have_reached():
    """Ends are 0.2 above the value after two epochs, and the scale is linear on both sides."""
    history = History([OBJECTIVES[0]], [])
    for n, value in enumerate((0.1, 0.2, 0.3, 0.4, 0.5, 0.6)):
        curve = {2: {"accuracy": value}, 3: {"accuracy": value + 0.2}}
        config = SPACE.sample(np.random.default_rng(n))
        history.add(
            str(n), Observation(config=config, metrics={"accuracy": value + 0.2}, curve=curve)
        )
    cut = {"accuracy": 0.35}
    stopped = Observation(config=SPACE.baseline, metrics=cut, final=False, curve={2: cut})
    history.add("stopped", stopped)
    scores = Learner(SPACE, history, 0).surrogate(METRICS).scores["accuracy"]
    # 0.55: in the middle between 0.5 and 0.6, the third and the fourth.
    assert scores[-1] == pytest.approx((scores[2] + scores[3]) / 2)
