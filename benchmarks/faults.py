"""What survives: a driver killed at random moments, and nodes removed from a cluster.

    python benchmarks/faults.py --kills 20 --removals 10 --json

Kills: one search runs undisturbed, with one trial at a time. Then the same command runs again and
again in new folders, its process is killed (SIGKILL) at a random moment, and the command is given
again. What is compared is the record: the same events in the same order, with every number of
every epoch, cost and zero-shot score the same to the last digit; only times, names of checkpoint
folders and the notes that a run began differ.

Removals: a Ray cluster of three nodes on this machine, trials on two of them; at a random moment
one of these is removed and a new one added. The search has to end with the right number of trials,
none failed, and every epoch recorded once.
"""

import argparse
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np
import ray
from ray.cluster_utils import Cluster
from rich.console import Console
from rich.progress import track
from rich.table import Table

import nas_ray
from nas_ray.record import Record
from search_spaces import classification
from trainables.classification import Digits, data, task

DEVICE = "ethos-u85-2048"
Result = dict[str, Any]


def main() -> None:
    """Kill, remove, compare, print; with --json one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--removals", type=int, default=10)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        kills = killed(folder, options, rng) if options.kills else []
        removals = removed(folder, options, rng) if options.removals else []
    table = Table("fault", "moment s", "after events", "survived", "what differs", title="faults")
    for one in (*kills, *removals):
        table.add_row(
            one["fault"], f"{one['moment_s']:.1f}", str(one["events"]),
            "yes" if one["survived"] else "NO", one["differs"],
        )  # fmt: skip
    Console(width=110).print(table)
    counts = {
        name: f"{sum(one['survived'] for one in many)} of {len(many)}"
        for name, many in (("kills", kills), ("removals", removals))
    }
    print(", ".join(f"{name} survived: {count}" for name, count in counts.items()))
    if options.json:
        print(json.dumps({"survived": counts, "kills": kills, "removals": removals}))


# A driver that is killed


def killed(folder: Path, options: argparse.Namespace, rng: np.random.Generator) -> list[Result]:
    """One result a kill; moments are spread over the whole length of the undisturbed search."""
    begun = time.monotonic()
    _search(folder / "whole", options).wait()
    length_s = time.monotonic() - begun
    whole = _story(folder / "whole")
    results = []
    for number in track(range(options.kills), "kills"):
        one = folder / f"killed{number}"
        moment_s = float(rng.uniform(0, length_s))
        process = _search(one, options)
        try:
            process.wait(timeout=moment_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        events = len(_story(one))
        _search(one, options).wait()
        differs = _difference(_story(one), whole)
        results.append(
            {
                "fault": "driver killed",
                "moment_s": moment_s,
                "events": events,
                "survived": not differs,
                "differs": differs,
            }
        )
    return results


def _search(folder: Path, options: argparse.Namespace) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "nas_ray.cli", "search", "classification", "--device", DEVICE]
    words += ["--storage", str(folder), "--max-concurrent", "1"]
    words += ["--trials", str(options.trials), "--epochs", str(options.epochs)]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _story(folder: Path) -> list[Result]:
    """The events of a record without what may differ, tests of the front in order of trials."""
    if not (folder / "record.json").exists():
        return []
    story = [
        {name: value for name, value in event.items() if name not in ("time", "checkpoint")}
        for event in Record.read(folder).events()
        if event["event"] != "run"
    ]
    # Networks are tested side by side at the end.
    return sorted(story, key=lambda event: event["trial"] if event["event"] == "test" else -1)


def _difference(found: list[Result], wanted: list[Result]) -> str:
    """The first event that is another one, or nothing."""
    for number, (one, other) in enumerate(zip(found, wanted, strict=False)):
        if one != other:
            names = [n for n in {**one, **other} if one.get(n) != other.get(n)]
            return f"event {number} ({other['event']}): {', '.join(names)}"
    return "" if len(found) == len(wanted) else f"{len(found)} events instead of {len(wanted)}"


# A node that is removed


def removed(folder: Path, options: argparse.Namespace, rng: np.random.Generator) -> list[Result]:
    """One result a removal, each of a cluster of its own."""
    return [
        _one_removal(folder / f"removed{number}", options, float(rng.uniform(3, 25)))
        for number in track(range(options.removals), "removals")
    ]


def _one_removal(folder: Path, options: argparse.Namespace, moment_s: float) -> Result:
    # The head holds no trials, as the driver lives there.
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    try:
        ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
        with ThreadPoolExecutor() as threads:
            searching = threads.submit(_search_here, folder, options)
            wait([searching], timeout=moment_s)
            events = len(_story(folder))
            # From the main thread: Ray adds nodes from no other.
            cluster.remove_node(nodes[0], allow_graceful=False)
            cluster.add_node(num_cpus=1)
            searching.result()
    finally:
        ray.shutdown()
        cluster.shutdown()
    differs = _what_is_wrong(folder, options.trials)
    return {
        "fault": "node removed",
        "moment_s": moment_s,
        "events": events,
        "survived": not differs,
        "differs": differs,
    }


def _search_here(folder: Path, options: argparse.Namespace) -> None:
    device = nas_ray.load_device(DEVICE)
    nas_ray.search(
        classification.space(
            num_classes=Digits.num_classes,
            channel_multiple=device.hardware.parallelism_factor,
        ),
        task,
        data,
        device=device,
        trials=options.trials,
        max_epochs=options.epochs,
        storage=folder,
        seed=options.seed,
    )


def _what_is_wrong(folder: Path, trials: int) -> str:
    states = Counter(trial.status for trial in Record.read(folder).trials().values())
    reports = [(e["trial"], e["epoch"]) for e in _story(folder) if e["event"] == "result"]
    if states.total() != trials or states["failed"] or states["running"]:
        return f"trials: {dict(states)}"
    return "" if len(reports) == len(set(reports)) else "an epoch was recorded twice"


if __name__ == "__main__":
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    main()
