"""The period of a staircase: found through noise and dips, and not found where there is none."""

import numpy as np
import pytest

from nas_ray.profiling.staircase import (
    CHANNELS,
    COARSE,
    WIDE_CANDIDATES,
    period,
    wide_period,
    worth_refining,
)

COUNTS = np.array(CHANNELS, dtype=float)
#: All counts that may be asked for, to draw from for a wide staircase.
WIDE_COUNTS = np.arange(1.0, COARSE[-1] + 1)
WIDE_PERIODS = (65, 72, 80, 96, 100, 112, 120, 128, 144, 160, 192, 200, 224, 250, 256)
PERIODS = (4, 5, 8, 12, 14, 16, 24, 32, 48, 64)


def stairs(step, offset=0.0, slope=0.0, counts=COUNTS):
    """Cost of 1, 2, 3, ... channels of which `step` are worked on at a time."""
    return offset + np.ceil(counts / step) * step + slope * counts


def wide_stairs(step, offset=0.0, slope=0.0):
    return stairs(step, offset, slope, WIDE_COUNTS)


def asked(*lines):
    """What is found in costs of every count, asking only for what is asked for; and how many."""
    sweeps = [{count: line[count - 1] for count in (*CHANNELS, *COARSE)} for line in lines]
    more = worth_refining(sweeps)
    for sweep, line in zip(sweeps, lines, strict=True):
        sweep |= {count: line[count - 1] for count in more}
    return wide_period(sweeps), len(more)


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


@pytest.mark.parametrize("step", WIDE_PERIODS)
@pytest.mark.parametrize(("offset", "slope"), [(0, 0), (50, 0), (20, 0.15)])
def test_an_exact_wide_staircase_has_its_own_period(step, offset, slope):
    assert period([wide_stairs(step, offset, slope)[: len(CHANNELS)]]) is None
    assert asked(wide_stairs(step, offset, slope))[0] == step


def test_every_wide_period_is_found():
    assert [asked(wide_stairs(step))[0] for step in WIDE_CANDIDATES] == list(WIDE_CANDIDATES)


@pytest.mark.parametrize("step", WIDE_PERIODS)
def test_a_wide_staircase_is_found_through_two_percent_of_noise_by_few_counts(step):
    """Of 20 at least 18, and no wrong one; far from all counts are asked."""
    results = []
    for seed in range(20):
        lines = [noisy(wide_stairs(step), seed + n) for n in (0, 100)]
        results.append(asked(*lines))
    found = [result for result, _ in results]
    assert sum(f == step for f in found) >= 18
    assert {f for f in found if f != step} <= {None}
    assert max(count for _, count in results) <= 70


@pytest.mark.parametrize("offset", [0, 50, 500])
@pytest.mark.parametrize("sigma", [0.0, 0.02])
def test_a_straight_line_has_no_wide_period(offset, sigma):
    results = [asked(noisy(offset + WIDE_COUNTS, s, sigma)) for s in range(40)]
    assert {found for found, _ in results} == {None}


@pytest.mark.parametrize("sigma", [0.0, 0.02])
def test_a_constant_has_no_wide_period(sigma):
    ones = np.ones(len(WIDE_COUNTS))
    assert {asked(noisy(ones, s, sigma))[0] for s in range(40)} == {None}


@pytest.mark.parametrize("step", [4, 8, 16, 32, 64])
def test_a_narrow_staircase_has_no_wide_period(step):
    """Its multiples jump too, and so does much else."""
    assert asked(wide_stairs(step))[0] is None


def test_a_slope_before_the_first_step_does_not_hide_the_steps():
    """As where the first weights are waited for until the array is full."""
    costs = wide_stairs(256, 1000) + 2 * np.minimum(WIDE_COUNTS, 256)
    assert asked(costs)[0] == 256


def test_one_jump_alone_is_no_staircase():
    assert asked(np.where(WIDE_COUNTS > 300, 2.0, 1.0))[0] is None
