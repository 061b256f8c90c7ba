"""Estimates beside the compiler for networks of any kind, some of which it cannot run.

An estimate may be far off where it says so: it is flagged where much of its latency lies outside
the table or an operator is said to run on the host processor. Beyond that it must be near.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median

from estimating.cases import Case
from estimating.compiler import Compiler, Truth
from estimating.figures import Figures, accuracy
from nas_ray.device import Device
from nas_ray.estimate.cost import Cost

#: An estimate is flagged where a greater share of its latency lies outside the table.
OUTSIDE_SHARE = 0.1
#: An estimate that is not flagged must be this near.
TOLERANCE = 0.25
_MEMORY_TOLERANCE = 0.1


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One network: what is estimated, how sure that is said to be, and what the compiler says."""

    name: str
    kind: str
    latency_ms: float
    latency_ms_upper: float
    peak_memory_bytes: int
    outside_share: float
    host_operators: int
    truth: Truth

    @property
    def is_flagged(self) -> bool:
        """Whether the estimate itself says that it may be far off."""
        return self.outside_share > OUTSIDE_SHARE or self.host_operators > 0

    @property
    def is_answered(self) -> bool:
        """Whether the compiler has answered."""
        return not self.truth.unwritten and not self.truth.refused

    @property
    def is_compared(self) -> bool:
        """Whether the compiler runs all of it on the accelerator; else only the flag counts."""
        return self.is_answered and self.truth.host_operators == 0

    @property
    def error(self) -> float:
        """Relative error of latency, above 0 where the estimate is too high."""
        return self.latency_ms / self.truth.latency_ms - 1

    @property
    def width(self) -> float:
        """How far the upper end of the bound lies above the estimate, as a share of it."""
        return self.latency_ms_upper / self.latency_ms - 1


def judged(device: Device, cases: Iterable[Case], compiler: Compiler) -> list[Judged]:
    """Each of `cases` estimated and compiled."""
    return [beside(case, device.estimate_graph(case.graph), compiler.truth(case)) for case in cases]


def beside(case: Case, cost: Cost, truth: Truth) -> Judged:
    """One network with its estimate and its truth."""
    return Judged(
        name=case.name,
        kind=case.kind,
        latency_ms=cost.latency_ms,
        latency_ms_upper=cost.latency_ms_upper,
        peak_memory_bytes=cost.peak_memory_bytes,
        outside_share=outside_share(cost),
        host_operators=host_operators(cost),
        truth=truth,
    )


def outside_share(cost: Cost) -> float:
    """Share of latency in subgraphs that the table has nothing like."""
    if hasattr(cost, "outside_share"):
        return float(cost.outside_share)
    outside_ms = sum(row.latency_ms for row in cost.subgraphs if row.outside)
    return outside_ms / cost.latency_ms if cost.latency_ms else 0.0


def host_operators(cost: Cost) -> int:
    """How many operators are said to run on the host processor."""
    count: int = getattr(cost, "host_operators", 0)
    return count


def by_kind(found: Iterable[Judged]) -> dict[str, list[Judged]]:
    """Networks by their kind, in the order of the first of each."""
    groups: dict[str, list[Judged]] = {}
    for one in found:
        groups.setdefault(one.kind, []).append(one)
    return groups


def figures(found: Sequence[Judged]) -> Figures:
    """Counts of `found`, and accuracy of those that the compiler runs on the accelerator alone.

    `n` counts the compared, `judged` all; `wrong` names those beyond the tolerance and unflagged.
    """
    compared = [one for one in found if one.is_compared]
    latency = accuracy(
        [one.latency_ms for one in compared],
        [one.truth.latency_ms for one in compared],
        upper=[one.latency_ms_upper for one in compared],
        names=[one.name for one in compared],
    )
    counts = {
        "judged": len(found),
        "unwritten": sum(bool(one.truth.unwritten) for one in found),
        "refused": sum(bool(one.truth.refused) for one in found),
        "on_host": sum(one.truth.host_operators > 0 for one in found),
        "flagged": sum(one.is_flagged for one in found),
    }
    shares = {} if not compared else _shares(compared)
    wrong = [one.name for one in compared if is_wrong(one)]
    return {**counts, **latency, **shares, "wrong": wrong}


def _shares(compared: Sequence[Judged]) -> Figures:
    unflagged = [abs(one.error) for one in compared if not one.is_flagged]
    near = [
        abs(one.peak_memory_bytes - one.truth.peak_memory_bytes)
        <= _MEMORY_TOLERANCE * one.truth.peak_memory_bytes
        for one in compared
    ]
    return {
        "unflagged": len(unflagged),
        "unflagged_mape": sum(unflagged) / len(unflagged) if unflagged else None,
        "unflagged_wrong": sum(map(is_wrong, compared)) / len(unflagged) if unflagged else None,
        "median_width": median(one.width for one in compared),
        "memory_within_10_percent": sum(near) / len(near),
    }


def is_wrong(one: Judged) -> bool:
    """Whether an estimate that does not flag itself is beyond the tolerance."""
    return one.is_compared and not one.is_flagged and abs(one.error) > TOLERANCE


def confusion(found: Iterable[Judged]) -> Figures:
    """Counts of the answered by whether operators run on the host, ours and the compiler's word."""
    answered = [one for one in found if one.is_answered]

    def count(ours: bool, theirs: bool) -> int:
        wanted = (ours, theirs)
        return sum(wanted == (x.host_operators > 0, x.truth.host_operators > 0) for x in answered)

    return {
        "both": count(True, True),
        "only_ours": count(True, False),
        "only_compiler": count(False, True),
        "neither": count(False, False),
        "on_host_unflagged": [
            one.name for one in answered if one.truth.host_operators and not one.is_flagged
        ],
    }


def rows(found: Iterable[Judged]) -> list[Figures]:
    """All that is known of each network."""
    return [{**asdict(one), "is_flagged": one.is_flagged} for one in found]
