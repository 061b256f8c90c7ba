"""What the parsers of the verbs have in common."""

import re
from argparse import RawDescriptionHelpFormatter

from jsonargparse import ArgumentParser

from nas_ray.errors import SearchError

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}


def verb_parser(description: str, *, example: str) -> ArgumentParser:
    """A parser of one verb, with a working example under its help."""
    parser = ArgumentParser(
        description=description,
        epilog=f"example:\n  {example}",
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("-c", "--config", action="config", help="YAML file with these options")
    return parser


def add_device(parser: ArgumentParser) -> None:
    """The option that names a device."""
    parser.add_argument(
        "--device", type=str, required=True, help="name of a shipped device, or a device folder"
    )


def add_json(parser: ArgumentParser) -> None:
    """The option that ends a verb's output with JSON."""
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")


def seconds(text: str) -> float:
    """A time such as 90s, 30m or 2h in seconds. Raises SearchError for anything else, and for 0."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if not found or float(found[1]) == 0:
        raise SearchError(f"a time is written 90s, 30m or 2h, and is above 0, but got {text!r}.")
    return float(found[1]) * _SECONDS[found[2]]
