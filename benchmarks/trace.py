"""How long it takes to trace a MobileNetV2 without computing anything, and to estimate it.

    python benchmarks/trace.py --repeats 30 --json

MobileNetV2 (Sandler et al., 2018, table 2; its first block has a 1x1 expansion here too) at 224
pixels, on one thread. Beside it, as the peer, the same network run once on real data by torch.
"""

import argparse
import json
import time
from collections.abc import Callable
from statistics import median, quantiles
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

import nas_ray
from nas_ray.graph import trace
from search_spaces.blocks import InvertedBottleneck, convolution

#: Expansion, channels, repeats, stride of the first (Sandler et al., 2018, table 2).
STAGES = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2),
    (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip


def mobilenet_v2() -> nn.Sequential:
    """MobileNetV2 with 1,000 classes."""
    layers: list[nn.Module] = [convolution(3, 32, kernel=3, stride=2)]
    channels = 32
    for expansion, after, repeats, stride in STAGES:
        for n in range(repeats):
            layers.append(
                InvertedBottleneck(
                    channels,
                    after,
                    kernel=3,
                    expansion=expansion,
                    stride=stride if n == 0 else 1,
                )
            )
            channels = after
    layers += [convolution(channels, 1280), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(1280, 1000))


def milliseconds(work: Callable[[], object], repeats: int) -> dict[str, float]:
    """Median and quartiles of `work`, after one call that does not count."""
    work()
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        times.append((time.perf_counter() - begun) * 1e3)
    low, _, high = quantiles(times, n=4)
    return {"median": median(times), "quartile_1": low, "quartile_3": high}


def main() -> None:
    """Print a table, and with --json one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    options = parser.parse_args()
    torch.set_num_threads(1)
    network, image = mobilenet_v2().eval(), torch.randn(1, 3, 224, 224)
    device = nas_ray.load_device("ethos-u85-2048")
    with torch.no_grad():
        jobs: dict[str, Callable[[], Any]] = {
            "trace": lambda: trace(network, image),
            "trace and estimate": lambda: device.estimate(network, image),
            "one inference by torch": lambda: network(image),
        }
        times = {name: milliseconds(job, options.repeats) for name, job in jobs.items()}
    table = Table("", "median ms", "quartiles", title=f"MobileNetV2 at 224, n = {options.repeats}")
    for name, one in times.items():
        quartiles = f"{one['quartile_1']:.1f} - {one['quartile_3']:.1f}"
        table.add_row(name, f"{one['median']:.1f}", quartiles)
    Console(width=100).print(table)
    if options.json:
        graph = trace(network, image)
        print(json.dumps({"repeats": options.repeats, "macs": graph.macs, "times_ms": times}))


if __name__ == "__main__":
    main()
