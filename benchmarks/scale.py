"""What a search costs beside training, and how that grows: ratios of runs in one process.

    python benchmarks/scale.py --json

Overhead: trivial trials through CascadeSearch and CascadeScheduler against Ray Tune's random search
and FIFO. Reuse: fresh actors against reused ones. Growth: the controller's own time for a trial
early and late in a search of thousands. Screening: costing on one core, scoring by one and by two
workers. Simulation: a thousand workers by discrete events, with the service times found above.
"""

import argparse
import json
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table
from scaling import growth, overhead, screening, simulation

from nas_ray.tune.local import ray_runtime


def main() -> None:
    """Measure part by part, print a table, and with --json one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--trials", type=int, default=500, help="of every run of the overhead")
    parser.add_argument("--runs", type=int, default=3, help="of which medians are taken")
    parser.add_argument("--grown", type=int, default=5000, help="trials of the growth")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    options = parser.parse_args()
    grown = growth.measured(options.grown, early=100)
    costed = screening.costing(100_000)
    with ray_runtime():
        scored = screening.scoring(256, options.runs)
        added = overhead.measured(options.trials, options.runs)
        reused = overhead.reuse(30, options.runs)
    service = _service(added, grown)
    simulated = simulation.table(service, workers=1000, trials=100_000, seed=0)
    result = {
        "overhead": added,
        "reuse": reused,
        "growth": grown,
        "costing": costed,
        "scoring": scored,
        "service_ms": {name: 1e3 * value for name, value in service.__dict__.items()},
        "simulation": simulated,
    }
    Console(width=110).print(_figures(result))
    Console(width=110).print(_simulated(simulated))
    if options.json:
        print(json.dumps(result))


def _service(added: dict[str, Any], grown: dict[str, Any]) -> simulation.Service:
    """Ray Tune's own time for a trial of one report, split evenly, and the search's parts late."""
    alone_s = median(added["seconds"]["Ray Tune, random and FIFO"]) / added["trials"]
    late = {name: part["late_ms"] / 1e3 for name, part in grown["parts"].items()}
    choose_s = grown["choose_s"]
    return simulation.Service(
        plan_s=max(late["choose"] - choose_s, 0) * grown["at_once"],
        choose_s=choose_s,
        suggest_s=alone_s / 3 + late["breed and cost"],
        report_s=alone_s / 3 + late["tell"] / 2,
        end_s=alone_s / 3 + late["tell"] / 2,
    )


def _figures(result: dict[str, Any]) -> Table:
    table = Table("figure", "found", title="beside training")
    added, grown = result["overhead"], result["growth"]
    for name, ratio in added["ratio"].items():
        table.add_row(f"{added['trials']} trials, {name}", f"{ratio:.2f} times Ray Tune alone")
    table.add_row("a trial by a fresh actor", f"{result['reuse']['ratio']:.1f} times a reused one")
    table.add_row(
        f"controller at trial {grown['trials']}",
        f"{grown['ratio']:.2f} times trial {grown['early']}",
    )
    for name, part in grown["parts"].items():
        table.add_row(f"  {name}", f"{part['early_ms']:.2f} ms, then {part['late_ms']:.2f} ms")
    table.add_row("  a network more to a plan", f"{1e3 * grown['choose_s']:.2f} ms")
    table.add_row("  memory more", f"{grown['memory_mib']:.0f} MiB")
    table.add_row("  journal", f"{grown['journal_bytes_per_trial'] / 1024:.1f} KiB a trial")
    table.add_row("  replayed in", f"{grown['replay_s']:.1f} s")
    costed, scored = result["costing"], result["scoring"]
    table.add_row(f"{costed['candidates']:,} candidates costed", f"{costed['seconds']:.1f} s")
    table.add_row("scoring by two workers", f"{scored['speed_up']:.2f} times as fast as by one")
    return table


def _simulated(rows: list[dict[str, Any]]) -> Table:
    table = Table(
        "s an epoch", "hours", "controller busy", "workers training", "events a second", "at once",
        title="1,000 workers, 100,000 trials, simulated",
    )  # fmt: skip
    for row in rows:
        table.add_row(
            f"{row['epoch_s']:g}", f"{row['hours']:.1f}", f"{row['controller_busy']:.0%}",
            f"{row['workers_training']:.0%}", f"{row['events_per_s']:.0f}", str(row["at_once"]),
        )  # fmt: skip
    return table


if __name__ == "__main__":
    main()
