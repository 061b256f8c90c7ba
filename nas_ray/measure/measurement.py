"""What a back-end says about one graph, and what a back-end is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nas_ray.graph import Graph


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One graph on one target.

    `peak_memory_bytes` is the memory for activations and `weight_bytes` the constants
    as stored (compressed). `cpu_operators` > 0 means that
    those run on the host processor and are not in `latency_ms`. `operators_ms` is the share of
    each operator of the graph in `latency_ms`, in their order; empty where a back-end cannot say.
    """

    latency_ms: float
    peak_memory_bytes: int
    weight_bytes: int
    macs: int
    cpu_operators: int = 0
    operators_ms: tuple[float, ...] = ()


#: Measures a graph with the settings of `[measure]` in device.toml; raises MeasureError.
Backend = Callable[[Graph, Mapping[str, Any]], Measurement]
