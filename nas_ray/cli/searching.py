"""`nas-ray search`, `nas-ray status` and `nas-ray report`."""

import json
import os
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from nas_ray.cli.options import add_device, add_json, seconds, verb_parser
from nas_ray.cli.terminal import console
from nas_ray.device import load_device
from nas_ray.errors import InterruptedSearchError, SearchError
from nas_ray.record import Record
from nas_ray.report import SearchResult, pareto_table, status_of, status_text

SEARCH = "find and train the networks with the best trade-offs"
REPORT = "write the report page of a search"
STATUS = "say how far searches are, whether they run or not"
#: Trials in a row that did not change the front before it counts as stalled.
STALLED = 20
#: Set by Ray for the command of a submitted job.
_RAY_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"


def search_parser() -> ArgumentParser:
    """The options of `nas-ray search`."""
    parser = verb_parser(
        SEARCH,
        example="nas-ray search classification --device ethos-u85-2048 --trials 60 "
        "--storage runs/digits --seed 0 --constraint 'latency_ms<=0.2'",
    )
    parser.add_argument(
        "task",
        type=str,
        help="a shipped task (classification) or a module that has space, task and data",
    )
    add_device(parser)
    parser.add_argument("--trials", type=int, default=60, help="networks to train (default 60)")
    parser.add_argument(
        "--time", type=str, help="end this run after e.g. 90s, 30m or 2h; it can go on later"
    )
    parser.add_argument(
        "--until",
        type=str,
        help=f"'front stalls': no more trials once {STALLED} in a row did not change the front; "
        "'front stalls for 50' once 50 did not",
    )
    parser.add_argument("--epochs", type=int, default=9, help="epochs at most (default 9)")
    parser.add_argument(
        "--constraint",
        type=str,
        action="append",
        help="a bound such as 'latency_ms<=0.2', 'peak_memory_bytes<=200000' or "
        "'outside_share<=0.1' (the share of the latency that is a guess), 'host_operators<=0' "
        "(operators that the accelerator cannot run); may be repeated",
    )
    parser.add_argument(
        "--storage",
        type=str,
        help="folder of the search (default runs/TASK), or a URI such as s3://bucket/run; the same "
        "again resumes",
    )
    parser.add_argument(
        "--warm-start",
        type=str,
        action="append",
        help="folder or URI of another search over a similar space, to learn from; may be repeated",
    )
    parser.add_argument("--seed", type=int, default=0, help="one seed for everything (default 0)")
    parser.add_argument("--cpus-per-trial", type=int, default=1, help="threads of a trial")
    parser.add_argument("--gpus-per-trial", type=float, default=0.0, help="e.g. 0.25")
    parser.add_argument("--max-concurrent", type=int, help="trials at once (default: all that fit)")
    parser.add_argument(
        "--retries", type=int, default=3, help="how often a lost trial goes on (default 3)"
    )
    parser.add_argument(
        "--silent", type=str, help="end a trial that reported nothing for e.g. 90s, 30m or 2h"
    )
    add_json(parser)
    return parser


def run_search(options: Namespace) -> None:
    """Search, then show the front and where everything is; after Ctrl-C what there is of it."""
    _require_lasting(options.storage or "")
    from nas_ray.cli.naming import load_task, parse_constraint  # noqa: PLC0415 - imports torch
    from nas_ray.tune import Resources, search  # noqa: PLC0415 - imports Ray

    constraints = [parse_constraint(text) for text in options.constraint or []]
    device = load_device(options.device)
    space, task, data = load_task(options.task, channel_multiple=device.hardware.parallelism_factor)
    storage = options.storage or str(Path("runs") / options.task)
    try:
        search(
            space,
            task,
            data,
            device=device,
            constraints=constraints,
            trials=options.trials,
            time_s=None if options.time is None else seconds(options.time),
            stall=None if options.until is None else _stall(options.until),
            max_epochs=options.epochs,
            storage=storage,
            warm_starts=options.warm_start or (),
            seed=options.seed,
            resources=Resources(
                cpus_per_trial=options.cpus_per_trial,
                gpus_per_trial=options.gpus_per_trial,
                max_concurrent=options.max_concurrent,
                retries=options.retries,
                silent_s=None if options.silent is None else seconds(options.silent),
            ),
        )
    except InterruptedSearchError:
        _show(Record.read(storage), as_json=options.json)
        raise
    _show(Record.read(storage), as_json=options.json)


def _require_lasting(storage: str) -> None:
    """SearchError for a folder that Ray would delete: a job runs in a copy of what it was sent."""
    if _RAY_JOB in os.environ and "://" not in storage and not Path(storage).is_absolute():
        raise SearchError(
            f"the storage of a job must outlive it, but --storage {storage or 'runs/TASK'} is in "
            "the job's copy of your project, which Ray deletes. Pass a folder that every node "
            "sees, from its root (--storage /mnt/runs/digits), or a URI (s3://bucket/digits)."
        )


def _stall(text: str) -> int:
    found = re.fullmatch(r"front stalls(?: for (\d+))?", text)
    if not found:
        raise SearchError(
            f"--until is 'front stalls' or 'front stalls for' a number of trials, but got {text!r}."
        )
    return int(found[1] or STALLED)


def status_parser() -> ArgumentParser:
    """The options of `nas-ray status`."""
    parser = verb_parser(STATUS, example="nas-ray status runs/digits")
    parser.add_argument("run", type=str, nargs="+", help="folder or URI of a search")
    add_json(parser)
    return parser


def run_status(options: Namespace) -> None:
    """Say of each search how far it is, from its folder alone."""
    output, found = console(), {}
    for folder in options.run:
        record = Record.read(folder)
        found[folder] = status_of(record)
        output.print(pareto_table(record))
        output.print(status_text(found[folder]), markup=False, highlight=False, soft_wrap=True)
    if options.json:
        print(json.dumps({folder: asdict(status) for folder, status in found.items()}))


def report_parser() -> ArgumentParser:
    """The options of `nas-ray report`."""
    parser = verb_parser(REPORT, example="nas-ray report runs/digits --to report.html")
    parser.add_argument("run", type=str, help="folder or URI of a search")
    parser.add_argument(
        "--to",
        type=str,
        help="the page to write (default RUN/report.html; for a URI, in the cache of this machine)",
    )
    add_json(parser)
    return parser


def run_report(options: Namespace) -> None:
    """Write the page anew from the record, of a search that runs or has ended."""
    record = Record.read(options.run)
    page = Path(options.to).absolute() if options.to else record.folder / "report.html"
    if page.is_dir():
        raise SearchError(f"--to names the page to write, but {page} is a folder: add a name.")
    SearchResult(record).report(page)
    _show(record, page=str(page), as_json=options.json)


def _show(record: Record, *, page: str = "", as_json: bool) -> None:
    output = console()
    output.print(pareto_table(record))
    page = page or f"{record.name}/report.html"
    for label, path in (("checkpoints", f"{record.name}/checkpoints"), ("report", page)):
        output.print(f"{label}: {path}", soft_wrap=True, highlight=False)
    if as_json:
        rows: list[dict[str, Any]] = json.loads(
            SearchResult(record).front.to_json(orient="records")
        )
        print(json.dumps({"front": rows, "folder": record.name, "report": page}))
