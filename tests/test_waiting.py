"""Who waits to be trained, and who of them is planned next."""

import json

import pytest

from nas_ray.errors import SearchError
from nas_ray.evolution.screen import Candidate
from nas_ray.evolution.waiting import BEST, NEWEST, Plan, Waiting


def candidate(width: int, **fields) -> Candidate:
    return Candidate(config={"width": width}, **fields)


def keyed(*widths: int) -> list[tuple[str, Candidate]]:
    return [(str(width), candidate(width)) for width in widths]


def waiting(*widths: int) -> Waiting:
    made = Waiting(lambda config: str(config["width"]))
    made.add(keyed(*widths))
    return made


def widths(of: Waiting) -> list[int]:
    return [c.config["width"] for c in of.candidates]


def test_who_is_offered_waits_in_order_and_once():
    one = waiting(3, 1, 3, 2)
    assert (widths(one), len(one), "1" in one, "4" in one) == ([3, 1, 2], 3, True, False)


def test_who_waits_already_keeps_its_place_and_what_is_known_of_it():
    one = waiting(3, 1)
    one.replace(candidate(3, scores={"swap": 5.0}))
    one.add(keyed(3, 2))
    assert widths(one) == [3, 1, 2]
    assert one.candidates[0].scores == {"swap": 5.0}


def test_without_a_ranking_the_oldest_of_too_many_are_surplus():
    assert waiting(*range(BEST + NEWEST)).surplus() == []
    assert waiting(*range(BEST + NEWEST + 3)).surplus() == [0, 1, 2]


def test_with_a_ranking_the_best_stay_and_the_newest():
    count = BEST + NEWEST + 3
    # The oldest are the best, but for the very oldest; the rest of the best are among the newest.
    ranking = [*range(1, BEST), count - 1, 0, *range(BEST, count - 1)]
    assert waiting(*range(count)).surplus(ranking) == [0, *range(BEST, count - NEWEST)]


def test_few_are_never_surplus_however_they_rank():
    assert waiting(*range(NEWEST)).surplus([*reversed(range(NEWEST))]) == []


def test_who_is_dropped_waits_no_longer_and_places_are_those_before():
    one = waiting(5, 6, 7, 8)
    one.follow(Plan(next=[3, 1], dropped=[0, 2]))
    assert (widths(one), one.planned) == ([6, 8], candidate(8))


@pytest.mark.parametrize("plan", [Plan(next=[2]), Plan(dropped=[-1])])
def test_a_plan_for_others_is_refused_and_changes_nothing(plan):
    one = waiting(1, 2)
    with pytest.raises(SearchError, match=r"names more candidates than the 2 that wait"):
        one.follow(plan)
    assert (widths(one), one.planned) == ([1, 2], None)


def test_without_a_plan_nobody_is_next():
    assert waiting(1, 2).planned is None


def test_a_plan_is_gone_through_in_its_order_without_those_who_left():
    one = waiting(1, 2, 3, 4)
    one.follow(Plan(next=[2, 0, 3]))
    assert one.planned == one.planned == candidate(3)  # asking changes nothing
    one.discard("3")
    one.discard("1")
    assert one.planned == candidate(4)
    one.discard("4")
    one.discard("4")  # twice is no mistake
    assert (one.planned, widths(one)) == (None, [2])


def test_who_is_planned_and_scored_meanwhile_comes_with_its_scores():
    one = waiting(1, 2)
    one.follow(Plan(next=[1]))
    one.replace(candidate(2, scores={"swap": 5.0}))
    assert one.planned == candidate(2, scores={"swap": 5.0})


@pytest.mark.parametrize("left", [0, 1])
def test_restored_from_json_the_plan_goes_on(left):
    one = waiting(1, 2, 3)
    one.follow(Plan(next=[2, 0]))
    for key in ["3"][:left]:
        one.discard(key)
    again = Waiting(lambda config: str(config["width"]))
    again.load_state_dict(json.loads(json.dumps(one.state_dict())))
    assert (again.candidates, again.planned) == (one.candidates, one.planned)
