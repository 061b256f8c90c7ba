"""How many configs a second are estimated, and that each costs what it costs alone.

    python benchmarks/throughput.py --configs 100000 --json

Random configs of the classification space on one thread. Cold: a new space object and a device
that remembers no subgraph, so all learning is in the time; warm: the same request again. Beside
it, as the peer, configs built and traced one by one. Loading and fitting the device and drawing
the configs are left out. Seconds are those of the processor, all threads together: on a machine
that does nothing else, those of the clock on one core.
"""

import argparse
import json
import time
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from rich.table import Table

import nas_ray
from nas_ray.device import Device
from search_spaces import classification

_REPEATS = 3
#: Configs built one by one: for the time, and for equality.
_ALONE = 200


def fresh(device: str) -> Device:
    """The device, fitted, without any subgraph that it remembers from before."""
    found = nas_ray.load_device(device)
    found.estimate(torch.nn.Conv2d(3, 8, 3), torch.zeros(1, 3, 9, 9))
    found._estimator.known.clear()  # noqa: SLF001 - what is remembered would flatter the cold time
    return found


def seconds(device: Device, space: Any, configs: list[Any]) -> tuple[float, pd.DataFrame]:
    """Processor time of one request, and its answer."""
    begun = time.process_time()
    answer = device.estimate_configs(space, configs)
    return time.process_time() - begun, answer


def one_by_one(device: Device, space: Any, configs: list[Any]) -> tuple[float, pd.DataFrame]:
    """The same for configs built and traced each on its own."""
    begun = time.process_time()
    answers = [device.estimate_configs(space, [config]) for config in configs]
    return time.process_time() - begun, pd.concat(answers, ignore_index=True)


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """Configs a second of all repeats by way, and how many of the answers are equal."""
    space, rng = classification.space(), np.random.default_rng(options.seed)
    configs = [space.sample(rng) for _ in range(options.configs)]
    some = rng.permutation(options.configs)[:_ALONE]
    rates: dict[str, list[float]] = {"cold": [], "warm": [], "one by one": []}
    equal = 0
    for _ in range(_REPEATS):
        space = classification.space()
        device = fresh(options.device)
        for way in ("cold", "warm"):
            taken, answer = seconds(device, space, configs)
            rates[way].append(options.configs / taken)
        taken, alone = one_by_one(fresh(options.device), space, [configs[n] for n in some])
        rates["one by one"].append(len(some) / taken)
        equal += int((answer.iloc[some].reset_index(drop=True) == alone).all(axis=1).sum())
    return {"rates": rates, "equal": equal, "compared": _REPEATS * len(some)}


def main() -> None:
    """Print a table, and with --json one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--configs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="ethos-u85-2048")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = measured(options)
    peer = median(found["rates"]["one by one"])
    title = f"{options.configs} configs, seed {options.seed}, {_REPEATS} runs, one thread"
    table = Table("", "configs a CPU second, median", "lowest - highest", "ratio", title=title)
    for way, rates in found["rates"].items():
        spread = f"{min(rates):.0f} - {max(rates):.0f}"
        table.add_row(way, f"{median(rates):.0f}", spread, f"{median(rates) / peer:.0f}")
    console = Console(width=100)
    console.print(table)
    console.print(f"equal to the last bit: {found['equal']} of {found['compared']}")
    if options.json:
        print(json.dumps({"configs": options.configs, "seed": options.seed, **found}))


if __name__ == "__main__":
    main()
