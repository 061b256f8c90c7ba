"""Where candidates are costed: beside the search while that takes no time, else in tasks."""

import time
from collections.abc import Callable

import pytest
import tiny_job

import nas_ray
from nas_ray.tune import screening
from nas_ray.tune.screening import Pass, Screening

pytestmark = pytest.mark.usefixtures("local_ray")

#: Configs that were costed in this process; tasks have a list of their own.
HERE: list[dict] = []


def cheap(config: dict) -> dict[str, float]:
    HERE.append(config)
    return {"latency_ms": config["width"] * config["depth"] / 10}


@pytest.fixture(autouse=True)
def _patient(monkeypatch):
    """What is cheap stays cheap on a machine that is busy."""
    monkeypatch.setattr(screening, "COSTED_HERE_S", 0.2)


def slow(config: dict) -> dict[str, float]:
    time.sleep(0.25)
    return cheap(config)


def raising(config: dict) -> dict[str, float]:
    if config["depth"] == 2:
        raise ZeroDivisionError("no such depth")
    return cheap(config)


def passes(costs: Callable, count: int = 1) -> list[Pass]:
    HERE.clear()
    search = nas_ray.EvolutionarySearch(
        tiny_job.space(),
        objectives=[nas_ray.Objective("accuracy", "max"), nas_ray.Objective("latency_ms", "min")],
        costs=costs,
        seed=0,
    )
    one = Screening(search, nas_ray.Screen(pool=16, scored=0, kept=4), max_tasks=2)
    found: list[Pass] = []
    ends = time.monotonic() + 60
    while len(found) < count:
        assert time.monotonic() < ends
        one.begin()
        ended = one.advance(timeout_s=1.0)
        found += [ended] if ended is not None else []
    return found


def test_costs_that_take_no_time_are_worked_out_here():
    (found,) = passes(cheap)
    assert len(HERE) == found.batch.costed == 16


def test_costs_that_take_long_show_it_once_and_are_handed_out():
    found = passes(slow, count=2)
    assert len(HERE) == 1
    assert [one.batch.costed for one in found] == [16, 16]


def test_where_they_are_worked_out_makes_no_difference():
    (here,), (elsewhere,) = passes(cheap), passes(slow)
    assert here == elsewhere


def test_what_a_cost_function_raises_is_told_of_its_network_alone():
    (found,) = passes(raising)
    assert found.batch.costed == 16
    (reason,) = found.batch.unbuildable
    assert "no such depth" in reason
    assert 0 < found.batch.feasible == 16 - found.batch.unbuildable[reason]
