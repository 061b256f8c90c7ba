"""A draw of a regression forest: what it must find, and what it cannot say.

Notation: `n` observations, `q` queries, `d` features.
"""

import numpy as np

from nas_ray.evolution.forest import forest_draws


def options(seed: int, count: int) -> np.ndarray:
    """Eight choices between two options."""
    return np.random.default_rng(seed).integers(0, 2, (count, 8)).astype(float)


def drawn(features, targets, queries, seed: int = 0, weights=None) -> np.ndarray:
    weights = np.ones(len(features)) if weights is None else weights
    (drawn,) = forest_draws(features, targets, weights, queries, 1, np.random.default_rng(seed))
    return drawn


def test_it_finds_the_one_option_that_ruins_a_network():
    known, asked = options(0, 80), options(1, 40)
    said = drawn(known, known[:, 3], asked)
    assert said[asked[:, 3] == 1].min() > said[asked[:, 3] == 0].max()


def test_it_says_nothing_better_or_worse_than_all_that_is_known():
    known, targets = options(0, 30), np.random.default_rng(2).normal(size=30)
    said = drawn(known, targets, 5 * options(1, 40) - 2)
    assert targets.min() <= said.min()
    assert said.max() <= targets.max()


def test_of_what_weighs_nothing_it_learns_nothing():
    known, asked = options(0, 60), options(1, 20)
    weights = (np.arange(60) < 30).astype(float)
    # The half without a weight is a hundred times as bad.
    targets = np.where(weights > 0, known[:, 0], 100.0)
    assert drawn(known, targets, asked, weights=weights).max() <= 1.0


def test_a_draw_is_repeated_by_its_generator_and_by_no_other():
    known, asked = options(0, 30), options(1, 20)
    targets = np.random.default_rng(2).normal(size=30)
    first, again, other = (drawn(known, targets, asked, seed) for seed in (0, 0, 1))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


def test_draws_differ_less_where_all_that_is_known_agrees():
    """Half of the networks by one option: there all have one value, elsewhere any."""
    known, asked = options(0, 80), options(1, 60)
    chance = np.random.default_rng(2).normal(size=80)
    targets = np.where(known[:, 0] == 1, 3.0, chance)
    draws = np.array([drawn(known, targets, asked, seed) for seed in range(20)])
    spread = draws.std(axis=0)
    agreed = asked[:, 0] == 1
    assert spread[agreed].mean() < 0.5 * spread[~agreed].mean()
