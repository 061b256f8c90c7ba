"""From subgraphs to networks: each predicted once, repeats counted."""

from dataclasses import replace

import numpy as np
import pytest

from nas_ray.estimate.estimator import Estimator, SubgraphLatency
from nas_ray.estimate.interval import AS_THEY_ARE
from nas_ray.estimate.operator_table import operator_table
from nas_ray.graph import parse_signature, signature
from nas_ray.measure.sampling import sample_subgraphs


@pytest.fixture(scope="module")
def parts():
    graphs = sample_subgraphs(80, np.random.default_rng(0))
    return {signature(graph): graph for graph in graphs}


@pytest.fixture(scope="module")
def estimator(small_device):
    return Estimator(
        model=small_device._estimator.model, calibration=small_device._estimator.calibration
    )


def test_a_subgraph_is_what_the_model_says_with_the_margin_it_has(estimator, parts):
    latencies = estimator.latencies(parts)
    table = operator_table(list(parts.values()))
    predicted, outside = estimator.model.graphs_ms(table)
    margins = estimator.calibration.margin_ms(table, predicted, outside)
    assert [latencies[key].latency_ms for key in parts] == predicted.tolist()
    assert [latencies[key].margin_ms for key in parts] == margins.tolist()
    assert [latencies[key].outside for key in parts] == outside.tolist()


def test_an_answer_does_not_depend_on_what_was_asked_before(estimator, parts):
    together = dict(estimator.latencies(parts))
    estimator.known.clear()
    for key in reversed(parts):
        assert estimator.latencies({key: parts[key]})[key] == together[key]


@pytest.fixture
def plain(estimator):
    """Margins add as they are: no factor of networks."""
    calibration = replace(estimator.calibration, joining=AS_THEY_ARE, additivity=0.0)
    return replace(estimator, calibration=calibration)


LATENCIES = {
    "a": SubgraphLatency(latency_ms=20.0, margin_ms=3.0, outside=False, familiar=False),
    "b": SubgraphLatency(latency_ms=50.0, margin_ms=8.0, outside=False, familiar=False),
}


def test_a_network_is_the_sum_and_repeated_subgraphs_are_wrong_together(plain):
    """Margins by hand: 3 of `a` occurs twice, 8 of `b` once: sqrt((2 * 3)^2 + 8^2) = 10."""
    found = plain.network(["a", "b", "a"], LATENCIES)
    assert (found.latency_ms, found.latency_ms_upper) == (90.0, pytest.approx(100.0))


def test_what_networks_add_to_margins_is_not_added_to_one_subgraph(plain):
    """By hand: twice the joint margin of 10 on 90 for a network; 50 and its margin of 8 alone."""
    twice = replace(AS_THEY_ARE, constant=2.0)
    doubled = replace(plain, calibration=replace(plain.calibration, joining=twice))
    network, one = (doubled.network(keys, LATENCIES) for keys in (["a", "b", "a"], ["b"]))
    assert (network.latency_ms, network.latency_ms_upper) == (90.0, pytest.approx(110.0))
    assert (one.latency_ms, one.latency_ms_upper) == (50.0, pytest.approx(58.0))


@pytest.mark.parametrize(
    ("keys", "share"),
    [(["b"], 0.0), (["a", "b", "a"], 40 / 90), (["a"], 1.0), ([], 0.0)],
    ids=["none", "repeated", "all", "no_subgraph"],
)
def test_the_share_outside_the_table_is_one_of_the_latency(plain, keys, share):
    """By hand: `a`, of 20 ms, is outside and `b`, of 50 ms, is not."""
    latencies = {**LATENCIES, "a": replace(LATENCIES["a"], outside=True)}
    assert plain.network(keys, latencies).outside_share == pytest.approx(share, rel=1e-15)


def test_operators_on_the_host_are_counted_as_often_as_they_occur(plain):
    latencies = {**LATENCIES, "a": replace(LATENCIES["a"], host_operators=2)}
    assert plain.network(["a", "b", "a"], latencies).host_operators == 4
    assert plain.network(["b"], latencies).host_operators == 0


def test_a_subgraph_with_an_operator_on_the_host_is_outside_the_table(small_device):
    """Resizing by 2 the accelerator can do, by 3 it cannot."""
    texts = {n: f"1x16x16x16; resize 0 > 1x16x{16 * n}x{16 * n}" for n in (2, 3)}
    parts = {text: parse_signature(text) for text in texts.values()}
    found = small_device._estimator.latencies(parts)
    assert [found[texts[n]].host_operators for n in (2, 3)] == [0, 1]
    assert found[texts[3]].outside


def test_the_share_of_many_networks_is_that_of_each(plain):
    latencies = [replace(LATENCIES["a"], outside=True), LATENCIES["b"]]
    found = plain.networks(np.array([[0, 1, 0], [-1, 1, -1], [-1, 0, 1]], np.int32), latencies)
    assert found.outside_share.tolist() == [40 / 90, 0.0, 20 / 70]
