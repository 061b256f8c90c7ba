"""What a network costs on a device."""

from dataclasses import dataclass

#: Where more of a latency than this is outside the table, no bound on it is calibrated.
CALIBRATED_SHARE = 0.5
#: Of the columns of many configs those that say how far to trust the others.
RELIABILITY = ("outside_share", "host_operators")
#: What is estimated of many configs, in this order; fields of `Cost`.
COST_COLUMNS = (
    *("latency_ms", "latency_ms_upper", "peak_memory_bytes", "weight_bytes", "macs"),
    *RELIABILITY,
)


@dataclass(frozen=True, kw_only=True)
class SubgraphCost:
    """One subgraph of a network.

    `kind` joins the kinds of its operators with `+`, `signature` has all shapes. `outside` means
    that the measurement table holds nothing like it, so `latency_ms` is a guess. So is a subgraph
    with `host_operators`: the compiler leaves operators of these names to the host processor.
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
    host_operators: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Cost:
    """A network on a device: the sum over `subgraphs`, memory over the whole network.

    `outside_share`, 0 to 1, is the share of `latency_ms` in subgraphs that are unlike anything in
    the measurement table. It says how far to trust the rest: nobody has measured how far off an
    estimate is there. Where it is at most a half, the estimate `is_calibrated`: 95 % of networks
    take no longer than `latency_ms_upper`. Where it is more, `latency_ms_upper` is a guess like
    `latency_ms`: made in the same way, with three times the margin for each subgraph outside, but
    for no known share of networks. So many `host_operators` the compiler leaves to the host
    processor, as far as the profile of the device has its rules. What they take there, nobody has
    measured: `latency_ms` counts them as if the accelerator ran them, as a guess and so that a
    search is not drawn to networks that do their work elsewhere. `weight_bytes` is before any
    compression. `warnings` has a line for each reason why the estimate is less certain than others.
    """

    latency_ms: float
    latency_ms_upper: float
    peak_memory_bytes: int
    weight_bytes: int
    macs: int
    outside_share: float
    host_operators: int
    is_calibrated: bool
    subgraphs: tuple[SubgraphCost, ...]
    warnings: tuple[str, ...] = ()
