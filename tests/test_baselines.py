"""Every search method by one contract, and each baseline by a law or two of its own."""

import math
from itertools import islice

import numpy as np
import pytest
from toy_spaces import accuracy_of, conditional, dials, measured, twelve

from nas_ray import Constraint, EvolutionarySearch, Objective
from nas_ray.errors import InfeasibleError, SearchError, SpaceError, TraceError
from nas_ray.evolution.baselines import (
    LocalSearch,
    Nsga2,
    RandomSearch,
    RegularisedEvolution,
    TopMacs,
)
from nas_ray.evolution.baselines.local_search import neighbours
from nas_ray.pareto import non_dominated

ACCURACY, LATENCY = Objective("accuracy", "max"), Objective("latency_ms", "min")


def evolution_without_surrogate(space, **settings):
    return EvolutionarySearch(space, surrogate=False, **settings)


BASELINES = [LocalSearch, Nsga2, RandomSearch, RegularisedEvolution, TopMacs]
EVERY = pytest.mark.parametrize(
    "method",
    [*BASELINES, EvolutionarySearch, evolution_without_surrogate],
    ids=lambda method: method.__name__,
)


def twelve_costs(config) -> dict[str, float]:
    """Every network has another cost, from 1.5 (depth 1, ibn, kernel 3) to 11."""
    fused = config["block"] == "fused_ibn"
    cost = config["depth"] * 1.5 * (2 if fused else 1) + (config["kernel"] - 3)
    return {"latency_ms": cost, "macs": 1000 * cost}


def dial_costs(config) -> dict[str, float]:
    total = float(sum(config.values()))
    return {"latency_ms": total, "macs": total}


def no_costs(config) -> dict[str, float]:
    return {"latency_ms": 1.0, "macs": 1.0}


def make(method, space, costs=no_costs, **settings):
    return method(space, **{"objectives": [ACCURACY, LATENCY], "costs": costs, **settings})


def proposals(search, evaluate=measured, pending=1):
    """Up to `pending` of what is asked for wait; they come back out of order, each 7th failed."""
    waiting = []
    for number in range(10_000):
        try:
            config = search.ask()
        except StopIteration:
            return
        yield config
        waiting.append(config)
        if len(waiting) >= pending:
            done = waiting.pop(0 if number % 2 else -1)
            if number % 7 == 6:
                search.tell_failed(done)
            else:
                search.tell(done, evaluate(done))


def keys(space, configs) -> list[str]:
    return [space.key(config) for config in configs]


# The contract


@EVERY
@pytest.mark.parametrize("pending", [1, 7])
@pytest.mark.parametrize(
    "constraints",
    [
        [Constraint("latency_ms", upper=25)],
        [Constraint("latency_ms", lower=45)],
        [Constraint("latency_ms", upper=30), Constraint("accuracy", lower=0.3)],
    ],
    ids=["upper", "lower", "with_one_known_only_later"],
)
def test_nothing_that_its_costs_forbid_is_ever_proposed(method, constraints, pending):
    search = make(method, dials(), dial_costs, constraints=constraints)
    asked = list(islice(proposals(search, pending=pending), 45))
    broken = [c for c in asked if constraints[0].violation(dial_costs(c)["latency_ms"]) > 0]
    assert (len(asked), broken) == (45, [])


@EVERY
@pytest.mark.parametrize("pending", [1, 16])
def test_no_network_is_proposed_twice_in_a_space_too_large_to_walk(method, pending):
    search = make(method, dials(), dial_costs)
    asked = keys(search_space := dials(), islice(proposals(search, pending=pending), 90))
    assert len(set(asked)) == 90
    assert search_space.size > 50_000


@EVERY
@pytest.mark.parametrize("pending", [1, 100])
@pytest.mark.parametrize(
    ("space", "costs"),
    [(twelve(), twelve_costs), (conditional(), no_costs)],
    ids=["twelve", "conditional"],
)
def test_every_network_is_asked_for_once_and_then_the_search_is_over(method, space, costs, pending):
    search = make(method, space, costs, objectives=[ACCURACY])
    asked = keys(space, proposals(search, pending=pending))
    assert sorted(asked) == sorted(keys(space, space.configs()))
    with pytest.raises(StopIteration):
        search.ask()


@EVERY
def test_a_constrained_search_is_over_when_the_feasible_networks_are_asked_for(method):
    space = twelve()
    search = make(method, space, twelve_costs, constraints=[Constraint("latency_ms", upper=4.0)])
    # By hand: ibn of depth 1 and 2 with both kernels except 2 x 1.5 + 2 = 5, and one fused_ibn.
    expected = [
        {"depth": 1, "block": "ibn", "kernel": 3},
        {"depth": 1, "block": "ibn", "kernel": 5},
        {"depth": 1, "block": "fused_ibn", "kernel": 3},
        {"depth": 2, "block": "ibn", "kernel": 3},
    ]
    assert sorted(keys(space, proposals(search))) == sorted(keys(space, expected))


@EVERY
def test_what_was_told_without_being_asked_is_not_asked_for(method):
    space = twelve()
    search = make(method, space, twelve_costs)
    first, *others = space.configs()
    search.tell(first, {"accuracy": 0.5})
    assert sorted(keys(space, proposals(search))) == sorted(keys(space, others))


@EVERY
def test_a_network_that_cannot_be_built_is_passed_over(method):
    def costs(config):
        if config["block"] == "fused_ibn":
            raise TraceError("no such block")
        return twelve_costs(config)

    asked = list(proposals(make(method, twelve(), costs)))
    assert len(asked) == 6
    assert {config["block"] for config in asked} == {"ibn"}


@EVERY
@pytest.mark.parametrize("pending", [1, 5])
def test_the_same_seed_proposes_the_same_and_another_seed_something_else(method, pending):
    def run(seed):
        return list(islice(proposals(make(method, dials(), seed=seed), pending=pending), 70))

    assert run(1) == run(1)
    assert run(1) != run(2)


@EVERY
@pytest.mark.parametrize("other", [[], [LATENCY]], ids=["one_objective", "two_objectives"])
def test_maximising_is_minimising_the_mirrored_value(method, other):
    def run(objective, sign):
        search = make(method, dials(), dial_costs, objectives=[objective, *other])
        evaluate = lambda config: {objective.metric: sign * accuracy_of(config)}  # noqa: E731
        return list(islice(proposals(search, evaluate, pending=3), 80))

    assert run(Objective("accuracy", "max"), 1) == run(Objective("error", "min"), -1)


@EVERY
def test_the_front_is_what_nothing_told_dominates(method):
    space = twelve()
    search = make(method, space, twelve_costs, constraints=[Constraint("latency_ms", upper=9)])
    told = [c for n, c in enumerate(proposals(search)) if n % 7 != 6]  # the others fail
    points = np.array([[-accuracy_of(c), twelve_costs(c)["latency_ms"]] for c in told])
    expected = [told[n] for n in np.flatnonzero(non_dominated(points))]
    assert sorted(keys(space, (o.config for o in search.front()))) == sorted(keys(space, expected))


@EVERY
def test_a_network_that_broke_a_bound_when_measured_is_not_on_the_front(method):
    search = make(method, twelve(), constraints=[Constraint("accuracy", upper=0.5)])
    list(proposals(search))
    assert search.front()
    assert all(o.metrics["accuracy"] <= 0.5 for o in search.front())


@EVERY
def test_bounds_out_of_reach_name_the_best_value_there_is(method):
    search = make(method, twelve(), twelve_costs, constraints=[Constraint("latency_ms", upper=0.5)])
    with pytest.raises(InfeasibleError, match=r"meets latency_ms <= 0.5: .* latency_ms = 1.5\."):
        search.ask()


@EVERY
def test_a_constraint_on_what_nothing_reports_is_refused_with_the_nearest_name(method):
    search = make(method, twelve(), twelve_costs, constraints=[Constraint("latency", upper=2.0)])
    with pytest.raises(SearchError, match=r"`latency <= 2` is on 'latency', .*mean 'latency_ms'"):
        search.ask()


@EVERY
@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ({"acuracy": 0.9}, "'accuracy' was not told; did you mean 'acuracy'"),
        ({"accuracy": math.nan}, "'accuracy' must be finite, but got nan"),
    ],
    ids=["mistyped", "nan"],
)
def test_what_is_missing_or_not_finite_is_refused_and_may_be_told_again(method, metrics, message):
    search = make(method, twelve(), twelve_costs)
    config = search.ask()
    with pytest.raises(SearchError, match=message):
        search.tell(config, metrics)
    search.tell(config, {"accuracy": 0.9})
    assert [o.config for o in search.front()] == [config]


@EVERY
def test_a_config_of_another_space_is_refused(method):
    search = make(method, twelve())
    with pytest.raises(SpaceError, match="no choice 'dept'; did you mean 'depth'"):
        search.tell({"dept": 1}, {"accuracy": 0.5})


@EVERY
def test_a_search_without_an_objective_or_with_a_negative_seed_is_refused(method):
    with pytest.raises(SearchError, match="at least one objective"):
        make(method, twelve(), objectives=[])
    with pytest.raises(SearchError, match="seed=-1"):
        make(method, twelve(), seed=-1)


# Regularised evolution


def test_the_oldest_dies_and_not_the_worst():
    search = make(RegularisedEvolution, dials(), objectives=[ACCURACY], population=5, sample=2)
    asked = []
    for number in range(12):
        asked.append(search.ask())
        search.tell(asked[-1], {"accuracy": -number})  # the oldest is the best
        assert search.population == asked[-5:]


def test_after_the_first_population_each_network_is_a_living_one_with_one_choice_changed():
    search = make(RegularisedEvolution, dials(), objectives=[ACCURACY], population=6, sample=3)
    for number in range(40):
        living = search.population
        config = search.ask()
        edits = [sum(config[n] != parent[n] for n in config) for parent in living]
        assert number < 6 or min(edits) == 1
        search.tell(config, measured(config))


def test_a_tournament_of_many_is_won_by_the_best():
    """With 200 draws from 4 the best is among them, except once in 10^25 tournaments."""
    search = make(RegularisedEvolution, dials(), objectives=[ACCURACY], population=200, sample=200)
    configs = [search.ask() for _ in range(200)]
    for config in configs[:4]:
        search.tell(config, {"accuracy": 1.0 if config is configs[2] else 0.0})
    child = search.ask()
    assert sum(child[n] != configs[2][n] for n in child) == 1


@pytest.mark.parametrize(("population", "sample"), [(0, 0), (5, 6), (5, 0)])
def test_a_tournament_that_cannot_be_held_is_refused(population, sample):
    with pytest.raises(SearchError, match=f"got sample={sample}, population={population}"):
        make(RegularisedEvolution, dials(), population=population, sample=sample)


# Local search


def test_the_neighbours_are_all_configs_with_one_edit():
    """By hand: 2 other depths, 1 other block, 1 other kernel; in dials 8 x 10."""
    rng = np.random.default_rng(0)
    found = neighbours(twelve(), {"depth": 1, "block": "ibn", "kernel": 3}, rng)
    assert sorted(keys(twelve(), found)) == sorted(
        keys(
            twelve(),
            [
                {"depth": 2, "block": "ibn", "kernel": 3},
                {"depth": 3, "block": "ibn", "kernel": 3},
                {"depth": 1, "block": "fused_ibn", "kernel": 3},
                {"depth": 1, "block": "ibn", "kernel": 5},
            ],
        )
    )
    around = neighbours(dials(), dials().sample(rng), rng)
    assert len(set(keys(dials(), around))) == 80


def test_a_neighbour_of_a_conditional_space_is_a_config_of_it():
    space, rng = conditional(), np.random.default_rng(0)
    for config in space.configs():
        around = neighbours(space, config, rng)
        assert around == [space.canonical(c) for c in around]
        assert len(around) == sum(len(space.choices[name].options) - 1 for name in config)


def test_every_network_is_a_neighbour_of_the_incumbent_until_it_is_a_local_optimum():
    search = make(LocalSearch, dials(3), dial_costs, objectives=[LATENCY])
    start = search.ask()
    search.tell(start, {})
    assert search.incumbents == []
    climb = []
    while True:
        climb.append(config := search.ask())
        incumbent = (search.incumbents or [start])[0]
        if sum(config[n] != incumbent[n] for n in config) != 1:
            break
        search.tell(config, {})
    # The dials have one optimum, all at 0; a new climb begins when its 30 neighbours are known.
    assert incumbent == dict.fromkeys(incumbent, 0)
    around = neighbours(dials(3), incumbent, np.random.default_rng(0))
    assert set(keys(dials(3), around)) <= set(keys(dials(3), [start, *climb]))


def test_a_better_neighbour_is_the_incumbent_at_once_and_a_worse_one_never():
    search = make(LocalSearch, dials(), objectives=[ACCURACY])
    search.tell(start := search.ask(), {"accuracy": 0.5})
    search.tell(search.ask(), {"accuracy": 0.4})
    assert search.incumbents == [start]
    search.tell(better := search.ask(), {"accuracy": 0.6})
    assert search.incumbents == [better]


def test_with_two_objectives_a_climb_keeps_its_front():
    search = make(LocalSearch, dials(), costs=None)
    search.tell(start := search.ask(), {"accuracy": 0.5, "latency_ms": 5})
    search.tell(smaller := search.ask(), {"accuracy": 0.4, "latency_ms": 4})
    search.tell(search.ask(), {"accuracy": 0.4, "latency_ms": 5})
    assert search.incumbents == [start, smaller]
    search.tell(best := search.ask(), {"accuracy": 0.6, "latency_ms": 5})
    assert search.incumbents == [smaller, best]


# Top MACs


def test_networks_come_by_falling_macs_as_sorted_by_hand():
    """MACs are 1000 x (depth x 1.5, twice that for fused_ibn, plus 2 for kernel 5)."""
    asked = [tuple(c.values()) for c in proposals(make(TopMacs, twelve(), twelve_costs))]
    assert asked[:5] == [
        (3, "fused_ibn", 5),  # 11
        (3, "fused_ibn", 3),  # 9
        (2, "fused_ibn", 5),  # 8
        (3, "ibn", 5),  # 6.5
        (2, "fused_ibn", 3),  # 6
    ]
    assert asked[-1] == (1, "ibn", 3)


def test_a_score_is_as_good_an_order_as_a_cost():
    search = make(
        TopMacs, twelve(), twelve_costs, scores=lambda c: {"small": -c["depth"]}, by="small"
    )
    assert [config["depth"] for config in proposals(search)] == [1] * 4 + [2] * 4 + [3] * 4


def test_a_space_too_large_to_walk_is_ordered_sample_by_sample():
    search = make(TopMacs, dials(), dial_costs, sample=10)
    macs = [dial_costs(c)["macs"] for c in islice(proposals(search), 30)]
    assert [macs[n : n + 10] for n in (0, 10, 20)] == [
        sorted(macs[n : n + 10], reverse=True) for n in (0, 10, 20)
    ]


def test_an_order_by_what_is_not_known_is_refused_with_the_nearest_name():
    with pytest.raises(SearchError, match="but got 'mac'; did you mean 'macs'"):
        make(TopMacs, twelve(), twelve_costs, by="mac").ask()


# NSGA-II


def test_the_second_generation_is_bred_from_the_best_half_of_the_first():
    """All children of parents with every dial at 5 or below mostly stay there."""
    search = make(Nsga2, dials(), dial_costs, objectives=[LATENCY], population=20)
    asked = list(islice(proposals(search), 200))
    means = [np.mean([dial_costs(c)["latency_ms"] for c in asked[n : n + 40]]) for n in (0, 160)]
    assert means[1] < means[0] - 10
