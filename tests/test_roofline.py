"""The first guess: roofs are recovered from latencies that were made with some."""

import numpy as np
import pytest

from nas_ray.estimate.effort import RESOURCES, effort
from nas_ray.estimate.operator_table import KINDS, operator_table
from nas_ray.estimate.roofs import fit_roofline
from nas_ray.measure.families import MOBILE
from nas_ray.measure.sampling import sample_subgraphs

FACTOR, MACS_PER_CYCLE = 16, 512
#: In ms: a cycle at 1 GHz, a byte at 24 GB/s, the start of an operator.
CYCLE_MS, BYTE_MS, START_MS = 1e-6, 1e-6 / 24, 3e-4
ARITHMETIC, MOVED, START = RESOURCES.index("arithmetic"), RESOURCES.index("moved"), len(RESOURCES)


@pytest.fixture(scope="module")
def table():
    return operator_table(
        list(sample_subgraphs(250, np.random.default_rng(2), FACTOR, families=MOBILE))
    )


@pytest.fixture(scope="module")
def work(table):
    return effort(table, None, FACTOR, MACS_PER_CYCLE)


@pytest.fixture(scope="module")
def kind(table):
    return table["kind"].astype(int)


def guess(model, work, kind):
    return model.latency_ms(work, kind, model.bounds_ms(work, kind))


def busy_ms(work):
    """Arithmetic and traffic of each operator alone."""
    return work.bounds["arithmetic"] * CYCLE_MS, work.bounds["moved"] * BYTE_MS


LAWS = {
    "one_after_the_other": lambda work: START_MS + sum(busy_ms(work)),
    "traffic_alone": lambda work: busy_ms(work)[1],
    "only_starting": lambda work: START_MS * np.ones(len(work.blocks)),
}


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_a_law_that_joins_resources_is_recovered(law, work, kind):
    """Each is a sum of bounds with weights that are not negative: least squares find it."""
    latency_ms = law(work)
    found = guess(fit_roofline(work, kind, latency_ms), work, kind)
    # A kind with fewer operators than 60 is joined like all together.
    many = np.bincount(kind)[kind] >= 60
    assert many.mean() > 0.7
    assert found[many] == pytest.approx(latency_ms[many], rel=1e-6)


def test_the_slower_of_two_is_nearly_recovered(work, kind):
    """The largest bound is one of what is joined; roofs are the fastest of 200, so a bit above.

    Measured: a median error of 2.2 %.
    """
    latency_ms = np.maximum(*busy_ms(work)) + START_MS
    error = np.abs(guess(fit_roofline(work, kind, latency_ms), work, kind) / latency_ms - 1)
    assert np.median(error) < 0.03


def test_a_roof_is_the_least_time_of_a_unit(work, kind):
    """Traffic at 24 GB/s and nothing else: that roof, and no other resource is faster than it."""
    latency_ms = busy_ms(work)[1]
    model = fit_roofline(work, kind, latency_ms)
    for k in np.unique(kind):
        assert model.roofs[k, MOVED] == pytest.approx(BYTE_MS)


def test_hardly_an_operator_is_faster_than_a_roof(work, kind):
    """Whatever the latencies: 0.5 % of a kind count as noise, here one operator at most."""
    latency_ms = np.exp(np.random.default_rng(0).normal(-5, 2, len(kind)))
    bounds_ms = fit_roofline(work, kind, latency_ms).bounds_ms(work, kind)
    for k in np.unique(kind):
        if (kind == k).sum() < 30:
            continue
        faster = (bounds_ms[kind == k] > latency_ms[kind == k, None] * (1 + 1e-9)).sum(axis=0)
        assert faster.max() <= np.ceil(0.005 * (kind == k).sum())


def test_a_slower_clock_scales_every_guess(work, kind):
    latency_ms = np.maximum(*busy_ms(work)) + START_MS
    first = guess(fit_roofline(work, kind, latency_ms), work, kind)
    slow = guess(fit_roofline(work, kind, 10 * latency_ms), work, kind)
    # Nothing is shorter than a picosecond, whatever the clock.
    assert slow == pytest.approx(10 * first, rel=1e-4)


def test_a_kind_with_few_operators_has_the_roofs_of_all(work, kind):
    model = fit_roofline(work, kind, LAWS["one_after_the_other"](work))
    unseen = KINDS.index("softmax")
    few = [k for k in range(len(KINDS)) if (kind == k).sum() < 30]
    assert unseen in few
    for k in few:
        assert model.roofs[k].tolist() == model.roofs[unseen].tolist()
        assert model.weights[k].tolist() == model.weights[unseen].tolist()
    assert model.roofs[unseen, START] > 0


def test_an_operator_is_guessed_the_same_alone_and_among_others(table, work, kind):
    """To the last bit, though sums and products of arrays round by their size."""
    model = fit_roofline(work, kind, LAWS["one_after_the_other"](work))
    together = guess(model, work, kind)
    graphs = list(sample_subgraphs(250, np.random.default_rng(2), FACTOR, families=MOBILE))[:30]
    for n, graph in enumerate(graphs):
        own = operator_table([graph])
        alone = guess(model, effort(own, None, FACTOR, MACS_PER_CYCLE), own["kind"].astype(int))
        assert alone.tolist() == together[table.graph == n].tolist()
