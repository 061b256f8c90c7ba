"""The `nas-ray` command: parsing and printing only."""

import dataclasses
import importlib.util
import json
import re
import shlex
import sys
import warnings
from argparse import RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console
from rich.table import Table

from nas_ray.errors import InterruptedSearchError, NasRayError, SearchError, nearest
from nas_ray.objective import Constraint

#: Shipped tasks: where each one's space and its task and data live.
TASKS = {"classification": ("search_spaces.classification", "trainables.classification")}

_EXAMPLES = """examples:
  nas-ray search classification --device ethos-u85-2048 --trials 60 --storage runs/digits
  nas-ray search classification --device ethos-u85-2048 --constraint 'latency_ms<=0.2'
  nas-ray search my_project.nas --device ./my_device     (a module with space, task and data)
  nas-ray estimate my_project.models:Net --input 3x224x224 --device ethos-u85-2048
  nas-ray devices --json
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; exit code 0: done, 1: refused with a message, 2: usage, 130: interrupted."""
    sys.path.insert(0, str(Path.cwd()))
    words = sys.argv[1:] if arguments is None else list(arguments)
    options = _parser().parse_args(words)
    verb: str = options.subcommand
    try:
        with warnings.catch_warnings():
            # What libraries say to their developers is none of a user's business.
            warnings.simplefilter("ignore")
            warnings.simplefilter("default", UserWarning)
            warnings.showwarning = _show_warning
            return _VERBS[verb](options[verb])
    except InterruptedSearchError as error:
        _show_error(error)
        print("to resume:", shlex.join(["nas-ray", *words]))
        return 130
    except NasRayError as error:
        _show_error(error)
        return 1
    except KeyboardInterrupt:
        return 130


def _show_error(error: NasRayError) -> None:
    Console(stderr=True).print(f"nas-ray: {error}", style="red", markup=False, soft_wrap=True)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    Console(stderr=True).print(f"nas-ray: note: {message}", markup=False, soft_wrap=True)


# Parsing


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="nas-ray",
        description="Hardware-aware neural-architecture search on Ray Tune.",
        epilog=_EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subcommands(required=True, metavar="VERB")
    for name, (describe, make) in _PARSERS.items():
        verbs.add_subcommand(name, make(describe), help=describe)
    return parser


def _search_parser(description: str) -> ArgumentParser:
    parser = _own_parser(
        description,
        "nas-ray search classification --device ethos-u85-2048 --trials 60 --storage runs/digits "
        "--seed 0 --constraint 'latency_ms<=0.2'",
    )
    parser.add_argument(
        "task",
        type=str,
        help=f"a shipped task ({', '.join(TASKS)}) or a module that has space, task and data",
    )
    _add_device(parser)
    parser.add_argument("--trials", type=int, default=60, help="networks to train (default 60)")
    parser.add_argument("--epochs", type=int, default=9, help="epochs at most (default 9)")
    parser.add_argument(
        "--constraint",
        type=str,
        action="append",
        help="a bound such as 'latency_ms<=0.2' or 'peak_memory_bytes<=200000'; may be repeated",
    )
    parser.add_argument(
        "--storage",
        type=str,
        help="folder of the search (default runs/TASK); the same folder again resumes",
    )
    parser.add_argument("--seed", type=int, default=0, help="one seed for everything (default 0)")
    parser.add_argument("--cpus-per-trial", type=int, default=1, help="threads of a trial")
    parser.add_argument("--gpus-per-trial", type=float, default=0.0, help="e.g. 0.25")
    parser.add_argument("--max-concurrent", type=int, help="trials at once (default: all that fit)")
    _add_json(parser)
    return parser


def _model_parser(description: str) -> ArgumentParser:
    parser = _own_parser(
        description,
        "nas-ray estimate search_spaces.classification:space --device ethos-u85-2048",
    )
    parser.add_argument(
        "network",
        type=str,
        help="MODULE:NAME of an nn.Module, of a function or class that makes one, or of a search "
        "space (its baseline)",
    )
    _add_device(parser)
    parser.add_argument("--input", type=str, help="shape without the batch, e.g. 3x224x224")
    _add_json(parser)
    return parser


def _profile_parser(description: str) -> ArgumentParser:
    parser = _own_parser(description, "nas-ray profile ./my_device --count 3000")
    parser.add_argument("device", type=str, help="name of a shipped device, or a device folder")
    parser.add_argument("--count", type=int, default=4000, help="subgraphs in all (default 4000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the sampled subgraphs")
    return parser


def _report_parser(description: str) -> ArgumentParser:
    parser = _own_parser(description, "nas-ray report runs/digits --to report.html")
    parser.add_argument("run", type=str, help="folder of a search")
    parser.add_argument("--to", type=str, help="the page to write (default RUN/report.html)")
    _add_json(parser)
    return parser


def _list_parser(description: str) -> ArgumentParser:
    parser = _own_parser(description, "nas-ray devices --json")
    _add_json(parser)
    return parser


def _own_parser(description: str, example: str) -> ArgumentParser:
    parser = ArgumentParser(
        description=description,
        epilog=f"example:\n  {example}",
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("-c", "--config", action="config", help="YAML file with these options")
    return parser


def _add_device(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--device", type=str, required=True, help="name of a shipped device, or a device folder"
    )


def _add_json(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")


def parse_constraint(text: str) -> Constraint:
    """`latency_ms<=0.2` or `accuracy>=0.9` as a Constraint; SearchError for anything else."""
    match = re.fullmatch(r"\s*([A-Za-z_]\w*)\s*(<=|>=)\s*(\S+)\s*", text)
    try:
        metric, sign, bound = match.groups() if match else ("", "", "")
        value = float(bound)
    except ValueError as error:
        raise SearchError(
            f"a constraint is written 'NAME<=NUMBER' or 'NAME>=NUMBER', but got {text!r}."
        ) from error
    return Constraint(metric, upper=value) if sign == "<=" else Constraint(metric, lower=value)


# Names to objects


def _load(module: str, attribute: str) -> Any:
    """`attribute` of `module`. Raises SearchError that says which of the two is missing."""
    try:
        loaded = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        raise SearchError(
            f"there is no module {module!r}. Name one that Python can import from here, or a "
            f"shipped task: {nearest(module, TASKS)}"
        ) from error
    if not hasattr(loaded, attribute):
        names = [name for name in vars(loaded) if not name.startswith("_")]
        raise SearchError(f"{module} has no {attribute!r}; {nearest(attribute, names)}")
    return getattr(loaded, attribute)


def _load_task(name: str, channel_multiple: int) -> tuple[Any, Any, Any]:
    """Space, task and data: of a shipped task, or of a person's own module."""
    if name in TASKS:
        spaces, trainables = TASKS[name]
        space = _load(spaces, "space")(channel_multiple=channel_multiple)
        return space, _load(trainables, "task"), _load(trainables, "data")
    if "." not in name and importlib.util.find_spec(name) is None:
        raise SearchError(f"there is no task {name!r}; {nearest(name, TASKS)}")
    space = _load(name, "space")
    return space() if callable(space) else space, _load(name, "task"), _load(name, "data")


def _load_network(text: str, shape: str | None) -> tuple[Any, Any]:
    """The network that MODULE:NAME names, and an example input for it."""
    import torch  # noqa: PLC0415 - parsing and --help need no torch
    from torch import nn  # noqa: PLC0415

    from nas_ray.space import SearchSpace  # noqa: PLC0415

    module, colon, name = text.partition(":")
    if not colon or not name:
        raise SearchError(f"a network is named MODULE:NAME, but got {text!r}.")
    found = _load(module, name)
    found = found() if callable(found) and not isinstance(found, nn.Module) else found
    if isinstance(found, SearchSpace):
        return found.build(found.baseline), found.example_input(found.baseline)
    if shape is None or not re.fullmatch(r"\d+(x\d+)*", shape):
        raise SearchError(f"the input shape is written like 3x224x224, but got --input {shape}.")
    return found, torch.zeros(1, *(int(word) for word in shape.split("x")))


# Verbs


def _search(options: Namespace) -> int:
    from nas_ray import load_device, search  # noqa: PLC0415 - imports Ray and torch
    from nas_ray.tune import Resources  # noqa: PLC0415

    constraints = [parse_constraint(text) for text in options.constraint or []]
    device = load_device(options.device)
    space, task, data = _load_task(options.task, device.hardware.parallelism_factor)
    folder = Path(options.storage or Path("runs") / options.task)
    try:
        search(
            space,
            task,
            data,
            device=device,
            constraints=constraints,
            trials=options.trials,
            max_epochs=options.epochs,
            storage=folder,
            seed=options.seed,
            resources=Resources(
                cpus_per_trial=options.cpus_per_trial,
                gpus_per_trial=options.gpus_per_trial,
                max_concurrent=options.max_concurrent,
            ),
        )
    except InterruptedSearchError:
        _show_search(folder, as_json=options.json)
        raise
    _show_search(folder, as_json=options.json)
    return 0


def _show_search(folder: Path, *, as_json: bool) -> None:
    from nas_ray.record import Record  # noqa: PLC0415
    from nas_ray.report import SearchResult, pareto_table  # noqa: PLC0415

    record = Record.read(folder)
    console = Console()
    console.print(pareto_table(record))
    for label, path in (("checkpoints", "checkpoints"), ("report", "report.html")):
        console.print(f"{label}: {record.folder / path}", soft_wrap=True, highlight=False)
    if as_json:
        front = _rows(SearchResult(record).front)
        print(json.dumps({"front": front, "folder": str(record.folder)}))


def _rows(table: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(table.to_json(orient="records"))
    return rows


def _report(options: Namespace) -> int:
    from nas_ray.record import Record  # noqa: PLC0415
    from nas_ray.report import SearchResult, pareto_table  # noqa: PLC0415

    record = Record.read(options.run)
    path = Path(options.to) if options.to else record.folder / "report.html"
    result = SearchResult(record)
    result.report(path)
    Console().print(pareto_table(record))
    print(f"report: {path}")
    if options.json:
        print(json.dumps({"front": _rows(result.front), "report": str(path)}))
    return 0


def _estimate(options: Namespace) -> int:
    from nas_ray import load_device  # noqa: PLC0415

    device = load_device(options.device)
    cost = device.estimate(*_load_network(options.network, options.input))
    table = Table(title=f"{options.network} on {device.name}", caption=device.hardware.numbers)
    for name in ("subgraph", "operators", "in", "out", "latency_ms", "memory KiB"):
        table.add_column(name)
    for row in cost.subgraphs:
        table.add_row(
            row.name,
            row.kind,
            "x".join(map(str, row.shape_in[1:])),
            "x".join(map(str, row.shape_out[1:])),
            f"{row.latency_ms:.4f}",
            f"{row.peak_memory_bytes / 1024:.1f}",
        )
    console = Console()
    console.print(table)
    console.print(
        f"latency_ms {cost.latency_ms:.4f} (95 % bound {cost.latency_ms_upper:.4f}), peak memory "
        f"{cost.peak_memory_bytes / 1024:.1f} KiB, weights {cost.weight_bytes / 1024:.1f} KiB, "
        f"{cost.macs / 1e6:.2f} M MACs",
        highlight=False,
    )
    for warning in cost.warnings:
        console.print(f"note: {warning}", markup=False, highlight=False)
    if options.json:
        print(json.dumps(dataclasses.asdict(cost)))
    return 0


def _measure(options: Namespace) -> int:
    from nas_ray import load_device  # noqa: PLC0415
    from nas_ray.graph import trace  # noqa: PLC0415
    from nas_ray.measure.backends import measure_network  # noqa: PLC0415

    device = load_device(options.device)
    graph = trace(*_load_network(options.network, options.input))
    cost = device.estimate_graph(graph)
    settings = {"clock_hz": device.hardware.clock_hz, **device.hardware.measure}
    measured = measure_network(graph, settings, timeout_s=600)
    table = Table("", "estimate", "compiler estimate", "difference", title=options.network)
    pairs = {
        name: (float(getattr(cost, name)), float(getattr(measured, name)))
        for name in ("latency_ms", "peak_memory_bytes", "macs")
    }
    for name, (ours, theirs) in pairs.items():
        table.add_row(name, f"{ours:.6g}", f"{theirs:.6g}", f"{ours / theirs - 1:+.1%}")
    Console().print(table)
    if options.json:
        print(json.dumps({k: {"estimate": a, "compiler": b} for k, (a, b) in pairs.items()}))
    return 0


def _profile(options: Namespace) -> int:
    from rich.progress import Progress  # noqa: PLC0415

    from nas_ray.device import device_folder, load_device  # noqa: PLC0415
    from nas_ray.measure.profiling import profile  # noqa: PLC0415

    folder = device_folder(options.device)
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task(f"profiling {folder.name}", total=options.count)
        report = profile(
            folder,
            options.count,
            options.seed,
            on_progress=lambda p: bar.update(task, completed=p.done, total=p.count),
        )
    for signature, reason in report.failed:
        print(f"could not be measured: {signature}: {reason}")
    accuracy = load_device(folder).accuracy
    print(f"{report.table}: {report.rows} rows, {report.added} new. Held out: {accuracy}")
    return 0


def _devices(options: Namespace) -> int:
    from nas_ray import list_devices, load_device  # noqa: PLC0415

    profiles = [load_device(name).hardware for name in list_devices()]
    table = Table("device", "parallelism", "MACs a cycle", "clock", "numbers", title="devices")
    for p in profiles:
        clock = f"{p.clock_hz / 1e6:.0f} MHz"
        table.add_row(p.name, str(p.parallelism_factor), str(p.macs_per_cycle), clock, p.numbers)
    Console().print(table)
    if options.json:
        print(json.dumps({"devices": [p.name for p in profiles]}))
    return 0


def _spaces(options: Namespace) -> int:
    spaces = {name: _load(module, "space")() for name, (module, _) in TASKS.items()}
    for name, space in spaces.items():
        table = Table(
            "choice", "options", "in use when", title=f"{name}: {space.size:.3g} networks"
        )
        for path, choice in space.choices.items():
            when = ", ".join(f"{parent} in {list(v)}" for parent, v in choice.when.items())
            table.add_row(path, ", ".join(map(str, choice.options)), when)
        Console().print(table)
    if options.json:
        print(json.dumps({name: space.describe() for name, space in spaces.items()}))
    return 0


_PARSERS: dict[str, tuple[str, Callable[[str], ArgumentParser]]] = {
    "search": ("find and train the networks with the best trade-offs", _search_parser),
    "estimate": ("latency and memory of one network, subgraph by subgraph", _model_parser),
    "measure": ("compile the real network: estimate and compiler side by side", _model_parser),
    "profile": ("make or extend the measurement table of a device", _profile_parser),
    "report": ("write the report page of a search", _report_parser),
    "devices": ("list the accelerators that are shipped", _list_parser),
    "spaces": ("list the search spaces that are shipped", _list_parser),
}
_VERBS: dict[str, Callable[[Namespace], int]] = {
    "search": _search,
    "estimate": _estimate,
    "measure": _measure,
    "profile": _profile,
    "report": _report,
    "devices": _devices,
    "spaces": _spaces,
}

if __name__ == "__main__":
    sys.exit(main())
