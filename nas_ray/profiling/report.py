"""How well a device that was profiled estimates whole networks, against its own back-end."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nas_ray.device import Device
from nas_ray.errors import MeasureError
from nas_ray.graph import Graph, signature
from nas_ray.measure.measurement import Measurement
from nas_ray.measure.networks import random_network
from nas_ray.measure.workers import MeasureMany
from nas_ray.profiling.starting import Networks


@dataclass(frozen=True, kw_only=True)
class NetworkAccuracy:
    """Of whole networks: mean, median and largest relative error, and the share within 10 %.

    `under_the_bound` is the share that takes no longer than the estimate's upper bound; `lost`
    networks could not be measured.
    """

    networks: int
    mape: float
    median_error: float
    largest_error: float
    within_10_percent: float
    under_the_bound: float
    lost: int


def random_networks(count: int, seed: int, factor: int, networks: Networks | None) -> list[Graph]:
    """`count` networks of `networks`, or else classifiers of inverted bottlenecks."""
    rng = np.random.default_rng([seed, 3])
    return [networks.draw(rng) if networks else random_network(rng, factor) for _ in range(count)]


def check_networks(
    device: Device, graphs: Sequence[Graph], measure_many: MeasureMany
) -> NetworkAccuracy:
    """Estimates of `graphs` against their measurements. Raises MeasureError without any."""
    by_key = {signature(graph): graph for graph in graphs}
    answers = dict(measure_many(by_key))
    measured = {
        key: answer.latency_ms
        for key, answer in answers.items()
        if isinstance(answer, Measurement) and not answer.cpu_operators
    }
    if not measured:
        reason = next((a for a in answers.values() if isinstance(a, str)), "the host runs a part")
        raise MeasureError(f"none of {len(by_key)} networks could be measured: {reason}")
    costs = {key: device.estimate_graph(by_key[key]) for key in measured}
    errors = np.array([abs(costs[key].latency_ms / ms - 1) for key, ms in measured.items()])
    bounded = [ms <= costs[key].latency_ms_upper for key, ms in measured.items()]
    return NetworkAccuracy(
        networks=len(measured),
        mape=float(errors.mean()),
        median_error=float(np.median(errors)),
        largest_error=float(errors.max()),
        within_10_percent=float((errors <= 0.1).mean()),
        under_the_bound=float(np.mean(bounded)),
        lost=len(by_key) - len(measured),
    )
