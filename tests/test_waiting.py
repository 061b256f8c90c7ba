"""Who waits to be trained, and who of them is planned next."""

import json

import pytest

from nas_ray.evolution.screen import Candidate
from nas_ray.evolution.waiting import POOL, Waiting


def candidate(width: int, **fields) -> Candidate:
    return Candidate(config={"width": width}, **fields)


def waiting(*widths: int) -> Waiting:
    made = Waiting(lambda config: str(config["width"]))
    made.add([candidate(width) for width in widths])
    return made


def widths(of: Waiting) -> list[int]:
    return [c.config["width"] for c in of.candidates]


def test_who_is_offered_waits_in_order_and_once():
    one = waiting(3, 1, 3, 2)
    assert (widths(one), len(one), "1" in one, "4" in one) == ([3, 1, 2], 3, True, False)


def test_who_waits_already_keeps_its_place_and_what_is_known_of_it():
    one = waiting(3, 1)
    one.replace(candidate(3, scores={"swap": 5.0}))
    one.add([candidate(3), candidate(2)])
    assert widths(one) == [3, 1, 2]
    assert one.candidates[0].scores == {"swap": 5.0}


def test_of_too_many_the_oldest_go():
    one = waiting(*range(POOL + 3))
    assert widths(one) == list(range(3, POOL + 3))


def test_without_a_plan_nobody_is_next():
    assert waiting(1, 2).planned is None


def test_a_plan_is_gone_through_in_its_order_without_those_who_left():
    one = waiting(1, 2, 3, 4)
    one.plan([candidate(3), candidate(1), candidate(4)])
    assert one.planned == one.planned == candidate(3)  # asking changes nothing
    one.discard("3")
    one.discard("1")
    assert one.planned == candidate(4)
    one.discard("4")
    one.discard("4")  # twice is no mistake
    assert (one.planned, widths(one)) == (None, [2])


def test_who_is_planned_and_scored_meanwhile_comes_with_its_scores():
    one = waiting(1, 2)
    one.plan([candidate(2)])
    one.replace(candidate(2, scores={"swap": 5.0}))
    assert one.planned == candidate(2, scores={"swap": 5.0})


@pytest.mark.parametrize("left", [0, 1])
def test_restored_from_json_the_plan_goes_on(left):
    one = waiting(1, 2, 3)
    one.plan([candidate(3), candidate(1)])
    for key in ["3"][:left]:
        one.discard(key)
    again = Waiting(lambda config: str(config["width"]))
    again.load_state_dict(json.loads(json.dumps(one.state_dict())))
    assert (again.candidates, again.planned) == (one.candidates, one.planned)
