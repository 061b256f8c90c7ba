"""`main`: find the verb, run it, and turn every error a person can cause into one message."""

import shlex
import sys
import warnings
from argparse import RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from nas_ray.cli import calibrating, estimating, listing, profiling, searching
from nas_ray.errors import InterruptedSearchError, NasRayError

_EXAMPLES = """examples:
  nas-ray search classification --device ethos-u85-2048 --trials 60 --storage runs/digits
  nas-ray search classification --device ethos-u85-2048 --constraint 'latency_ms<=0.2'
  nas-ray search my_project.nas --device ./my_device     (a module with space, task and data)
  nas-ray status runs/digits
  nas-ray estimate my_project.models:Net --input 3x224x224 --device ethos-u85-2048
  nas-ray devices --json
"""

_VERBS: dict[str, tuple[str, Callable[[], ArgumentParser], Callable[[Namespace], None]]] = {
    "search": (searching.SEARCH, searching.search_parser, searching.run_search),
    "status": (searching.STATUS, searching.status_parser, searching.run_status),
    "report": (searching.REPORT, searching.report_parser, searching.run_report),
    "estimate": (estimating.ESTIMATE, estimating.estimate_parser, estimating.run_estimate),
    "measure": (estimating.MEASURE, estimating.measure_parser, estimating.run_measure),
    "profile": (profiling.PROFILE, profiling.profile_parser, profiling.run_profile),
    "calibrate": (
        calibrating.CALIBRATE,
        calibrating.calibrate_parser,
        calibrating.run_calibrate,
    ),
    "devices": (listing.DEVICES, listing.devices_parser, listing.run_devices),
    "spaces": (listing.SPACES, listing.spaces_parser, listing.run_spaces),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; exit code 0: done, 1: refused with a message, 2: usage, 130: interrupted."""
    # Modules named on the command line are looked for where the person stands.
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
            _VERBS[verb][2](options[verb])
    except InterruptedSearchError as error:
        _show_error(error)
        _show_resume(words)
        return 130
    except NasRayError as error:
        _show_error(error)
        return 1
    except KeyboardInterrupt:
        _show_resume(words)
        return 130
    return 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="nas-ray",
        description="Hardware-aware neural-architecture search on Ray Tune.",
        epilog=_EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subcommands(required=True, metavar="VERB")
    for name, (description, make_parser, _) in _VERBS.items():
        verbs.add_subcommand(name, make_parser(), help=description)
    return parser


def _show_error(error: NasRayError) -> None:
    Console(stderr=True).print(f"nas-ray: {error}", style="red", markup=False, soft_wrap=True)


def _show_resume(words: Sequence[str]) -> None:
    # Not to standard output, whose last line may be JSON.
    print("to resume:", shlex.join(["nas-ray", *words]), file=sys.stderr)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    Console(stderr=True).print(f"nas-ray: note: {message}", markup=False, soft_wrap=True)
