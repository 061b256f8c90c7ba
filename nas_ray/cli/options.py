"""What the parsers of the verbs have in common."""

from argparse import RawDescriptionHelpFormatter

from jsonargparse import ArgumentParser


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
