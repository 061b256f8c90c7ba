"""What a search remembers of networks told: as observations, as arrays, as a front."""

import numpy as np
import pytest

from nas_ray import Constraint, Objective
from nas_ray.evolution.history import History
from nas_ray.evolution.observation import Observation
from nas_ray.pareto import non_dominated

ACCURACY, LATENCY = Objective("accuracy", "max"), Objective("latency_ms", "min")


def history(*constraints: Constraint) -> History:
    return History([ACCURACY, LATENCY], constraints)


def seen(accuracy: float, latency: float, **others) -> Observation:
    metrics = {"accuracy": accuracy, "latency_ms": latency}
    return Observation(config={}, metrics=metrics, **others)


FAILED = Observation(config={}, metrics={}, final=False, failed=True)


def test_the_arrays_by_hand():
    told = history(Constraint("latency_ms", upper=3))
    told.add("a", seen(0.5, 2.0))
    told.add("b", FAILED)
    told.add("c", seen(0.6, 4.0))
    told.add("d", seen(0.7, 1.0, final=False))
    np.testing.assert_array_equal(
        told.points, [[-0.5, 2.0], [np.nan, np.nan], [-0.6, 4.0], [-0.7, 1.0]]
    )
    assert told.feasible.tolist() == [True, False, False, True]
    assert told.final.tolist() == [True, False, True, False]
    assert (len(told), told.trained) == (4, 3)


@pytest.mark.parametrize("count", [63, 64, 65, 129, 300], ids=lambda n: f"{n}_networks")
def test_the_arrays_grow_with_what_is_told(count):
    told, rng = history(), np.random.default_rng(0)
    points = rng.random((count, 2))
    for n, (accuracy, latency) in enumerate(points):
        told.add(str(n), seen(accuracy, latency, final=n % 3 > 0))
    np.testing.assert_array_equal(told.points, points * [-1, 1])
    assert told.final.tolist() == [n % 3 > 0 for n in range(count)]
    assert told.feasible.all()


def test_a_network_told_again_keeps_its_place_and_voids_what_was_derived():
    told = history()
    told.add("a", seen(0.5, 2.0, final=False))
    told.add("b", seen(0.4, 1.0))
    before = told.replaced
    told.add("a", seen(0.9, 0.5))
    assert told.replaced == before + 1
    assert [o.metrics["accuracy"] for o in told.observations] == [0.9, 0.4]
    assert told.points.tolist() == [[-0.9, 0.5], [-0.4, 1.0]]
    assert told.final.all()


def test_a_front_asked_for_before_does_not_outlive_what_is_told():
    told = history()
    told.add("a", seen(0.5, 2.0))
    assert [o.metrics["accuracy"] for o in told.front()] == [0.5]
    told.add("b", seen(0.6, 1.0))
    assert [o.metrics["accuracy"] for o in told.front()] == [0.6]
    told.add("b", FAILED)
    assert [o.metrics["accuracy"] for o in told.front()] == [0.5]
    told.clear()
    assert told.front() == []


@pytest.mark.parametrize("seed", range(5))
def test_the_front_is_that_of_everything_told_whatever_is_told_again(seed):
    rng = np.random.default_rng(seed)
    told = history()
    for n in range(60):
        # Small numbers, so that there are ties; every third time a network that was told before.
        key = str(int(rng.integers(n)) if n % 3 == 2 else n)
        accuracy, latency = rng.integers(0, 8, 2).astype(float)
        told.add(key, seen(accuracy, latency, final=bool(rng.random() < 0.8)))
        among = np.flatnonzero(told.final)
        best = among[non_dominated(told.points[among])]
        assert told.front() == [told[place] for place in best]
        on_front = [key for key in map(str, range(60)) if told.is_on_front(key)]
        assert sorted(map(id, told.front())) == sorted(id(told.get(key)) for key in on_front)


def test_the_front_is_trained_in_full_and_keeps_to_the_constraints():
    told = history(Constraint("energy_mj", upper=1))
    told.add("stopped", seen(0.9, 0.1, final=False))
    told.add("failed", FAILED)
    told.add("unknown", seen(0.8, 0.1))  # nothing says that it keeps to the constraint
    within = Observation(config={}, metrics={"accuracy": 0.5, "latency_ms": 2.0, "energy_mj": 1.0})
    told.add("within", within)
    assert told.front() == [within]


def test_a_front_handed_out_is_the_caller_s_own():
    told = history()
    told.add("a", seen(0.5, 2.0))
    told.front().clear()
    assert len(told.front()) == 1


def test_after_clearing_as_many_observations_are_not_mistaken_for_those_of_before():
    told = history()
    told.add("a", seen(0.5, 2.0))
    before = (len(told), told.replaced)
    told.clear()
    assert (len(told), "a" in told, told.get("a")) == (0, False, None)
    told.add("b", seen(0.1, 2.0))
    assert (len(told), told.replaced) != before


def test_networks_are_found_by_key_and_by_place():
    told, first, second = history(), seen(0.5, 2.0), seen(0.6, 2.0)
    told.add("a", first)
    told.add("b", second)
    assert (told.get("a"), told[1], told.get("c")) == (first, second, None)
    assert ("b" in told, "c" in told) == (True, False)
