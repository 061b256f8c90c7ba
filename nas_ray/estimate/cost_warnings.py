"""Why an estimate is less certain than others: one line for each reason, however many subgraphs."""

from collections.abc import Sequence

from nas_ray.estimate.cost import CALIBRATED_SHARE, SubgraphCost
from nas_ray.estimate.host_rules import HostOperator

#: Names that a line lists before it says how many more there are.
_NAMED = 3


def cost_warnings(
    rows: Sequence[SubgraphCost],
    outside_share: float,
    unknown: Sequence[str],
    host: Sequence[HostOperator],
) -> tuple[str, ...]:
    """Return the lines for a network of `rows`.

    Some of its operators may be `unknown` to the vocabulary, and some are on the `host`.
    """
    return (*_outside(rows, outside_share), *_host(host), *_unknown(unknown))


def _outside(rows: Sequence[SubgraphCost], share: float) -> list[str]:
    outside = [row for row in rows if row.outside]
    if not outside:
        return []
    found_ms = sum(row.latency_ms for row in outside)
    total_ms = sum(row.latency_ms for row in rows)
    most = max(outside, key=lambda row: row.latency_ms)
    where = f"{most.name!r} ({_kinds(most)})"
    places = (
        f"1 subgraph that the table has too little like, {where}"
        if len(outside) == 1
        else f"{len(outside)} subgraphs that the table has too little like, most in {where}"
    )
    bound = ", and so is the upper end" if share > CALIBRATED_SHARE else ""
    part = f"{share_text(share)} of the latency ({found_ms:.2g} of {total_ms:.2g} ms)"
    return [f"{part} is in {places}: a guess{bound}"]


def _host(operators: Sequence[HostOperator]) -> list[str]:
    if not operators:
        return []
    subject = "1 operator runs" if len(operators) == 1 else f"{len(operators)} operators run"
    names: dict[str, list[str]] = {}
    for one in operators:
        names.setdefault(f"{one.kind}: {one.reason}", []).append(repr(one.name))
    why = [f"{listed(found)} ({reason})" for reason, found in names.items()]
    return [f"{subject} on the host processor, for a time that is a guess: {'; '.join(why)}"]


def _unknown(names: Sequence[str]) -> list[str]:
    if not names:
        return []
    subject = "operator" if len(names) == 1 else f"{len(names)} operators"
    verb = "is" if len(names) == 1 else "are"
    return [f"{subject} {listed(names)} {verb} not known: only the traffic counts"]


def _kinds(row: SubgraphCost) -> str:
    kinds = list(dict.fromkeys(row.kind.split("+")))
    return "+".join(kinds[:_NAMED]) + ("+..." if len(kinds) > _NAMED else "")


def listed(names: Sequence[str]) -> str:
    """The first few of `names`, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def share_text(share: float) -> str:
    """A share as a person reads it; what is there is never 0 %."""
    return f"{share:.0%}".replace("%", " %") if share >= 0.01 else "less than 1 %"
