"""How far the sum of its subgraphs is from a whole network, both measured on this machine.

    python benchmarks/host_additivity.py --networks 5 --repeats 5 --json

Networks are random configs of the classification space at 96 pixels, measured with onnxruntime on
one thread as the device host-cpu is. A repeat measures the subgraphs and the whole, one after the
other; a network's ratio is the median over repeats.
"""

import argparse
import json
from statistics import mean, median

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from nas_ray.graph import Graph, subgraphs, trace
from nas_ray.measure.onnx_runtime import onnx_runtime
from nas_ray.measure.this_machine import processor, runtime_version
from search_spaces import classification

SETTINGS = {"threads": 1, "repeat_s": 2.0, "weight_seed": 0}


def networks(count: int) -> list[Graph]:
    """`count` traced random networks."""
    space = classification.space(in_channels=3, resolutions=(96,))
    rng = np.random.default_rng(0)
    graphs = []
    for config in (space.sample(rng) for _ in range(count)):
        with torch.device("meta"):
            graphs.append(trace(space.build(config), space.example_input(config)))
    return graphs


def measured_ms(graph: Graph) -> float:
    """One measurement."""
    return onnx_runtime(graph, SETTINGS).latency_ms


def main() -> None:
    """Print a table, and with --json one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--networks", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    options = parser.parse_args()
    table = Table("M MACs", "subgraphs", "whole ms", "sum / whole", "lowest - highest")
    rows, errors = [], []
    for graph in networks(options.networks):
        parts = subgraphs(graph)
        pairs = [(sum(map(measured_ms, parts)), measured_ms(graph)) for _ in range(options.repeats)]
        ratios = [total / whole for total, whole in pairs]
        whole_ms = median(whole for _, whole in pairs)
        rows.append({"macs": graph.macs, "whole_ms": whole_ms, "ratios": ratios})
        errors.append(abs(median(ratios) - 1))
        spread = f"{min(ratios):.3f} - {max(ratios):.3f}"
        cells = (f"{graph.macs / 1e6:.1f}", str(len(parts)), f"{whole_ms:.3f}")
        table.add_row(*cells, f"{median(ratios):.3f}", spread)
    Console(width=100).print(table)
    print(f"MAPE {mean(errors):.1%}, worst {max(errors):.1%}: n = {len(rows)} networks")
    if options.json:
        made_on = {"processor": processor(), "onnxruntime": runtime_version()}
        print(json.dumps({"mape": mean(errors), "networks": rows, **made_on}))


if __name__ == "__main__":
    main()
