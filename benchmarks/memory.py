"""How near estimated peak memory comes to the Ethos-U compiler's own figure.

    python benchmarks/memory.py --networks 500 --seed 0 --device ethos-u85-2048 --json

Families: networks sampled from the classification space (16, 24 and 32 pixels); one inverted
bottleneck, plain or fused, at 48 to 224 pixels; MobileNetV2 at 96 to 224. Beside the estimate, as
baselines on the same networks: liveness without padding and weights, and the largest input and
output of one operator. The truth is a compiler estimate (`peakUsage` of the SRAM, Shared_Sram), not
a measurement on silicon. A device without a shipped profile is estimated without [staging].
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from math import prod

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from nas_ray.device import device_folder, list_devices
from nas_ray.errors import MeasureError
from nas_ray.estimate.hardware import Hardware, read_hardware
from nas_ray.estimate.memory import peak_memory_bytes
from nas_ray.graph import Graph, trace
from nas_ray.measure.vela import VelaTarget, compiler_version, measure
from search_spaces import classification
from search_spaces.blocks import FusedInvertedBottleneck, InvertedBottleneck, convolution

_MAIN = "ethos-u85-2048"
_SYSTEMS = {
    "ethos-u85-2048": ("Ethos_U85_SYS_DRAM_High", 1e9),
    "ethos-u85-1024": ("Ethos_U85_SYS_DRAM_Mid", 1e9),
    "ethos-u65-512": ("Ethos_U65_Client_Server", 1e9),
    "ethos-u55-256": ("Ethos_U55_High_End_Embedded", 5e8),
}
#: Expansion, channels, repeats, stride of the first (Sandler et al., 2018, table 2).
_STAGES = ((6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2))


def sampled(networks: int, seed: int) -> Iterator[Graph]:
    """Networks of the classification space."""
    space, rng = classification.space(), np.random.default_rng(seed)
    for _ in range(networks):
        config = space.sample(rng)
        with torch.device("meta"):
            yield trace(space.build(config), space.example_input(config))


def blocks(seed: int) -> Iterator[Graph]:
    """Single IBNs and fused IBNs of two or more stages' sizes, some channels no multiple of 16."""
    rng = np.random.default_rng(seed)
    for side in (48, 64, 96, 112, 160, 224):
        for block in (InvertedBottleneck, FusedInvertedBottleneck):
            for _ in range(4):
                channels, stride = int(rng.integers(8, 41)), int(rng.choice((1, 2)))
                with torch.device("meta"):
                    model = block(
                        channels,
                        channels if stride == 1 else 2 * channels,
                        kernel=int(rng.choice((3, 5))),
                        expansion=int(rng.choice((2, 4, 6))),
                        stride=stride,
                    )
                    yield trace(model, torch.empty(1, channels, side, side))


def mobile_networks() -> Iterator[Graph]:
    """MobileNetV2 without its last stage, at several resolutions and widths."""
    for side in (96, 128, 160, 192, 224):
        for width in (0.5, 1.0):
            with torch.device("meta"):
                yield trace(_mobile_network(width), torch.empty(1, 3, side, side))


def _mobile_network(width: float) -> nn.Module:
    before = int(32 * width)
    layers: list[nn.Module] = [convolution(3, before, kernel=3, stride=2)]
    for expansion, full, repeats, stride in _STAGES:
        after = int(full * width)
        for n in range(repeats):
            size = {"kernel": 3, "expansion": expansion, "stride": stride if n == 0 else 1}
            layers.append(InvertedBottleneck(before, after, **size))
            before = after
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, 1000))


def one_operator(graph: Graph) -> int:
    """Baseline: elements of the largest input and output of one operator."""
    sizes = (
        sum(prod(graph.shape(i)) for i in {*operator.inputs, *operator.outputs})
        for operator in graph.operators
    )
    return max(sizes)


def profile(device: str) -> Hardware:
    """The shipped profile, or that of the main device without what is its own."""
    if device in list_devices():
        return read_hardware(device_folder(device) / "device.toml")
    return replace(read_hardware(device_folder(_MAIN) / "device.toml"), staging=None)


def errors(graphs: Iterator[Graph], device: str) -> dict[str, np.ndarray]:
    """Relative errors of each estimate, one a network."""
    hardware, (system, clock_hz) = profile(device), _SYSTEMS[device]
    plain = replace(
        hardware,
        staging=None,
        alignment_bytes=1,
        channel_multiple=1,
        is_depth_first=False,
        writes_in_place=False,
    )
    target = VelaTarget(
        accelerator=device, system_config=system, memory_mode="Shared_Sram", clock_hz=clock_hz
    )
    rows = []
    for graph in graphs:
        truth = measure(graph, target).peak_memory_bytes
        estimates = (
            peak_memory_bytes(graph, hardware),
            peak_memory_bytes(graph, plain),
            one_operator(graph),
        )
        rows.append([estimate / truth - 1 for estimate in estimates])
    columns = np.array(rows).T
    return dict(zip(("estimate", "plain liveness", "one operator"), columns, strict=True))


def summary(values: np.ndarray) -> dict[str, float]:
    """Share within 3 %, mean and quantiles of the absolute error, and the signed extremes."""
    low, median, high = np.quantile(np.abs(values), (0.05, 0.5, 0.95))
    return {
        "within_3_percent": float((np.abs(values) <= 0.03).mean()),
        "mape": float(np.abs(values).mean()),
        "quantile_5": float(low),
        "median": float(median),
        "quantile_95": float(high),
        "lowest": float(values.min()),
        "highest": float(values.max()),
    }


def main() -> None:
    """Print a table, and with --json one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--networks", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", action="append", choices=sorted(_SYSTEMS))
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    options = parser.parse_args()
    torch.set_num_threads(1)
    try:
        version = compiler_version()
    except MeasureError as error:
        print(f"skipped: {error}")
        return
    results: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    table = Table("device", "family", "method", "n", "within 3 %", "MAPE", "median", "95 %")
    for device in options.device or [_MAIN]:
        families = {
            "classification": sampled(options.networks, options.seed),
            "blocks 48-224": blocks(options.seed),
            "MobileNetV2": mobile_networks(),
        }
        results[device] = {}
        for family, graphs in families.items():
            found = errors(graphs, device)
            results[device][family] = {name: summary(values) for name, values in found.items()}
            for name, one in results[device][family].items():
                shares = (one[key] for key in ("within_3_percent", "mape", "median", "quantile_95"))
                cells = (f"{share:.1%}" for share in shares)
                table.add_row(device, family, name, str(len(found[name])), *cells)
    Console(width=110).print(table)
    if options.json:
        print(json.dumps({"compiler": version, "seed": options.seed, "devices": results}))


if __name__ == "__main__":
    main()
