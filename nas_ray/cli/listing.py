"""`nas-ray devices` and `nas-ray spaces`."""

import json

from jsonargparse import ArgumentParser, Namespace
from rich.table import Table

from nas_ray.cli.options import add_json, verb_parser
from nas_ray.cli.terminal import console
from nas_ray.device import devices_to_profile, list_devices, load_device

DEVICES = "list the accelerators that are shipped"
SPACES = "list the search spaces that are shipped"


def devices_parser() -> ArgumentParser:
    """The options of `nas-ray devices`."""
    return _list_parser("devices", DEVICES)


def spaces_parser() -> ArgumentParser:
    """The options of `nas-ray spaces`."""
    return _list_parser("spaces", SPACES)


def _list_parser(verb: str, description: str) -> ArgumentParser:
    parser = verb_parser(description, example=f"nas-ray {verb} --json")
    add_json(parser)
    return parser


def run_devices(options: Namespace) -> None:
    """Print the shipped devices."""
    profiles = [load_device(name).hardware for name in list_devices()]
    table = Table("device", "parallelism", "MACs a cycle", "clock", "numbers", title="devices")
    for p in profiles:
        clock = f"{p.clock_hz / 1e6:.0f} MHz"
        table.add_row(p.name, str(p.parallelism_factor), str(p.macs_per_cycle), clock, p.numbers)
    console().print(table)
    for name in devices_to_profile():
        print(f"{name}: measured on your own machine, by `nas-ray profile {name}`")
    if options.json:
        print(json.dumps({"devices": [p.name for p in profiles]}))


def run_spaces(options: Namespace) -> None:
    """Print the choices of the shipped spaces."""
    from nas_ray.cli.naming import TASKS, load_name  # noqa: PLC0415 - imports torch

    spaces = {name: load_name(module, "space")() for name, (module, _) in TASKS.items()}
    for name, space in spaces.items():
        table = Table(
            "choice", "options", "in use when", title=f"{name}: {space.size:.3g} networks"
        )
        for path, choice in space.choices.items():
            when = ", ".join(f"{parent} in {list(v)}" for parent, v in choice.when.items())
            table.add_row(path, ", ".join(map(str, choice.options)), when)
        console().print(table)
    if options.json:
        print(json.dumps({name: space.describe() for name, space in spaces.items()}))
