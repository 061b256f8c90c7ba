"""How near the estimator comes to the Ethos-U compiler, why, and how much faster it is.

    python benchmarks/estimator.py --quick --json
    python benchmarks/estimator.py --cache compiled.jsonl --device ethos-u85-2048 --verbose

Parts: random networks of the classification space; random inverted bottlenecks, plain and fused,
alone; published classifiers, which nobody sampled; peak memory; accuracy by rows of the table; what
each part of the method is worth; speed; small networks of every kind that people bring, and
networks of timm where it is installed, both with what the estimate says of its own certainty.
Test graphs come from a seed that no table was made from,
and none that is in a table counts. The truth is a compiler estimate, never a measurement on
silicon. A share is 0.1 for 10 %; an error above 0 means that the estimate is too high. From another
checkout than the installed one, put PYTHONPATH=. in front.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from estimating import cases, judging, judging_parts, printing, speed, verdicts
from estimating.comparisons import ablation, learning_curve
from estimating.compiler import Compiler, Known
from estimating.figures import Figures, accuracy
from estimating.fits import as_table
from rich.console import Console

import nas_ray
from nas_ray.device import device_folder
from nas_ray.errors import MeasureError
from nas_ray.measure.table import Row, read_table, table_path
from nas_ray.measure.vela import compiler_version

DEVICES = ("ethos-u85-2048", "ethos-u85-1024", "ethos-u65-512", "ethos-u55-256")
PARTS = (
    *("networks", "subgraphs", "published", "memory", "learning", "ablation", "speed"),
    *judging_parts.PARTS,
)
_QUICK = 60
#: Parts that need each set of graphs.
_NEEDED_BY = {
    "networks": {"networks", "memory", "learning", "ablation"},
    "subgraphs": {"subgraphs", "learning", "ablation"},
    "published": {"published", "memory", "learning", "ablation"},
}


@dataclass(frozen=True, kw_only=True)
class Estimated:
    """Costs by the device `(N,)` beside what is known of the same graphs."""

    known: Known
    costs: tuple[nas_ray.Cost, ...]

    def latency(self) -> Figures:
        """Accuracy of latency; the worst has its name."""
        return accuracy(
            [cost.latency_ms for cost in self.costs],
            self.known.latency_ms,
            upper=[cost.latency_ms_upper for cost in self.costs],
            names=[case.name for case in self.known.cases],
        )

    def memory(self) -> Figures:
        """Accuracy of peak memory."""
        return accuracy(
            [cost.peak_memory_bytes for cost in self.costs],
            self.known.peak_memory_bytes,
            names=[case.name for case in self.known.cases],
        )

    def rows(self) -> list[dict[str, Any]]:
        """One a graph: estimates and the compiler's."""
        truths = zip(self.known.latency_ms, self.known.peak_memory_bytes, strict=True)
        return [
            {
                "name": case.name,
                "latency_ms": {
                    "estimate": cost.latency_ms,
                    "upper": cost.latency_ms_upper,
                    "compiler": latency_ms,
                },
                "peak_memory_bytes": {"estimate": cost.peak_memory_bytes, "compiler": memory},
                "warnings": list(cost.warnings),
            }
            for case, cost, (latency_ms, memory) in zip(
                self.known.cases, self.costs, truths, strict=True
            )
        ]


def main() -> None:
    """Print tables, and with --json one JSON object."""
    options = _options()
    torch.set_num_threads(1)
    console = Console(width=150)
    try:
        version = compiler_version()
    except MeasureError as error:
        console.print(f"skipped: {error}", highlight=False)
        return
    found: dict[str, Any] = {
        "compiler": f"ethos-u-vela {version}",
        "numbers": "compiler estimates",
        "seed": options.seed,
        "networks": options.networks,
        "subgraphs": options.subgraphs,
        "multiple": options.multiple,
        "devices": {},
        "skipped": {},
    }
    for name in options.device or DEVICES:
        if name not in nas_ray.list_devices() and not Path(name).is_dir():
            found["skipped"][name] = "not shipped with a table"
            console.print(f"{name}: skipped, not shipped with a table", highlight=False)
            continue
        found["devices"][name] = _one_device(name, options, console)
    if "speed" in options.parts:
        found["import"] = speed.imports(options.processes)
        pulled = ", ".join(found["import"]["packages"]) or "none"
        title = f"import nas_ray; of the heavy packages it pulls in: {pulled}"
        printing.print_times(console, title, {"import nas_ray": found["import"]["seconds"]})
    if options.json:
        print(json.dumps(found))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument(
        "--device", action="append", help="or a folder; may be repeated (default: four Ethos-U)"
    )
    parser.add_argument("--networks", type=int, default=500)
    parser.add_argument("--subgraphs", type=int, default=500)
    parser.add_argument(
        "--multiple",
        type=int,
        default=cases.PLAIN_MULTIPLE,
        help="of which networks' channels are; a search takes that of its device (default 16)",
    )
    parser.add_argument("--seed", type=int, default=12345, help="no table was made from it")
    parser.add_argument("--quick", action="store_true", help=f"{_QUICK} graphs of each kind")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--repeats", type=int, default=9, help="timed estimates and compilations")
    parser.add_argument("--processes", type=int, default=5, help="fresh processes that are timed")
    parser.add_argument("--fittings", type=int, default=1, help="of those that must fit first")
    parser.add_argument("--cache", type=Path, help="file of the compiler's answers, JSON lines")
    parser.add_argument("--verbose", action="store_true", help="a row a published network")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    options = parser.parse_args()
    if options.quick:
        options.networks = options.subgraphs = _QUICK
    return options


def _one_device(name: str, options: argparse.Namespace, console: Console) -> dict[str, Any]:
    begun = time.monotonic()
    device = nas_ray.load_device(name)
    path = table_path(device_folder(name))
    rows = read_table(path) if path is not None else ()
    found: dict[str, Any] = {"table_rows": len(rows)}
    console.rule(f"{name}: table of {len(rows)} rows, seed {options.seed}")
    with Compiler(device.hardware, options.cache) as compiler:
        estimated = _estimated(device, rows, options, compiler, console, found)
        _print_latency(console, name, estimated, options)
        found["latency"] = {part: one.latency() for part, one in estimated.items()}
        if "published" in estimated:
            found["published"] = estimated["published"].rows()
        if "memory" in options.parts:
            whole = {k: v for k, v in estimated.items() if k in {"networks", "published"}}
            found["memory"] = {part: one.memory() for part, one in whole.items()}
            printing.print_accuracy(console, f"{name}: peak memory", found["memory"])
        chosen = {row.signature for row in rows}
        found["judged"] = judging_parts.judge(device, compiler, chosen, options.parts, console)
        _print_certainty(console, name, estimated, found)
        table = as_table(device.hardware, rows)
        sets = {part: one.known for part, one in estimated.items()}
        if "learning" in options.parts:
            found["learning"] = learning_curve(table, sets)
            title = f"{name}: latency by rows of the table"
            printing.print_methods(console, title, "rows", found["learning"])
        if "ablation" in options.parts:
            found["ablation"] = ablation(table, sets, compiler, options.seed)
            title = f"{name}: latency by method"
            printing.print_methods(console, title, "method", found["ablation"]["methods"])
            for method, reason in found["ablation"]["left_out"].items():
                console.print(f"left out: {method}: {reason}", highlight=False)
    if "speed" in options.parts:
        found["speed"] = _speed(name, device, options, console)
    found["wall_time_s"] = time.monotonic() - begun
    console.print(f"{name}: {found['wall_time_s']:.0f} s in all", highlight=False)
    return found


def _estimated(
    device: nas_ray.Device,
    rows: Sequence[Row],
    options: argparse.Namespace,
    compiler: Compiler,
    console: Console,
    found: dict[str, Any],
) -> dict[str, Estimated]:
    """Each set of graphs that the chosen parts need; what the compiler refuses goes to `found`."""
    in_table = {row.signature for row in rows}
    estimated = {}
    found["refused"], found["in_table"] = {}, {}
    for part, parts in _NEEDED_BY.items():
        if not parts & set(options.parts):
            continue
        if part == "networks":
            chosen = cases.networks(options.networks, options.seed, in_table, options.multiple)
        elif part == "subgraphs":
            chosen = cases.subgraphs(options.subgraphs, options.seed, in_table)
        else:
            chosen = cases.published()
            found["in_table"][part] = [case.name for case in chosen if case.key in in_table]
            chosen = [case for case in chosen if case.key not in in_table]
        known = compiler.answers(chosen)
        costs = tuple(device.estimate_graph(case.graph) for case in known.cases)
        estimated[part] = Estimated(known=known, costs=costs)
        found["refused"][part] = dict(known.refused)
        for case, reason in known.refused:
            console.print(f"left out: {case}: {reason}", highlight=False)
        for case in found["in_table"].get(part, ()):
            console.print(f"left out: {case}: it is in the table", highlight=False)
    return estimated


def _print_latency(
    console: Console, name: str, estimated: Mapping[str, Estimated], options: argparse.Namespace
) -> None:
    figures = {part: one.latency() for part, one in estimated.items() if part in options.parts}
    if figures:
        printing.print_accuracy(console, f"{name}: latency", figures)
    if options.verbose and "published" in estimated:
        title = f"{name}: published networks"
        printing.print_networks(console, title, estimated["published"].rows())


def _print_certainty(
    console: Console, name: str, estimated: Mapping[str, Estimated], found: dict[str, Any]
) -> None:
    """A row a set of networks where one of the judged parts was chosen."""
    if not found["judged"]:
        return
    whole = {part: one for part, one in estimated.items() if part != "subgraphs"}
    found["certainty"] = {
        part: judging.figures(judging_parts.as_judged(one.known, one.costs))
        for part, one in whole.items()
    }
    judged = {part: one["all"] for part, one in found["judged"].items()}
    title = f"{name}: networks, and what the estimates say of themselves"
    verdicts.print_groups(console, title, {**found["certainty"], **judged})


def _speed(
    name: str, device: nas_ray.Device, options: argparse.Namespace, console: Console
) -> dict[str, Any]:
    network = f"{speed.NETWORK} at {speed.SIDE}"
    compared = speed.against_compiler(device, options.repeats)
    printing.print_times(console, f"{name}: {network}; compiler / cold estimate", compared)
    first = speed.first_use(name, options.processes, options.fittings)
    for how, steps in first.items():
        printing.print_times(console, f"{name}: first use in a fresh process, {how}", steps)
    return {"network": network, "against_compiler": compared, "first_use": first}


if __name__ == "__main__":
    main()
