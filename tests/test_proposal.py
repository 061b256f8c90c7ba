"""Proposals: new, valid, and bred from the best parents in the shares that are written down."""

import numpy as np
import pytest

from nas_ray import Categorical, Ordinal, SearchSpace
from nas_ray.evolution.proposal import CROSSOVER_SHARE, POPULATION, RANDOM_SHARE, propose

#: Enough that the standard error of a share is below 0.02.
MANY = 800


def small() -> SearchSpace:
    """Three times two times two: twelve networks."""
    choices = {"a": Ordinal(1, 2, 3), "b": Categorical("x", "y"), "c": Categorical("p", "q")}
    return SearchSpace(name="small", choices=choices)


def letters() -> SearchSpace:
    """Twelve choices of 400 letters, not all Latin: mutations hardly ever repeat themselves."""
    options = [chr(ord("a") + n) for n in range(400)]
    return SearchSpace(
        name="letters", choices={f"choice{n}": Categorical(*options) for n in range(12)}
    )


def all_of(letter: str) -> dict[str, str]:
    return dict.fromkeys(letters().choices, letter)


def bred(parents, points, count: int = MANY, seed: int = 0):
    """Children of `parents` in the space of letters; the parents themselves are known."""
    space = letters()
    known = {space.key(parent) for parent in parents}
    points = np.array(points, dtype=float).reshape(len(parents), -1 if parents else 1)
    return propose(space, parents, points, known.__contains__, count, np.random.default_rng(seed))


def mutated_from(children, letter: str) -> int:
    """How many differ in at most two choices from the parent that has one letter only."""
    return sum(list(child.values()).count(letter) >= 10 for child in children)


# What comes back


@pytest.mark.parametrize("parents", [0, 1, 30], ids=lambda n: f"{n}_parents")
def test_proposals_are_different_unknown_and_of_the_space(parents):
    space, rng = letters(), np.random.default_rng(1)
    configs = [space.sample(rng) for _ in range(parents)]
    children = bred(configs, rng.random((parents, 2)), count=100)
    keys = {space.key(child) for child in children}
    assert len(keys) == len(children) == 100
    assert keys.isdisjoint(space.key(config) for config in configs)
    assert children == [space.canonical(child) for child in children]


@pytest.mark.parametrize("unknown", [0, 1, 3, 12])
@pytest.mark.parametrize("count", [1, 3, 20])
def test_fewer_than_asked_for_come_back_only_where_the_space_is_used_up(unknown, count):
    space = small()
    keys = [space.key(config) for config in space.configs()]
    left = set(keys[::-1][:unknown])
    known = set(keys) - left
    children = propose(
        space, [], np.empty((0, 1)), known.__contains__, count, np.random.default_rng(0)
    )
    assert len(children) == min(count, unknown)
    assert {space.key(child) for child in children} <= left


def test_a_generator_in_the_same_state_gives_the_same_proposals():
    parents = [all_of("a"), all_of("b")]
    assert bred(parents, [[0], [1]], 30) == bred(parents, [[0], [1]], 30)
    assert bred(parents, [[0], [1]], 30, seed=1) != bred(parents, [[0], [1]], 30)


# Who the parents are


def test_without_parents_proposals_are_drawn_evenly():
    children = bred([], [])
    places = [ord(value) - ord("a") for child in children for value in child.values()]
    shares = np.histogram(places, bins=20, range=(0, 400))[0] / len(places)
    # 9600 letters in 20 bins: a share of 0.05 with a standard error of 0.0022.
    assert shares == pytest.approx(np.full(20, 0.05), abs=0.01)


def test_children_of_one_parent_are_its_mutations_beside_a_random_share():
    children = bred([all_of("a")], [[0]])
    # A crossover with itself is the parent, which is known, and is drawn again.
    mutated = (1 - RANDOM_SHARE) * (1 - CROSSOVER_SHARE)
    assert mutated_from(children, "a") / MANY == pytest.approx(
        mutated / (mutated + RANDOM_SHARE), abs=0.06
    )


def test_a_crossover_takes_every_choice_from_one_of_its_two_parents():
    children = bred([all_of("a"), all_of("b")], [[0], [1]])
    mixtures = [child for child in children if set(child.values()) == {"a", "b"}]
    # The parents differ in 2 of 4 x 4 pairs of tournaments times 3: (3/4 x 1/4) x 2 = 6/16.
    bred_share = (1 - RANDOM_SHARE) * CROSSOVER_SHARE * 6 / 16
    total = RANDOM_SHARE + (1 - RANDOM_SHARE) * (1 - CROSSOVER_SHARE) + bred_share
    assert len(mixtures) / MANY == pytest.approx(bred_share / total, abs=0.03)


@pytest.mark.parametrize("better", ["a", "b"])
def test_the_dominating_one_of_two_parents_wins_three_tournaments_out_of_four(better):
    points = {"a": [[1, 1], [2, 2]], "b": [[2, 2], [1, 1]]}[better]
    children = bred([all_of("a"), all_of("b")], points)
    wins = {letter: mutated_from(children, letter) for letter in "ab"}
    # It loses only where both places of the tournament fall to the other: 1/2 x 1/2.
    assert wins[better] / sum(wins.values()) == pytest.approx(3 / 4, abs=0.08)


def test_the_crowded_one_of_a_front_wins_only_against_itself():
    children = bred([all_of("a"), all_of("b"), all_of("c")], [[0, 2], [1, 1], [2, 0]])
    wins = {letter: mutated_from(children, letter) for letter in "abc"}
    assert wins["b"] / sum(wins.values()) == pytest.approx(1 / 9, abs=0.05)


def test_only_the_best_of_a_large_archive_are_parents():
    """Otherwise selection is too weak to beat random sampling once the archive has grown."""
    rng = np.random.default_rng(0)
    best = [all_of(letter) for letter in "abcdefghijklmnop"]
    others = [letters().sample(rng) for _ in range(100)]
    assert len(best) == POPULATION
    # The better ones come last, so that it is not their place that counts.
    parents, points = others + best, [*range(100, 200), *range(16)]
    children = bred(parents, points)
    near = [
        n
        for n, parent in enumerate(parents)
        for child in children
        if sum(child[name] != value for name, value in parent.items()) <= 2
    ]
    assert set(near) == set(range(100, 116))
    assert len(near) > MANY / 2


def test_the_order_of_the_archive_does_not_count():
    points = [[0, 5], [1, 1], [5, 0], [6, 6]]
    parents = [all_of(letter) for letter in "abcd"]
    turned = bred(parents[::-1], points[::-1])
    assert mutated_from(turned, "d") < mutated_from(turned, "b")
    assert mutated_from(turned, "d") / MANY == pytest.approx(
        mutated_from(bred(parents, points), "d") / MANY, abs=0.04
    )
