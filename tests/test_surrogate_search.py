"""`EvolutionarySearch` with and without its surrogate, past the networks it learns from first.

Notation: points are minimised objectives.
"""

import json
from itertools import islice, pairwise

import numpy as np
import pytest
from toy_spaces import twelve

from nas_ray import Categorical, Constraint, EvolutionarySearch, Objective
from nas_ray import SearchSpace as Space
from nas_ray.errors import SearchError, TraceError
from nas_ray.evolution.planning import INITIAL, TRAINED_PER_CHOICE
from nas_ray.evolution.proposal import POPULATION, best_first, propose
from nas_ray.evolution.screen import Candidate
from nas_ray.evolution.search import BATCH
from nas_ray.evolution.waiting import BEST, NEWEST
from nas_ray.pareto import hypervolume

ACCURACY, LATENCY = Objective("accuracy", "max"), Objective("latency_ms", "min")
LETTERS = "abcd"


def layers(count: int = 6) -> Space:
    """One of four kinds for each of `count` layers."""
    choices = {f"layer{n}": Categorical(*LETTERS) for n in range(count)}
    return Space(name="layers", choices=choices)


def kinds(config) -> list[int]:
    return [LETTERS.index(value) for value in config.values()]


def latency(config) -> dict[str, float]:
    """From 1 to 1 + 3 x 6 ms: the richer the kind, the dearer."""
    return {"latency_ms": 1.0 + sum(kinds(config))}


_TABLES = np.random.default_rng(11)
_ALONE = _TABLES.normal(size=(6, 4)) + 0.5 * np.arange(4)
_TOGETHER = _TABLES.normal(0, 0.5, size=(5, 4, 4))


def accuracy(config) -> float:
    """What each layer adds alone, and with the one after it."""
    row = kinds(config)
    pairs = sum(_TOGETHER[n, a, b] for n, (a, b) in enumerate(pairwise(row)))
    return float(sum(_ALONE[n, a] for n, a in enumerate(row)) + pairs)


def measured(config) -> dict[str, float]:
    return {"accuracy": accuracy(config)}


def zero_shot(config) -> dict[str, float]:
    """Two scores: one of what the layers add alone, one that means nothing and may be -inf."""
    row = kinds(config)
    alone = float(sum(_ALONE[n, a] for n, a in enumerate(row)))
    return {"alone": alone, "nothing": -np.inf if row[0] == row[-1] else float(row[1])}


def make(space: Space | None = None, costs=latency, **settings) -> EvolutionarySearch:
    settings = {"objectives": [ACCURACY, LATENCY], **settings}
    return EvolutionarySearch(space or layers(), costs=costs, **settings)


def proposals(search: EvolutionarySearch, evaluate=measured, pending: int = 1):
    """What is asked for, one after another, while up to `pending` configs wait for their tell."""
    waiting = []
    while True:
        try:
            config = search.ask()
        except StopIteration:
            return
        yield config
        waiting.append(config)
        if len(waiting) >= pending:
            done = waiting.pop(0)
            search.tell(done, evaluate(done))


# Without the surrogate


def plain_evolution(space: Space, constraints, seed: int, count: int) -> list:
    """Constrained evolution by its definition: the oldest feasible child is trained next."""
    rows, told, waiting, seen = [], [], [], set()
    for draw in range(count):
        rng = np.random.default_rng([seed, draw])
        met = [n for n, row in enumerate(rows) if keeps_to(constraints, row)]
        good = np.array([[-rows[n]["accuracy"], rows[n]["latency_ms"]] for n in met])
        best = best_first(good, POPULATION) if len(met) >= INITIAL else []
        parents, points = (
            [told[met[n]] for n in best],
            good[best] if len(best) else np.empty((0, 2)),
        )
        children = propose(space, parents, points, seen.__contains__, BATCH, rng)
        waiting += [c for c in children if keeps_to(constraints, latency(c))]
        seen |= {space.key(c) for c in children}
        # Who waited too long is forgotten, and may be proposed again.
        seen -= {space.key(c) for c in waiting[: -BEST - NEWEST]}
        waiting = waiting[-BEST - NEWEST :]
        told.append(waiting.pop(0))
        rows.append({**latency(told[-1]), **measured(told[-1])})
    return told


def keeps_to(constraints, row) -> bool:
    """Whether what `row` has of the constrained quantities is within bounds."""
    known = [(c, row[c.quantity]) for c in constraints if c.quantity in row]
    return all(c.lower <= value <= c.upper for c, value in known)


@pytest.mark.parametrize(
    "constraints",
    [
        [],
        [Constraint("latency_ms", upper=10)],
        [Constraint("latency_ms", upper=12), Constraint("accuracy", lower=0.0)],
    ],
    ids=["free", "half_is_feasible", "one_bound_known_only_later"],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_without_surrogate_and_scores_it_is_plain_constrained_evolution(constraints, seed):
    search = make(constraints=constraints, surrogate=False, seed=seed)
    asked = list(islice(proposals(search), 40))
    assert asked == plain_evolution(search.space, constraints, seed, 40)


# Determinism and state, with the surrogate at work


@pytest.mark.parametrize("scores", [None, zero_shot], ids=["no_scores", "scores"])
@pytest.mark.parametrize("cut", [5, 17, 45], ids=lambda cut: f"after_{cut}")
@pytest.mark.parametrize("bound", [None, 0.0], ids=["free", "bound_known_only_later"])
def test_restored_from_json_it_proposes_what_it_would_have(scores, cut, bound):
    def ask(search, count, waiting):
        asked = []
        for n in range(count):
            asked.append(search.ask())
            waiting.append(asked[-1])
            if len(waiting) > 4:
                finish(search, waiting.pop(n % 2), n)
        return asked

    def finish(search, config, n):
        end = accuracy(config)
        curve = {epoch: {"accuracy": end - 1 / epoch, **latency(config)} for epoch in (1, 2, 3)}
        if n % 5 == 4:
            search.tell_failed(config)
        elif n % 5 == 3:
            search.tell_stopped(config, curve[2], {epoch: curve[epoch] for epoch in (1, 2)})
        else:
            search.tell(config, measured(config), curve)

    constraints = [] if bound is None else [Constraint("accuracy", lower=bound)]
    search, restored = (make(scores=scores, constraints=constraints, seed=3) for _ in range(2))
    waiting = []
    ask(search, cut, waiting)
    restored.load_state_dict(json.loads(json.dumps(search.state_dict())))
    assert restored.state_dict() == search.state_dict()
    assert ask(restored, 8, list(waiting)) == ask(search, 8, waiting)


def test_a_state_replaces_all_that_was_learned_before():
    """As many networks were told to both, so only what was told tells them apart."""

    def told(sign):
        search = make()
        list(islice(proposals(search, lambda c: {"accuracy": sign * accuracy(c)}), 16))
        return search

    used, source, fresh = told(-1), told(1), make()
    for search in (used, fresh):
        search.load_state_dict(source.state_dict())
    expected = list(islice(proposals(fresh), 8))
    assert list(islice(proposals(used), 8)) == expected
    assert list(islice(proposals(source), 8)) == expected


@pytest.mark.parametrize("bounded", [False, True], ids=["free", "bounded"])
def test_maximising_is_minimising_the_mirrored_value(bounded):
    def run(first, second, bound, sign):
        # Neither objective is a cost, so the surrogate learns both.
        search = make(objectives=[first, second], constraints=[bound] if bounded else [])

        def evaluate(config):
            return {
                first.metric: sign * accuracy(config),
                second.metric: sign * latency(config)["latency_ms"] ** 2,
            }

        return list(islice(proposals(search, evaluate, pending=3), 30))

    plain = run(ACCURACY, Objective("energy_mj", "min"), Constraint("accuracy", lower=0.0), 1)
    mirrored = run(
        Objective("error", "min"), Objective("saving", "max"), Constraint("error", upper=0.0), -1
    )
    assert plain == mirrored


# What is proposed


@pytest.mark.parametrize("scores", [None, zero_shot], ids=["no_scores", "scores"])
def test_nothing_that_its_costs_forbid_is_proposed_although_the_surrogate_would_like_it(scores):
    """The most accurate networks are the dearest; the bound leaves about one in seven."""
    bounds = [Constraint("latency_ms", upper=7), Constraint("accuracy", lower=-1.0)]
    search = make(constraints=bounds, scores=scores)
    asked = list(islice(proposals(search, pending=3), 30))
    assert len(asked) == 30
    assert max(latency(c)["latency_ms"] for c in asked) <= 7


@pytest.mark.parametrize("pending", [1, 5])
def test_a_space_is_used_up_network_by_network_whatever_its_scores(pending):
    space = twelve()
    search = make(
        space,
        lambda c: {"latency_ms": float(c["depth"])},
        scores=lambda c: {"kernel": float(c["kernel"])},
    )
    asked = list(proposals(search, lambda c: {"accuracy": float(c["kernel"])}, pending))
    assert sorted(map(space.key, asked)) == sorted(map(space.key, space.configs()))


def test_what_makes_networks_fail_is_avoided():
    """One kind in four of the first layer always fails: a quarter of all random networks."""
    search, asked = make(), []
    for _ in range(80):
        asked.append(config := search.ask())
        if config["layer0"] == "d":
            search.tell_failed(config)
        else:
            search.tell(config, measured(config))
    early = [config["layer0"] for config in asked[:40]].count("d")
    late = [config["layer0"] for config in asked[40:]].count("d")
    # Of 40 random networks 10 would fail, and 4 or fewer in one search of sixty.
    assert early >= 1
    assert late <= 4


@pytest.mark.parametrize("tell", ["tell", "tell_stopped", "tell_failed"])
def test_a_network_whose_costs_were_never_known_may_be_told_all_the_same(tell):
    def costs(config):
        if config["layer0"] == "d":
            raise TraceError("no such layer")
        return latency(config)

    search = make(costs=costs)
    list(islice(proposals(search), 20))
    told = {**search.space.baseline, "layer0": "d"}
    metrics = () if tell == "tell_failed" else ({"accuracy": 9.0, **latency(told)},)
    getattr(search, tell)(told, *metrics)
    asked = list(islice(proposals(search), 5))
    assert {config["layer0"] for config in asked} <= {"a", "b", "c"}
    assert len(asked) == 5


# Whether it learns


def share(configs) -> float:
    """The hypervolume between a latency of 20 ms and an accuracy of -5."""
    points = np.array([[-accuracy(c), latency(c)["latency_ms"]] for c in configs])
    return hypervolume(points, np.array([5.0, 20.0]))


def test_in_sixty_networks_the_surrogate_finds_a_better_front_than_evolution_alone():
    def found(surrogate, seed):
        search = make(surrogate=surrogate, seed=seed)
        return share(islice(proposals(search), 60))

    learned = [found(True, seed) for seed in range(5)]
    bred = [found(False, seed) for seed in range(5)]
    assert np.median(learned) > np.median(bred)
    assert min(learned) > np.median(bred)


# Several choices at once


def many(search: EvolutionarySearch, count: int) -> EvolutionarySearch:
    """Tell `count` different networks."""
    rng = np.random.default_rng(3)
    told: set[str] = set()
    while len(told) < count:
        config = search.space.sample(rng)
        if (key := search.space.key(config)) not in told:
            told.add(key)
            search.tell(config, measured(config))
    return search


def drawn_for(search: EvolutionarySearch, count: int) -> list[int]:
    """How often candidates had been drawn at each of `count` answers."""
    draws = []
    for config in islice(proposals(search), count):
        assert config not in [o.config for o in search.observations]
        draws.append(search.draws)
    return draws


def test_up_to_a_thousand_trained_networks_every_answer_is_thought_over():
    assert drawn_for(many(make(layers()), 999 - 3), 3) == [1, 2, 3]


def test_of_more_networks_several_answers_are_planned_at_once():
    draws = drawn_for(many(make(layers()), 3 * TRAINED_PER_CHOICE), 7)
    assert draws == [1, 1, 1, 2, 2, 2, 3]


def waiting_for_choice(waiting: int = 60) -> EvolutionarySearch:
    """A search that knows forty networks, with some more to choose among."""
    search = many(make(layers()), 40)
    search.offer(search.costed(search.candidates(waiting)))
    return search


def test_as_many_are_planned_as_are_asked_for():
    search = waiting_for_choice()
    plan = search.plan(at_least=12)
    assert len(set(plan.next)) == len(plan.next) == 12
    assert len(search.plan().next) == 1
    assert len(set(search.plan(at_least=100).next)) == 60  # all that wait


def test_of_many_planned_at_once_as_many_are_random_as_of_single_ones(monkeypatch):
    search = waiting_for_choice()

    def found_again(share: float) -> int:
        """How many of a plan are in one without chance as well."""
        monkeypatch.setattr("nas_ray.evolution.planning.RANDOM_LATER", 0.0)
        chosen = search.plan(at_least=12).next
        monkeypatch.setattr("nas_ray.evolution.planning.RANDOM_LATER", share)
        plan = search.plan(at_least=12)
        assert len(set(plan.next)) == len(plan.next) == 12
        return len(set(plan.next) & set(chosen))

    # Some are in both by chance.
    assert found_again(0.0) == 12 > found_again(0.5) > found_again(1.0)


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_nobody_is_dropped_who_is_planned_however_many_wait(monkeypatch, share):
    monkeypatch.setattr("nas_ray.evolution.planning.RANDOM_LATER", share)
    search = waiting_for_choice(400)
    plan = search.plan(at_least=64)
    assert len(set(plan.next)) == 64
    assert plan.dropped
    assert not set(plan.next) & set(plan.dropped)


def test_restored_in_the_middle_of_a_plan_it_goes_on_with_it():
    search = many(make(layers()), 3 * TRAINED_PER_CHOICE)
    list(islice(proposals(search), 2))
    restored = make(layers())
    restored.load_state_dict(json.loads(json.dumps(search.state_dict())))
    for config in list(search._pending.values()):
        for one in (search, restored):
            one.tell(config.config, measured(config.config))
    assert list(islice(proposals(restored), 4)) == list(islice(proposals(search), 4))


# What was told once


def test_told_in_part_and_then_in_full_nothing_that_was_told_becomes_a_cost():
    search = make()
    config = search.ask()
    search.tell_stopped(config, {"accuracy": 0.1}, {1: {"accuracy": 0.1}})
    search.tell(config, {"accuracy": 0.5}, {1: {"accuracy": 0.1}, 3: {"accuracy": 0.5}})
    (observation,) = search.observations
    assert observation.costs == latency(config)
    assert observation.metrics == {"accuracy": 0.5, **latency(config)}


def test_an_epoch_that_was_not_finite_is_no_news_of_where_curves_end():
    search = make(seed=3)
    for config in islice(proposals(search), INITIAL):
        curve = {1: {"accuracy": float("nan")}, 2: measured(config)}
        search.tell(config, measured(config), curve)
    search.tell_stopped(search.ask(), {"accuracy": 0.0}, {1: {"accuracy": 0.0}})
    assert len(list(islice(proposals(search), 8))) == 8


def test_costs_are_asked_for_once_a_network():
    asked = []

    def counted(config) -> dict[str, float]:
        asked.append(config)
        return latency(config)

    search = make(costs=counted)
    config = search.ask()
    before = len(asked)
    assert search.costs_of(config) == latency(config)
    search.tell(config, measured(config))
    assert search.costs_of(config) == latency(config)
    assert len(asked) == before
    other = next(
        c for c in search.space.configs() if search.space.key(c) != search.space.key(config)
    )
    assert search.costs_of(other) == latency(other)
    assert len(asked) == before + 1


def test_a_released_network_may_be_asked_for_again():
    search = make(twelve(), costs=None, objectives=[ACCURACY])
    first = [search.ask() for _ in range(12)]
    with pytest.raises(StopIteration):
        search.ask()
    search.release(first[3])
    assert search.ask() == first[3]


# Constraints on what is told


def half_way(seed: int = 0, **settings) -> EvolutionarySearch:
    """Twice as many told as the surrogate learns from first."""
    search = make(seed=seed, **settings)
    for _ in islice(proposals(search), 2 * INITIAL):
        pass
    return search


@pytest.mark.parametrize("seed", range(3))
def test_a_bound_that_every_network_keeps_to_changes_nothing(seed):
    """The side of a constraint without a bound is none, however good a network may be."""
    free = half_way(seed, objectives=[ACCURACY])
    bound = half_way(seed, objectives=[ACCURACY], constraints=[Constraint("accuracy", lower=-99)])
    assert list(islice(proposals(bound), 20)) == list(islice(proposals(free), 20))


def test_a_constraint_may_be_on_what_is_only_told():
    energy = Constraint("energy_mj", upper=1.0)
    with pytest.raises(SearchError, match="energy_mj"):
        make(constraints=[energy]).ask()
    search = make(constraints=[energy], told=["energy_mj"])
    search.check_feasible()
    for config in islice(proposals(search, lambda c: {**measured(c), **power(c)}), 60):
        assert config
    tried = [o.metrics["energy_mj"] <= 1 for o in search.observations]
    assert sum(tried[30:]) > sum(tried[:INITIAL])
    assert all(o.metrics["energy_mj"] <= 1 for o in search.front())


def power(config) -> dict[str, float]:
    """Two kinds of four in the first layer need too much."""
    return {"energy_mj": float(kinds(config)[0])}


def test_a_network_under_way_whose_costs_are_unknown_does_not_end_the_search():
    search = half_way()
    search.admit(Candidate(config=search.space.sample(np.random.default_rng(9))))
    assert len(list(islice(proposals(search), 5))) == 5
    early = make()
    early.admit(Candidate(config=early.space.sample(np.random.default_rng(9))))
    assert len(list(islice(proposals(early), 5))) == 5


# Scores


def test_without_a_surrogate_nothing_is_scored():
    def never(config):
        raise AssertionError(config)

    assert make(surrogate=False, scores=never).ask()
