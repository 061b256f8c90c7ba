"""Upper ends of estimates: the conformal quantile by hand, its coverage as a law."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from nas_ray.estimate.calibrating import calibrate
from nas_ray.estimate.familiar import is_among, numbers
from nas_ray.estimate.interval import (
    AS_THEY_ARE,
    LEVEL,
    Calibration,
    Joining,
    joined_properties,
    ordered_sum,
    upper_quantile,
)
from nas_ray.estimate.operator_table import operator_table
from nas_ray.estimate.samples import Samples
from nas_ray.estimate.trees import Trees
from nas_ray.measure.sampling import sample_subgraphs

FOLDS = 4


@pytest.mark.parametrize(
    ("count", "rank"),
    [(19, 19), (39, 38), (59, 57), (99, 95), (100, 96)],
    ids=["20*.95=19", "40*.95=38", "60*.95=57", "100*.95=95", "101*.95=95.95"],
)
def test_the_quantile_is_the_value_of_the_conformal_rank(count, rank):
    """Values 1, 2, ..., n in any order: the k-th smallest is k; k = ceil(0.95 (n + 1))."""
    assert upper_quantile(np.random.default_rng(count).permutation(count) + 1.0) == rank


def test_with_too_few_values_for_the_level_the_largest_counts():
    """ceil(0.95 * 6) = 6 is more than the five there are."""
    assert upper_quantile(np.array([0.1, 0.5, 0.3, 0.2, 0.4])) == 0.5


def test_a_model_that_always_overestimates_has_no_negative_margin(graphs):
    table = operator_table(graphs)
    found = samples_of(table, np.arange(table.graphs), 0.5 * predicted(table))
    assert calibrate(found, predicted(table), 0.0, FOLDS).factor == 0.0


def test_a_new_value_is_below_the_quantile_in_95_of_100_cases():
    """Split conformal: exactly k / (n + 1) = 95 / 100 over calibrations of n = 99 values.

    Each of 2000 trials calibrates anew and draws one new value, so hits are binomial.
    """
    rng = np.random.default_rng(0)
    trials = 2000
    values = rng.standard_t(3, (trials, 100)) * 0.1  # heavy tails: nothing here is normal
    hits = sum(new <= upper_quantile(np.array(seen)) for *seen, new in values)
    low, high = binom.ppf([0.001, 0.999], trials, LEVEL)
    assert low <= hits <= high


@pytest.fixture(scope="module")
def graphs():
    return list(sample_subgraphs(100, np.random.default_rng(0)))


@pytest.fixture(scope="module")
def table(graphs):
    return operator_table(graphs)


def predicted(table):
    """An estimate of each operator: a million MACs in a millisecond, and 0.01 ms to start."""
    return 0.01 + table["macs"] / 1e6


def samples_of(table, row, operators_ms):
    """Graphs of `table` as parts of rows, which take what their operators take."""
    row = np.asarray(row, dtype=np.intp)
    operator_row, count = row[table.graph], int(row.max()) + 1
    return Samples(
        table=table,
        row=row,
        keys=tuple(map(str, range(len(row)))),
        operators_ms=operators_ms,
        latency_ms=np.bincount(operator_row, operators_ms, count),
        order=np.arange(count),
        fold=np.arange(count),
    )


def spread(latency_ms):
    return np.where(latency_ms < 1.0, 0.3, 0.05)


@pytest.mark.parametrize("side", ["short", "long"])
def test_fresh_rows_lie_below_their_upper_end_in_95_of_100_cases(graphs, table, side):
    """At either end, though short subgraphs are estimated worse: one width for all would not do."""
    rng = np.random.default_rng(1)
    many = operator_table(graphs * 20)
    factors = 1 + rng.normal(0, spread(many.total(predicted(many))))
    found = samples_of(many, np.arange(many.graphs), predicted(many) * factors[many.graph])
    calibration = calibrate(found, predicted(many), 0.0, FOLDS)

    latency_ms = table.total(predicted(table))
    outside = np.zeros(len(graphs), dtype=bool)
    margins_ms = calibration.margin_ms(table, latency_ms, outside)
    fresh_ms = latency_ms * (1 + rng.normal(0, spread(latency_ms), (200, len(graphs))))
    own = (latency_ms < 1.0) == (side == "short")
    assert 20 < own.sum() < 80
    upper_ms = calibration.upper_ms(latency_ms, margins_ms[:, None], 0 * latency_ms)
    covered = (fresh_ms <= upper_ms)[:, own].mean()
    # One calibration, of 2000 rows, so not exactly 95 %.
    assert abs(covered - LEVEL) < 0.02


def always(factor):
    return replace(AS_THEY_ARE, constant=factor)


def plain(factor=1.0, additivity=0.0, network_factor=1.0):
    """Every subgraph tends to be 10 % off: trees of one leaf that say log(0.1)."""
    nothing = np.zeros((1, 1), dtype=np.int16)
    difficulty = Trees(
        feature=nothing,
        threshold=nothing.astype(float),
        left=nothing,
        right=nothing,
        nan_left=nothing.astype(bool),
        value=nothing.astype(float),
        baseline=np.array(np.log(0.1)),
    )
    joining = always(network_factor)
    return Calibration(
        difficulty=difficulty,
        factor=factor,
        joining=joining,
        familiar=numbers([]),
        additivity=additivity,
    )


def test_a_margin_is_the_error_a_subgraph_tends_to_have_times_the_factor(graphs):
    table = operator_table(graphs[:2])
    margins_ms = plain(factor=1.5).margin_ms(table, np.array([2.0, 40.0]), np.zeros(2, dtype=bool))
    assert margins_ms == pytest.approx([0.3, 6.0])


def test_outside_the_table_the_margin_is_three_times_as_wide(graphs):
    table = operator_table([graphs[0], graphs[0]])
    margins_ms = plain().margin_ms(table, np.array([2.0, 2.0]), np.array([False, True]))
    assert margins_ms == pytest.approx([0.2, 0.6])


@pytest.mark.parametrize(
    ("network_factor", "additivity", "margins_ms", "upper_ms"),
    [
        (1.0, 0.0, [3.0, 4.0], 15.0),
        (2.0, 0.0, [3.0, 4.0], 20.0),
        (1.0, np.log(2), [3.0, 4.0], 30.0),
        (2.0, np.log(2), [3.0, 0.0], 13.0),
        (2.0, np.log(2), [0.0, 0.0], 10.0),
    ],
    ids=["in_squares", "times_the_factor", "what_sums_lack", "one_subgraph", "no_margin"],
)
def test_margins_of_different_subgraphs_add_in_squares(
    network_factor, additivity, margins_ms, upper_ms
):
    """Margins 3 and 4 make 5 above 10; a network of one subgraph has the margin of that."""
    calibration = plain(network_factor=network_factor, additivity=additivity)
    found = calibration.upper_ms(np.array([10.0]), np.array([margins_ms]), np.zeros(1))
    assert found == pytest.approx([upper_ms])


def test_the_margins_of_a_subgraph_that_occurs_again_add_plainly():
    """Twice a margin of 3 is 6, which makes 10 with 8, where 3, 3 and 8 in squares make 9.06."""
    found = plain().upper_ms(np.array([90.0]), np.array([[2 * 3.0, 8.0]]), np.zeros(1))
    assert found == pytest.approx([100.0])


def test_a_sum_depends_on_neither_order_nor_zeros():
    """To the last bit."""
    values = np.random.default_rng(0).lognormal(0, 5, (50, 9))
    padded = np.random.default_rng(1).permuted(np.hstack([values, np.zeros((50, 4))]), axis=1)
    assert ordered_sum(padded).tolist() == ordered_sum(values).tolist()
    assert ordered_sum(values) == pytest.approx(values.sum(axis=1))


def copies(graphs, count):
    return operator_table(graphs[:1] * count)


def test_the_factor_of_networks_is_learned_where_there_are_enough(graphs):
    """60 networks of four parts, all 10 % too low together: errors that squares do not expect.

    Of an estimate of 1 ms a part is 0.1 ms too low, so a margin of 0.1 each; four make 0.4, in
    squares 0.2.
    """
    table = copies(graphs, 240)
    found = samples_of(table, np.repeat(np.arange(60), 4), 1.1 * predicted(table))
    calibration = calibrate(found, predicted(table), 0.5, FOLDS)
    properties = joined_properties(*np.array([[1.0], [0.2], [0.4], [0.0]]))
    assert calibration.joining.factor(properties) == pytest.approx([2.0])
    assert calibration.additivity == 0.0


def test_a_part_that_comes_again_in_a_network_counts_as_often_and_once(graphs):
    """The same as above, said of one part that occurs four times: its margins add plainly to 0.4.

    The error is 0.4 as well, and the factor is 1.
    """
    table = copies(graphs, 240)
    found = samples_of(table, np.repeat(np.arange(60), 4), 1.1 * predicted(table))
    found = replace(found, keys=tuple(map(str, found.row)))
    calibration = calibrate(found, predicted(table), 0.0, FOLDS)
    properties = joined_properties(*np.array([[1.0], [0.4], [0.4], [0.0]]))
    assert calibration.joining.factor(properties) == pytest.approx([1.0])


@pytest.mark.parametrize("parts", [2, 8])
def test_networks_of_either_size_lie_below_their_upper_end_in_95_of_100_cases(graphs, parts):
    """The parts of a network are wrong by the same factor, so squares expect too little of many.

    Half of the networks have two parts, half have eight: a factor for all would be twice too wide
    for the ones, and too narrow for the others.
    """
    rng = np.random.default_rng(0)
    count, shares = 4000, np.tile([2, 8], 2000)
    row = np.repeat(np.arange(count), shares)
    table = copies(graphs, len(row))
    wrong = 1 + rng.normal(0, 0.1, count)
    found = samples_of(table, row, predicted(table) * wrong[row][table.graph])
    found = replace(found, fold=rng.integers(0, FOLDS, count))
    calibration = calibrate(found, predicted(table), 0.0, FOLDS)

    part_ms = float(operator_table(graphs[:1]).total(predicted(operator_table(graphs[:1])))[0])
    margin_ms = calibration.margin_ms(
        operator_table(graphs[:1]), np.array([part_ms]), np.zeros(1, dtype=bool)
    )
    upper_ms = calibration.upper_ms(
        np.array([parts * part_ms]), np.tile(margin_ms, (1, parts)), np.zeros(1)
    )
    fresh_ms = parts * part_ms * (1 + rng.normal(0, 0.1, 4000))
    assert abs((fresh_ms <= upper_ms).mean() - LEVEL) < 0.015


@pytest.mark.parametrize("side", ["familiar", "new"])
def test_networks_of_familiar_parts_have_a_bound_of_their_own(graphs, side):
    """Half of 4,000 networks share their parts and are 2 % off, the others 20 %."""
    rng = np.random.default_rng(0)
    row, is_shared = np.repeat(np.arange(4000), 2), np.arange(4000) % 2 == 0
    table = copies(graphs, len(row))
    off = np.where(is_shared, 0.02, 0.2)
    found = samples_of(table, row, predicted(table) * (1 + rng.normal(0, off))[row][table.graph])
    keys = [f"{n % 2}" if is_shared[one] else f"{n}" for n, one in enumerate(row)]
    found = replace(found, keys=tuple(keys), fold=rng.integers(0, FOLDS, 4000))
    calibration = calibrate(found, predicted(table), 0.0, FOLDS)
    assert is_among("0", calibration.familiar)
    assert is_among("2", calibration.familiar)
    assert not is_among("another", calibration.familiar)

    one = operator_table(graphs[:1])
    part_ms = one.total(predicted(one))
    margins_ms = np.tile(calibration.margin_ms(one, part_ms, np.zeros(1, dtype=bool)), (1, 2))
    familiar_ms = 2 * part_ms * (side == "familiar")
    upper_ms = calibration.upper_ms(2 * part_ms, margins_ms, familiar_ms)
    fresh_ms = 2 * part_ms * (1 + rng.normal(0, 0.02 if side == "familiar" else 0.2, 4000))
    assert abs((fresh_ms <= upper_ms).mean() - LEVEL) < 0.015


def test_beyond_the_networks_of_the_table_the_factor_stays_what_it_is_at_their_edge():
    joining = Joining(
        constant=3.0,
        weights=np.array([1.0, 0.5, -0.1]),
        low=np.array([-3.0, 0.0, 0.0]),
        high=np.ones(3),
    )
    points = np.array([[-1.0, 1.0, 0.5], [9.0, 9.0, 9.0], [-9.0, -9.0, -9.0]])
    inside, beyond, below = joining.factor(points)
    assert inside == pytest.approx(3 * np.exp(-1 + 0.5 - 0.05))
    assert beyond == pytest.approx(3 * np.exp(1 + 0.5 - 0.1))
    assert below == pytest.approx(3 * np.exp(-3))


def test_a_fold_may_hold_no_network(graphs):
    table = copies(graphs, 240)
    found = samples_of(table, np.repeat(np.arange(60), 4), 1.1 * predicted(table))
    found = replace(found, fold=np.arange(60) % (FOLDS - 1))
    assert calibrate(found, predicted(table), 0.5, FOLDS).joining != AS_THEY_ARE


def test_without_networks_the_profile_says_what_sums_lack(graphs):
    table = copies(graphs, 60)
    found = samples_of(table, np.arange(60), 1.1 * predicted(table))
    calibration = calibrate(found, predicted(table), 0.5, FOLDS)
    assert (calibration.joining, calibration.additivity) == (AS_THEY_ARE, 0.5)
