"""A fitted device: subgraphs in, latency and its bound out, each different one predicted once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nas_ray.estimate.familiar import is_among
from nas_ray.estimate.host_rules import host_operators
from nas_ray.estimate.interval import Calibration, ordered_sum
from nas_ray.estimate.latency import LatencyModel
from nas_ray.estimate.operator_table import Array, operator_table
from nas_ray.graph import Graph

if TYPE_CHECKING:  # it imports scikit-learn, which only a corrected device needs
    from nas_ray.estimate.correction import Correction

#: Different subgraphs remembered; about 100 MB.
_MEMORY_LIMIT = 200_000


@dataclass(frozen=True, kw_only=True)
class SubgraphLatency:
    """Estimate of one subgraph and how far above it the truth may lie.

    `outside`: the table has too little like it; `familiar`: it is a part of networks there. A
    subgraph with `host_operators` is outside too.
    """

    latency_ms: float
    margin_ms: float
    outside: bool
    familiar: bool
    host_operators: int = 0


@dataclass(frozen=True, kw_only=True)
class NetworkLatency:
    """Estimate of a network: the fields of `Cost` that follow from its subgraphs' latencies."""

    latency_ms: float
    latency_ms_upper: float
    outside_share: float
    host_operators: int


@dataclass(frozen=True, kw_only=True)
class NetworkLatencies:
    """Estimates of `N` networks: the fields of `NetworkLatency`, each `(N,)`."""

    latency_ms: Array
    latency_ms_upper: Array
    outside_share: Array
    host_operators: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Estimator:
    """`correction` is there where whole networks were measured on the real thing."""

    model: LatencyModel
    calibration: Calibration
    known: dict[str, SubgraphLatency] = field(default_factory=dict)
    correction: "Correction | None" = None

    def latencies(self, parts: Mapping[str, Graph]) -> dict[str, SubgraphLatency]:
        """Each subgraph by its signature; all that are new are predicted in one call."""
        if len(self.known) > _MEMORY_LIMIT:
            self.known.clear()
        new = [key for key in parts if key not in self.known]
        self._predict(new, parts)
        self._correct(new, parts)
        return {key: self.known[key] for key in parts}

    def network(
        self, keys: Sequence[str], latencies: Mapping[str, SubgraphLatency]
    ) -> NetworkLatency:
        """The network that consists of subgraphs `keys`."""
        number = {key: n for n, key in enumerate(dict.fromkeys(keys))}
        ids = np.array([[number[key] for key in keys]], dtype=np.int32)
        found = self.networks(ids, [latencies[key] for key in number])
        return NetworkLatency(
            latency_ms=float(found.latency_ms[0]),
            latency_ms_upper=float(found.latency_ms_upper[0]),
            outside_share=float(found.outside_share[0]),
            host_operators=int(found.host_operators[0]),
        )

    def networks(
        self, ids: NDArray[np.int32], latencies: Sequence[SubgraphLatency]
    ) -> NetworkLatencies:
        """`network` of many networks at once.

        A row of `ids` `(N, P)` has the places in `latencies` of a network's subgraphs, in any
        order, and -1 where none is left. The numbers are those of `network` to the last bit.
        """
        ordered = np.sort(ids, axis=1)
        times = _occurrences(ordered)
        # The last place is where -1 points.
        known_ms = np.array([*(part.latency_ms for part in latencies), 0.0])
        margin_ms = np.array([*(part.margin_ms for part in latencies), 0.0])
        shares_ms: Array = known_ms[ordered] * times
        total = ordered_sum(shares_ms)
        is_outside = np.array([*(part.outside for part in latencies), False])
        outside_ms = ordered_sum(shares_ms * is_outside[ordered])
        on_host = np.array([*(part.host_operators for part in latencies), 0], dtype=np.int64)
        if self.correction is not None:
            upper_ms = total * self.correction.upper_factor
        else:
            is_familiar = np.array([*(part.familiar for part in latencies), False])
            familiar_ms = ordered_sum(shares_ms * is_familiar[ordered])
            upper_ms = self.calibration.upper_ms(total, margin_ms[ordered] * times, familiar_ms)
        return NetworkLatencies(
            latency_ms=total,
            latency_ms_upper=upper_ms,
            outside_share=np.divide(outside_ms, total, out=np.zeros_like(total), where=total > 0),
            host_operators=on_host[ids].sum(axis=1),
        )

    def _predict(self, keys: Sequence[str], parts: Mapping[str, Graph]) -> None:
        table = operator_table([parts[key] for key in keys])
        latency_ms, outside = self.model.graphs_ms(table)
        rules = self.model.hardware.host
        on_host = [len(host_operators(parts[key], rules)) for key in keys]
        outside |= np.array(on_host, dtype=np.int64) > 0
        margins_ms = self.calibration.margin_ms(table, latency_ms, outside)
        for n, key in enumerate(keys):
            self.known[key] = SubgraphLatency(
                latency_ms=float(latency_ms[n]),
                margin_ms=float(margins_ms[n]),
                outside=bool(outside[n]),
                familiar=is_among(key, self.calibration.familiar),
                host_operators=on_host[n],
            )

    def _correct(self, keys: Sequence[str], parts: Mapping[str, Graph]) -> None:
        if self.correction is None:
            return
        base_ms = np.array([self.known[key].latency_ms for key in keys])
        corrected_ms = self.correction.apply([parts[key] for key in keys], base_ms)
        for key, latency_ms in zip(keys, corrected_ms, strict=True):
            self.known[key] = replace(self.known[key], latency_ms=float(latency_ms))


def _occurrences(ordered: NDArray[np.int32]) -> NDArray[np.int32]:
    """`(N, P)`: how often each id of a sorted row occurs, at its last place; 0 before."""
    times = np.ones(ordered.shape, dtype=np.int32)
    for n in range(1, ordered.shape[1]):
        again = ordered[:, n] == ordered[:, n - 1]
        times[again, n] += times[again, n - 1]
        times[again, n - 1] = 0
    return times
