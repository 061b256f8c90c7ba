"""An estimator corrected by whole networks that were measured."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from nas_ray.estimate.correction import fit_correction
from nas_ray.estimate.estimator import Estimator
from nas_ray.graph import Graph, signature, subgraphs


def calibrated(
    estimator: Estimator, networks: Sequence[Graph], measured_ms: Sequence[float]
) -> Estimator:
    """`estimator`, which must not be corrected yet, made to say `measured_ms` of `networks`."""
    keyed = [[(signature(part), part) for part in subgraphs(graph)] for graph in networks]
    parts = dict(pair for pairs in keyed for pair in pairs)
    base_ms = {key: row.latency_ms for key, row in estimator.latencies(parts).items()}
    counts = [Counter(key for key, _ in pairs) for pairs in keyed]
    correction = fit_correction(counts, parts, base_ms, measured_ms)
    return replace(estimator, correction=correction, known={})
