"""`nas-ray estimate` and `nas-ray measure`."""

import dataclasses
import json

from jsonargparse import ArgumentParser, Namespace
from rich.table import Table

from nas_ray.cli.options import add_device, add_json, verb_parser
from nas_ray.cli.terminal import console
from nas_ray.device import device_folder, load_device
from nas_ray.estimate.cost import Cost, SubgraphCost
from nas_ray.estimate.cost_warnings import listed
from nas_ray.estimate.hardware import read_hardware
from nas_ray.measure.table import table_path

ESTIMATE = "latency and memory of one network, subgraph by subgraph"
MEASURE = "measure the real network with the device's back-end, beside its estimate"
_COMPILE_TIMEOUT_S = 600.0


def estimate_parser() -> ArgumentParser:
    """The options of `nas-ray estimate`."""
    return _network_parser("estimate", ESTIMATE)


def measure_parser() -> ArgumentParser:
    """The options of `nas-ray measure`."""
    return _network_parser("measure", MEASURE)


def _network_parser(verb: str, description: str) -> ArgumentParser:
    parser = verb_parser(
        description,
        example=f"nas-ray {verb} search_spaces.classification:space --device ethos-u85-2048",
    )
    parser.add_argument(
        "network",
        type=str,
        help="MODULE:NAME of an nn.Module, of a function or class that makes one, or of a search "
        "space (its baseline)",
    )
    add_device(parser)
    parser.add_argument("--input", type=str, help="shape without the batch, e.g. 3x224x224")
    add_json(parser)
    return parser


def run_estimate(options: Namespace) -> None:
    """Print what the device's estimator says of a network."""
    from nas_ray.cli.naming import load_network  # noqa: PLC0415 - imports torch

    device = load_device(options.device)
    cost = device.estimate(*load_network(options.network, options.input))
    table = _subgraph_table(cost)
    table.title, table.caption = f"{options.network} on {device.name}", device.hardware.numbers
    bound = "95 % bound" if cost.is_calibrated else "a guess, its upper end"
    output = console()
    output.print(table)
    output.print(
        f"latency_ms {cost.latency_ms:.4f} ({bound} {cost.latency_ms_upper:.4f}), peak memory "
        f"{cost.peak_memory_bytes / 1024:.1f} KiB, weights {cost.weight_bytes / 1024:.1f} KiB, "
        f"{cost.macs / 1e6:.2f} M MACs",
        highlight=False,
    )
    for warning in cost.warnings:
        output.print(f"note: {warning}", markup=False, highlight=False, soft_wrap=True)
    if options.json:
        print(json.dumps(dataclasses.asdict(cost)))


def _subgraph_table(cost: Cost) -> Table:
    """A row a subgraph; what makes its latency a guess has a column where there is any."""
    guesses = [_guess(row) for row in cost.subgraphs]
    last = ("a guess",) if any(guesses) else ()
    table = Table()
    for name in ("subgraph", "operators", "in", "out", "latency_ms", "memory KiB", *last):
        table.add_column(name, overflow="fold")
    for row, guess in zip(cost.subgraphs, guesses, strict=True):
        table.add_row(
            row.name,
            row.kind,
            "x".join(map(str, row.shape_in[1:])),
            "x".join(map(str, row.shape_out[1:])),
            f"{row.latency_ms:.4f}",
            f"{row.peak_memory_bytes / 1024:.1f}",
            *((guess,) if last else ()),
        )
    return table


def _guess(row: SubgraphCost) -> str:
    if row.host_operators:
        return f"on the host: {listed(row.host_operators)}"
    return "outside the table" if row.outside else ""


def run_measure(options: Namespace) -> None:
    """Print what the device's estimator and its back-end say of a network.

    A device without a table has no estimator yet: then the back-end alone.
    """
    from nas_ray.cli.naming import load_network  # noqa: PLC0415 - imports torch
    from nas_ray.graph import trace  # noqa: PLC0415
    from nas_ray.measure.backends import measure_network, read_settings  # noqa: PLC0415

    folder = device_folder(options.device)
    device = load_device(folder) if table_path(folder) else None
    hardware = read_hardware(folder / "device.toml")
    settings, _ = read_settings(folder / "device.toml")
    graph = trace(*load_network(options.network, options.input))
    cost = device.estimate_graph(graph) if device else None
    measured = measure_network(graph, settings, timeout_s=_COMPILE_TIMEOUT_S)
    pairs = {
        name: (float(getattr(cost, name)) if cost else None, float(getattr(measured, name)))
        for name in ("latency_ms", "peak_memory_bytes", "macs")
    }
    columns = ("estimate", hardware.numbers, "difference") if cost else (hardware.numbers,)
    table = Table("", *columns, title=options.network)
    for name, (ours, theirs) in pairs.items():
        table.add_row(name, *_compared(ours, theirs))
    console().print(table)
    if not device:
        print(
            f"note: {hardware.name} has no table yet, so there is no estimate: make it with "
            f"`nas-ray profile {options.device}`"
        )
    if measured.cpu_operators:
        print(f"note: {measured.cpu_operators} operators run on the host processor, uncounted here")
    if options.json:
        print(json.dumps({k: {"estimate": a, "compiler": b} for k, (a, b) in pairs.items()}))


def _compared(ours: float | None, theirs: float) -> tuple[str, ...]:
    """The cells of one row; without an estimate the measured value alone."""
    if ours is None:
        return (f"{theirs:.6g}",)
    difference = f"{ours / theirs - 1:+.1%}" if theirs else "-"
    return f"{ours:.6g}", f"{theirs:.6g}", difference
