"""The period of a staircase: found through noise and dips, and not found where there is none."""

import numpy as np
import pytest

from nas_ray.profiling.staircase import CHANNELS, period

COUNTS = np.array(CHANNELS, dtype=float)
PERIODS = (4, 5, 8, 12, 14, 16, 24, 32, 48, 64)


def stairs(step, offset=0.0, slope=0.0):
    """Cost of 1, 2, 3, ... channels of which `step` are worked on at a time."""
    return offset + np.ceil(COUNTS / step) * step + slope * COUNTS


def noisy(costs, seed, sigma=0.02):
    return costs * np.exp(np.random.default_rng(seed).normal(0.0, sigma, len(costs)))


def dipped(costs, seed, dips=3):
    """Costs 10-26 % lower for a few channel counts in a row, here and there."""
    rng, costs = np.random.default_rng(seed), costs.copy()
    for _ in range(dips):
        begin = rng.integers(1, 120)
        costs[begin : begin + rng.integers(3, 12)] *= 1 - rng.uniform(0.10, 0.26)
    return costs


@pytest.mark.parametrize("step", PERIODS)
@pytest.mark.parametrize(("offset", "slope"), [(0, 0), (50, 0), (20, 0.15)])
def test_an_exact_staircase_has_its_own_period(step, offset, slope):
    assert period([stairs(step, offset, slope)]) == step


@pytest.mark.parametrize("step", PERIODS)
def test_two_percent_of_noise_do_not_hide_it(step):
    found = [period([noisy(stairs(step), s), noisy(stairs(step), s + 100)]) for s in range(20)]
    assert found == [step] * 20


@pytest.mark.parametrize("step", PERIODS)
def test_noise_and_dips_may_hide_it_but_seldom_show_another(step):
    """Wrong is worse than none: of 40 at most one; and at least 34 are right."""
    found = []
    for seed in range(40):
        costs = [noisy(dipped(stairs(step), seed + n), seed + n) for n in (0, 1000)]
        found.append(period(costs))
    assert sum(f == step for f in found) >= 34
    assert sum(f not in {step, None} for f in found) <= 1


@pytest.mark.parametrize("offset", [0, 50, 500])
@pytest.mark.parametrize("sigma", [0.0, 0.02])
def test_a_straight_line_has_none(offset, sigma):
    found = [period([noisy(offset + COUNTS, s, sigma)]) for s in range(40)]
    assert found == [None] * 40


@pytest.mark.parametrize("sigma", [0.0, 0.02])
def test_a_constant_has_none(sigma):
    assert {period([noisy(np.ones(130), s, sigma)]) for s in range(40)} == {None}


def test_the_unit_does_not_matter():
    assert period([stairs(16) * 1e-6]) == period([stairs(16) * 1e6]) == 16


def test_one_of_two_sweeps_that_shows_nothing_does_not_hide_it():
    assert period([stairs(16), 40 + COUNTS / 100]) == 16
