"""What a network costs on a device."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SubgraphCost:
    """One subgraph of a network.

    `kind` joins the kinds of its operators with `+`, `signature` has all shapes. `outside` means
    that the measurement table holds nothing like it, so `latency_ms` is a guess.
    """

    name: str
    kind: str
    signature: str
    shape_in: tuple[int, ...]
    shape_out: tuple[int, ...]
    latency_ms: float
    peak_memory_bytes: int
    weight_bytes: int
    macs: int
    outside: bool


@dataclass(frozen=True, kw_only=True)
class Cost:
    """A network on a device: the sum over `subgraphs`, memory over the whole network.

    `latency_ms_upper` is the upper end of the calibrated 95 % bound. `weight_bytes` is before any
    compression. `warnings` say why an estimate is less certain than the bound claims.
    """

    latency_ms: float
    latency_ms_upper: float
    peak_memory_bytes: int
    weight_bytes: int
    macs: int
    subgraphs: tuple[SubgraphCost, ...]
    warnings: tuple[str, ...] = ()
