"""The parts `kinds` and `brought`: networks of every kind, and networks of other people."""

from collections.abc import Container, Mapping, Sequence

from rich.console import Console

from estimating import brought, cases, judging, verdicts
from estimating.compiler import Compiler, Known, Truth
from estimating.figures import Figures
from estimating.judging import Judged
from nas_ray.device import Device
from nas_ray.estimate.cost import Cost

#: Parts whose networks the compiler may be unable to run.
PARTS = ("kinds", "brought")


def judge(
    device: Device,
    compiler: Compiler,
    in_table: Container[str],
    parts: Sequence[str],
    console: Console,
) -> dict[str, Figures]:
    """Figures and all networks of the chosen of `PARTS`, which are printed too."""
    found = {}
    for part in (part for part in PARTS if part in parts):
        chosen, failed = cases.kinds() if part == "kinds" else brought.brought()
        if not chosen and not failed:
            console.print(brought.MISSING, highlight=False, soft_wrap=True)
            continue
        kept = [case for case in chosen if case.key not in in_table]
        known = [case.name for case in chosen if case.key in in_table]
        networks = judging.judged(device, kept, compiler)
        title = f"{device.hardware.name}: {part}"
        found[part] = {**_figures(networks), "in_table": known, "untraceable": failed}
        verdicts.print_groups(console, title, _groups(found[part]))
        if part == "brought":
            verdicts.print_one_by_one(console, title, networks)
        _print_lists(console, title, networks, found[part])
    return found


def _figures(networks: Sequence[Judged]) -> Figures:
    groups = judging.by_kind(networks)
    return {
        "all": judging.figures(networks),
        "by_kind": {kind: judging.figures(few) for kind, few in groups.items()},
        "host_operators": judging.confusion(networks),
        "networks": judging.rows(networks),
    }


def _groups(found: Figures) -> Mapping[str, Figures]:
    return {**found["by_kind"], "all": found["all"]}


def _print_lists(console: Console, title: str, networks: Sequence[Judged], found: Figures) -> None:
    verdicts.print_wrong(console, title, networks)
    verdicts.print_host(console, title, found["host_operators"])
    verdicts.print_unanswered(console, networks)
    for name, reason in found["untraceable"].items():
        console.print(f"not traced: {name}: {reason}", highlight=False, soft_wrap=True)
    for name in found["in_table"]:
        console.print(f"left out: {name}: it is in the table", highlight=False)


def as_judged(known: Known, costs: Sequence[Cost]) -> list[Judged]:
    """Networks of another part, all of which the compiler runs on the accelerator, as judged."""
    truths = zip(known.latency_ms, known.peak_memory_bytes, strict=True)
    return [
        judging.beside(case, cost, Truth(latency_ms=latency_ms, peak_memory_bytes=memory))
        for case, cost, (latency_ms, memory) in zip(known.cases, costs, truths, strict=True)
    ]
