"""What is remembered of costed candidates: the infeasible, the nearest, the reason."""

import json

import pytest

from nas_ray import Constraint, Ordinal, SearchSpace
from nas_ray.errors import SearchError
from nas_ray.evolution.costed import CostedCandidates
from nas_ray.evolution.screen import Candidate

BOUND = Constraint("latency_ms", upper=10)


def line(steps: int) -> SearchSpace:
    return SearchSpace(name="line", choices={"a": Ordinal(*range(steps)), "b": Ordinal(0, 1)})


SMALL, LARGE = line(50), line(30_000)


def costing(a: int, latency_ms: float | None = None, error: str = "") -> Candidate:
    """A network whose latency is `a` unless it is given."""
    latency = float(a) if latency_ms is None else latency_ms
    costs = {} if error else {"latency_ms": latency}
    return Candidate(config={"a": a, "b": 0}, costs=costs, error=error)


def remembering(space: SearchSpace, *candidates: Candidate) -> CostedCandidates:
    costed = CostedCandidates(space, ["accuracy"], [BOUND])
    costed.add(candidates)
    return costed


def known(costed: CostedCandidates, space: SearchSpace, numbers) -> list[int]:
    return [a for a in numbers if space.key({"a": a, "b": 0}) in costed]


@pytest.mark.parametrize(
    ("space", "expected"),
    # Of a large space the 32 nearest are known: 11 to 42.
    [(SMALL, list(range(11, 50))), (LARGE, list(range(11, 43)))],
    ids=["small", "large"],
)
def test_which_of_the_infeasible_are_known(space, expected):
    costed = remembering(space, *(costing(a) for a in reversed(range(50))))
    assert known(costed, space, range(50)) == expected


def test_one_that_cannot_be_built_is_infeasible_and_never_the_nearest():
    costed = remembering(SMALL, costing(3, error="no kernel fits"), costing(12))
    assert known(costed, SMALL, range(50)) == [3, 12]
    assert [config["a"] for config in costed.parents()[0]] == [12]


@pytest.mark.parametrize(
    ("feasible", "infeasible", "parents"),
    [(0, 3, 3), (1, 5, 5), (1, 4, 0), (4, 0, 0), (0, 40, 32)],
    ids=["none_feasible", "one_in_six", "one_in_five", "all_feasible", "thirty_two_at_most"],
)
def test_parents_are_the_nearest_while_fewer_than_a_fifth_are_feasible(
    feasible, infeasible, parents
):
    numbers = [*range(feasible), *range(11, 11 + infeasible)]
    configs, points = remembering(LARGE, *map(costing, numbers)).parents()
    assert [config["a"] for config in configs] == list(range(11, 11 + parents))
    # How far beyond 10, as a share of it.
    assert points[:, 0].tolist() == pytest.approx([n / 10 for n in range(1, 1 + parents)])


def test_those_that_cannot_be_built_do_not_make_feasible_ones_few():
    broken = [costing(a, error="no kernel fits") for a in range(20, 30)]
    assert remembering(SMALL, costing(1), costing(12), *broken).parents()[0] == []


def test_the_nearest_are_kept_over_many_rounds():
    costed = CostedCandidates(LARGE, ["accuracy"], [BOUND])
    for first in (200, 100, 11, 300):
        costed.add([costing(a) for a in range(first, first + 40)])
    assert [config["a"] for config in costed.parents()[0]] == list(range(11, 43))


def test_the_error_names_the_bound_and_the_nearest_of_those_built():
    costed = remembering(SMALL, costing(30), costing(12), costing(4, error="no kernel fits"))
    message = str(costed.infeasible())
    assert "no network of 'line' was found that meets latency_ms <= 10" in message
    assert "the nearest of 2 tried has latency_ms = 12." in message


@pytest.mark.parametrize(
    ("candidates", "reason"),
    [
        ([costing(1, error="no kernel fits"), costing(2, error="too deep")], "no kernel fits"),
        ([], "no candidate was left"),
    ],
    ids=["first_reason", "nothing_costed"],
)
def test_without_a_nearest_one_the_error_gives_the_reason(candidates, reason):
    assert str(remembering(SMALL, *candidates).infeasible()).endswith(f"can be built: {reason}")


def test_a_bound_on_what_nothing_reports_is_refused_at_the_first_costs():
    costed = CostedCandidates(SMALL, ["accuracy"], [Constraint("latency", upper=1)])
    with pytest.raises(SearchError, match=r"`latency <= 1` is on 'latency'.*mean 'latency_ms'"):
        costed.add([costing(1)])


def test_a_bound_on_an_objective_waits_for_training():
    costed = CostedCandidates(SMALL, ["accuracy"], [Constraint("accuracy", lower=0.5)])
    costed.add([costing(30)])
    assert known(costed, SMALL, range(50)) == []


@pytest.mark.parametrize("space", [SMALL, LARGE], ids=["small", "large"])
def test_restored_from_json_it_is_the_same(space):
    costed = remembering(space, *map(costing, range(8, 50)), costing(3, error="no kernel fits"))
    restored = CostedCandidates(space, ["accuracy"], [BOUND])
    restored.load_state_dict(json.loads(json.dumps(costed.state_dict())))
    assert restored.state_dict() == costed.state_dict()
    assert known(restored, space, range(50)) == known(costed, space, range(50))
    assert restored.parents()[0] == costed.parents()[0]
    assert str(restored.infeasible()) == str(costed.infeasible())
