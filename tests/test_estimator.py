"""From subgraphs to networks: measured ones as they are, others predicted, repeats counted."""

import numpy as np
import pytest

from nas_ray.estimate.estimator import Estimator, SubgraphLatency
from nas_ray.estimate.interval import Calibration, calibrate
from nas_ray.estimate.latency import fit
from nas_ray.graph import signature
from nas_ray.measure.sampling import sample_subgraphs


@pytest.fixture(scope="module")
def parts():
    graphs = sample_subgraphs(80, np.random.default_rng(0))
    return {signature(graph): graph for graph in graphs}


@pytest.fixture
def estimator(parts):
    """Fitted on the first 60 subgraphs, a million MACs in a millisecond and 0.01 ms each."""
    graphs = list(parts.values())[:60]
    latency_ms = np.array([0.01 + graph.macs / 1e6 for graph in graphs])
    model = fit(graphs, latency_ms, 16)
    return Estimator(
        model=model,
        calibration=calibrate(model.residuals, model.predicted_ms, 0.0),
        measured=dict(zip(list(parts)[:60], latency_ms.tolist(), strict=True)),
    )


def test_what_was_measured_is_not_predicted(estimator, parts):
    latencies = estimator.latencies(parts)
    for key in list(parts)[:60]:
        assert latencies[key] == SubgraphLatency(
            latency_ms=0.01 + parts[key].macs / 1e6, margin_ms=0.0, outside=False
        )


def test_what_was_not_measured_has_a_margin(estimator, parts):
    latencies = estimator.latencies(parts)
    predicted = estimator.model.predict_ms(list(parts.values())[60:])[0]
    assert [latencies[key].latency_ms for key in list(parts)[60:]] == predicted.tolist()
    assert all(latencies[key].margin_ms > 0 for key in list(parts)[60:])


def test_an_answer_does_not_depend_on_what_was_asked_before(estimator, parts):
    together = dict(estimator.latencies(parts))
    estimator.known.clear()
    for key in reversed(parts):
        assert estimator.latencies({key: parts[key]})[key] == together[key]


def test_a_network_is_the_sum_and_repeated_subgraphs_are_wrong_together():
    """Margins by hand: 3 of `a` occurs twice, 8 of `b` once: sqrt((2 * 3)^2 + 8^2) = 10."""
    estimator = Estimator(
        model=None,
        calibration=Calibration(edges_ms=np.array([]), margins=np.array([0.0]), additivity=0.0),
        measured={},
    )
    latencies = {
        "a": SubgraphLatency(latency_ms=20.0, margin_ms=3.0, outside=False),
        "b": SubgraphLatency(latency_ms=50.0, margin_ms=8.0, outside=False),
    }
    assert estimator.network_ms(["a", "b", "a"], latencies) == (90.0, pytest.approx(100.0))
