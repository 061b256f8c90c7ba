"""`nas-ray profile`."""

import dataclasses
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import numpy as np
from jsonargparse import ArgumentParser, Namespace

from nas_ray.cli.options import add_json, seconds, verb_parser
from nas_ray.cli.terminal import Meter, console
from nas_ray.device import Device, device_folder, load_device
from nas_ray.errors import MeasureError, NasRayError, SearchError
from nas_ray.estimate.hardware import read_hardware
from nas_ray.measure.measured_with import require_same_device
from nas_ray.measure.network_table import NETWORKS

if TYPE_CHECKING:
    from nas_ray.measure.workers import MeasureMany
    from nas_ray.profiling import ProfileReport, Progress
    from nas_ray.profiling.report import NetworkAccuracy
    from nas_ray.profiling.starting import Networks

PROFILE = "make or extend the measurement table of a device"
_FAILURES_SHOWN = 5


def profile_parser() -> ArgumentParser:
    """The options of `nas-ray profile`."""
    parser = verb_parser(PROFILE, example="nas-ray profile ./my_device --space classification")
    parser.add_argument("device", type=str, help="name of a shipped device, or a device folder")
    parser.add_argument("--count", type=int, default=4000, help="subgraphs in all (default 4000)")
    parser.add_argument(
        "--target-mape", type=float, help="stop at this held-out error, e.g. 0.05 for 5 %%"
    )
    parser.add_argument("--time", type=str, help="stop after e.g. 90s, 30m or 2h")
    parser.add_argument("--seed", type=int, default=0, help="seed of the sampled subgraphs")
    parser.add_argument(
        "--space",
        type=str,
        help="a shipped task (classification) or MODULE:NAME of a search space whose networks are "
        "to be estimated well",
    )
    parser.add_argument("--networks", type=int, default=20, help="networks to check (default 20)")
    parser.add_argument(
        "--detect", action="store_true", help="find the parallelism factor first, and write it down"
    )
    parser.add_argument(
        "--anew",
        action="store_true",
        help="measure everything again, as after a change of device.toml: the table there is kept "
        "as measurements.1.csv.gz; leave --anew out to go on after an interruption",
    )
    parser.add_argument("--workers", type=int, default=1, help="processes that measure (default 1)")
    parser.add_argument("--ray", type=str, help="measure on a Ray cluster: auto, local or address")
    parser.add_argument(
        "--timeout", type=float, default=60.0, help="seconds for one measurement (default 60)"
    )
    add_json(parser)
    return parser


def run_profile(options: Namespace) -> None:
    """Measure until the budget is spent, then say how good estimates are; again: goes on."""
    from nas_ray.profiling import Budget, profile  # noqa: PLC0415 - imports torch

    _check(options)
    folder = device_folder(options.device)
    if not options.anew:
        require_same_device(folder)
    time_s = seconds(options.time) if options.time else None
    budget = Budget(count=options.count, target_mape=options.target_mape, time_s=time_s)
    found: dict[str, Any] = {}
    with _measuring(folder, options) as measure_many:
        if options.detect:
            found["parallelism"] = _detect(folder, measure_many)
        factor = read_hardware(folder / "device.toml").parallelism_factor
        networks = _networks(options.space, factor) if options.space else None
        with Meter(f"profiling {folder.name}", options.count) as meter:
            report = profile(
                folder,
                budget,
                options.seed,
                measure_many=measure_many,
                networks=networks,
                on_progress=partial(_show, meter),
                anew=options.anew,
            )
        _print_table(report)
        found |= {"table": str(report.table), "rows": report.rows, "added": report.added}
        found |= {"stopped": report.stopped, "failed": dict(report.failed)}
        found |= {"set_aside": list(map(str, report.set_aside))}
        found |= _checked(load_device(folder), options, measure_many, networks)
    if options.json:
        print(json.dumps(found))


def _check(options: Namespace) -> None:
    """Raises SearchError for a number with which there is nothing to do."""
    for name, least in (("count", 1), ("workers", 1), ("networks", 0)):
        if options[name] < least:
            raise SearchError(f"--{name} must be at least {least}, but got {options[name]}.")
    if not options.timeout > 0:
        raise SearchError(f"--timeout is in seconds, above 0, but got {options.timeout:g}.")
    target = options.target_mape
    if target is not None and not 0 < target < 1:
        raise SearchError(f"--target-mape is a share, such as 0.05 for 5 %, but got {target:g}.")


@contextmanager
def _measuring(folder: Path, options: Namespace) -> Iterator["MeasureMany"]:
    from nas_ray.measure.backends import backend_of, read_settings  # noqa: PLC0415 - imports torch
    from nas_ray.measure.workers import local_workers  # noqa: PLC0415

    path = folder / "device.toml"
    settings, _ = read_settings(path, factor_if_missing=1 if options.detect else None)
    arguments = (backend_of(settings), settings, options.timeout)
    workers: AbstractContextManager[MeasureMany]
    if options.ray:
        from nas_ray.tune.profiling import ray_workers  # noqa: PLC0415 - imports Ray

        workers = ray_workers(*arguments, address=options.ray)
    else:
        workers = local_workers(*arguments, options.workers)
    with workers as measure_many:
        yield measure_many


def _detect(folder: Path, measure_many: "MeasureMany") -> dict[str, int | None]:
    from nas_ray.profiling.device_toml import write_periods  # noqa: PLC0415 - imports torch
    from nas_ray.profiling.sweep import MAIN, detect  # noqa: PLC0415

    with Meter("looking for staircases", 0) as meter:
        periods = detect(measure_many, lambda done, count: meter.show(done, "", count))
    factor = write_periods(folder / "device.toml", periods)
    words = ", ".join(f"{name} {value or 'none'}" for name, value in periods.items())
    output = console()
    output.print(f"channels at a time: {words}; parallelism_factor = {factor}", highlight=False)
    if periods[MAIN] is None:
        text = "no staircase of up to 256 channels shows in convolutions: parallelism_factor stays "
        text += "what device.toml said, or 1 where it said nothing"
        output.print(text, highlight=False, soft_wrap=True)
    return periods


def _networks(name: str, factor: int) -> "Networks":
    import torch  # noqa: PLC0415 - torch is slow to import

    from nas_ray.cli.naming import load_space  # noqa: PLC0415
    from nas_ray.graph import Graph, trace  # noqa: PLC0415
    from nas_ray.profiling.starting import Networks  # noqa: PLC0415

    space = load_space(name, channel_multiple=factor)

    def draw(rng: np.random.Generator) -> Graph:
        config = space.sample(rng)
        with torch.device("meta"):
            return trace(space.build(config), space.example_input(config))

    return Networks(name=name, draw=draw)


def _show(meter: Meter, progress: "Progress") -> None:
    words = [f"{progress.failed} failed"] if progress.failed else []
    if progress.mape is not None:
        words.append(f"held-out error {progress.mape:.1%}")
    meter.show(progress.done, ", ".join(words))


def _print_table(report: "ProfileReport") -> None:
    output = console()
    line = f"{report.table}: {report.rows} rows, {report.added} new; stopped by {report.stopped}"
    output.print(line, highlight=False, soft_wrap=True)
    if report.set_aside:
        text = f"the table before is kept: {', '.join(path.name for path in report.set_aside)}"
        output.print(text, highlight=False, soft_wrap=True)
        if (report.table.parent / NETWORKS).exists():
            text = (
                f"note: {NETWORKS} stays and corrects the new table; delete it if its networks ran "
            )
            output.print(text + "on other hardware", highlight=False, soft_wrap=True)
    for signature, reason in report.failed[:_FAILURES_SHOWN]:
        text = f"could not be measured: {shorten(signature, 80, placeholder=' ...')}: {reason}"
        output.print(text, markup=False, highlight=False, soft_wrap=True)
    if report.failed:
        path = report.table.parent / "failed.csv"
        text = f"{len(report.failed)} failed, see {path}; delete it and they are asked again"
        output.print(text, highlight=False, soft_wrap=True)


def _checked(
    device: Device, options: Namespace, measure_many: "MeasureMany", networks: "Networks | None"
) -> dict[str, Any]:
    """Accuracy on held-out subgraphs and on whole networks, printed and as plain data."""
    output = console()
    try:
        accuracy = device.accuracy
    except NasRayError as error:
        output.print(f"note: {error}", markup=False, highlight=False)
        return {}
    output.print(
        f"held-out subgraphs: {accuracy.subgraphs}, mean error {accuracy.mape:.1%}, "
        f"{accuracy.within_10_percent:.0%} within 10 %",
        highlight=False,
    )
    found: dict[str, Any] = {"subgraphs": dataclasses.asdict(accuracy)}
    if options.networks:
        checked = _check_networks(device, options, measure_many, networks)
        found["networks"] = dataclasses.asdict(checked) if checked else None
    return found


def _check_networks(
    device: Device, options: Namespace, measure_many: "MeasureMany", networks: "Networks | None"
) -> "NetworkAccuracy | None":
    from nas_ray.profiling.report import check_networks, random_networks  # noqa: PLC0415 - torch

    factor = device.hardware.parallelism_factor
    graphs = random_networks(options.networks, options.seed, factor, networks)
    try:
        checked = check_networks(device, graphs, measure_many)
    except MeasureError as error:
        console().print(f"note: {error}", markup=False, highlight=False)
        return None
    console().print(
        f"whole networks: {checked.networks} ({networks.name if networks else 'random IBN'}), mean "
        f"error {checked.mape:.1%}, median {checked.median_error:.1%}, largest "
        f"{checked.largest_error:.1%}, {checked.within_10_percent:.0%} within 10 %, "
        f"{checked.under_the_bound:.0%} under the upper bound",
        highlight=False,
        soft_wrap=True,
    )
    return checked
