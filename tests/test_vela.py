"""The compiler's answers against reference queries made by other code with the same version.

The tool is deterministic, but latency depends a little on the values of the weights, because it
compresses them, and the reference drew other values from the same distribution. MACs are equal;
cycles lie within 0.1 % and peak memory within a few alignments.
"""

import csv
import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("ethosu", reason="the compiler ethos-u-vela is not installed")

from nas_ray.errors import MeasureError
from nas_ray.graph import trace
from nas_ray.measure import blocks
from nas_ray.measure.sampling import sample_subgraphs
from nas_ray.measure.vela import ACCELERATORS, VelaTarget, compiler_version, measure, vela

ROOT = Path(__file__).parents[1]
DATA = (ROOT / os.environ.get("NAS_RAY_DATA", "../shared/data")) / "ethos_u"
SYSTEMS = {
    "u55-256": ("Ethos_U55_High_End_Embedded", 500e6),
    "u85-1024": ("Ethos_U85_SYS_DRAM_Mid", 1e9),
}
#: The memory that the compiler's alignments of tensors may take more or less.
ALIGNMENTS_BYTES = 64
TARGET = VelaTarget(
    accelerator="ethos-u85-2048",
    system_config="Ethos_U85_SYS_DRAM_High",
    memory_mode="Shared_Sram",
    clock_hz=1e9,
)
SETTINGS = {
    "accelerator": "ethos-u85-2048",
    "system_config": "Ethos_U85_SYS_DRAM_High",
    "memory_mode": "Shared_Sram",
    "clock_hz": 1e9,
    "version": "5.2.0",
    "weight_seed": 0,
}


def reference(name):
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"no reference queries at {path}: set NAS_RAY_DATA to the folder of the data")
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def graph_of(model, channels, side):
    with torch.device("meta"):
        return trace(model.to("meta"), torch.empty(1, channels, side, side))


def bottleneck(channels, after, kernel, expansion, stride, fused):
    with torch.device("meta"):
        return blocks.inverted_bottleneck(
            channels,
            after,
            kernel=kernel,
            expansion=expansion,
            stride=stride,
            activation="relu6",
            fused=fused,
        )


@pytest.mark.parametrize("target", SYSTEMS)
def test_random_blocks_cost_what_the_reference_says(target):
    rows = [row for row in reference("reference_blocks.csv") if row["target"] == target]
    system, clock_hz = SYSTEMS[target]
    accelerator = VelaTarget(
        accelerator=f"ethos-{target}",
        system_config=system,
        memory_mode="Shared_Sram",
        clock_hz=clock_hz,
    )
    for row in random.Random(0).sample(rows, 12):
        sizes = (int(row[key]) for key in ("cin", "cout", "k", "expand", "stride"))
        block = bottleneck(*sizes, fused=row["block"] == "fused")
        found = measure(graph_of(block, int(row["cin"]), int(row["hw"])), accelerator)
        assert found.macs == int(row["macs"])
        assert found.latency_ms * 1e3 == pytest.approx(float(row["latency_us"]), rel=1e-3)
        assert abs(found.peak_memory_bytes - int(row["sram_peak"])) <= ALIGNMENTS_BYTES
        assert found.cpu_operators == 0


@pytest.mark.parametrize("kind", ["ibn", "fused"])
def test_every_accelerator_of_the_reference_costs_what_it_says(kind):
    """One block of each of the eight with all activations in SRAM."""
    rows = [r for r in reference("reference_fused_vs_ibn.csv") if r["memory"] == "Shared_Sram"]
    random.Random(1).shuffle(rows)
    for row in {row["accel"]: row for row in rows}.values():
        clock_hz = 500e6 if "u55" in row["accel"] else 1e9
        target = VelaTarget(
            accelerator=row["accel"],
            system_config=row["system"],
            memory_mode=row["memory"],
            clock_hz=clock_hz,
        )
        channels = int(row["c"])
        sizes = (channels, channels, int(row["k"]), int(row["expand"]), 1)
        found = measure(
            graph_of(bottleneck(*sizes, kind == "fused"), channels, int(row["hw"])), target
        )
        assert found.macs == int(row[f"{kind}_macs"])
        assert found.latency_ms * 1e3 == pytest.approx(float(row[f"{kind}_us"]), rel=1e-3)
        assert abs(found.peak_memory_bytes - int(row[f"{kind}_sram"])) <= ALIGNMENTS_BYTES


@pytest.mark.parametrize("fused", ["none", "1+2+3"])
def test_a_whole_mobilenet_v2_costs_what_the_reference_says(fused):
    (row,) = (
        row
        for row in reference("reference_mobilenetv2.csv")
        if (row["res"], row["accel"], row["fused_stages"]) == ("96", "ethos-u85-2048", fused)
    )
    stages = {int(word) for word in fused.split("+")} if fused != "none" else set()
    found = measure(graph_of(mobilenet_v2(stages), 3, 96), TARGET)
    assert found.macs == int(row["macs"])
    assert found.latency_ms * 1e3 == pytest.approx(float(row["latency_us"]), rel=1e-3)
    assert abs(found.peak_memory_bytes - int(row["sram_peak"])) <= ALIGNMENTS_BYTES


def mobilenet_v2(fused):
    """Sandler et al., 2018, table 2, for images of 96 x 96."""
    layers = [*blocks.convolution(3, 32, kernel=3, stride=2, activation="relu6")]
    channels = 32
    table = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1))
    for stage, (expansion, after, depth, first) in enumerate(
        (*table, (6, 160, 3, 2), (6, 320, 1, 1))
    ):
        for n in range(depth):
            stride = first if n == 0 else 1
            layers.append(bottleneck(channels, after, 3, expansion, stride, stage in fused))
            channels = after
    layers += [*blocks.convolution(320, 1280, kernel=1, stride=1, activation="relu6")]
    return nn.Sequential(*layers, nn.AvgPool2d(3), nn.Flatten(), nn.Linear(1280, 1000))


def test_the_same_question_has_the_same_answer():
    graph = graph_of(bottleneck(16, 16, 3, 4, 1, False), 16, 24)
    assert measure(graph, TARGET) == measure(graph, TARGET)


def test_the_back_end_of_a_device_is_the_same_measurement():
    graph = graph_of(bottleneck(16, 16, 3, 4, 1, True), 16, 24)
    assert vela(graph, SETTINGS) == measure(graph, TARGET, seed=0)


def test_latency_is_cycles_by_the_clock():
    graph = graph_of(bottleneck(16, 16, 3, 4, 1, False), 16, 24)
    slow = VelaTarget(**{**vars(TARGET), "clock_hz": 500e6})
    assert measure(graph, slow).latency_ms == 2 * measure(graph, TARGET).latency_ms


@pytest.mark.parametrize("key", SETTINGS)
def test_a_missing_setting_is_refused_by_its_name(key):
    settings = {k: v for k, v in SETTINGS.items() if k != key}
    with pytest.raises(MeasureError, match=f"lacks '{key}'"):
        vela(graph_of(nn.Conv2d(8, 8, 1), 8, 8), settings)


def test_another_version_of_the_compiler_is_refused():
    """Versions differ by 1-5 %: mixed into one table they would pass for noise."""
    assert compiler_version() == "5.2.0"
    with pytest.raises(MeasureError, match=r"asks for ethos-u-vela 5\.1\.0, but 5\.2\.0"):
        vela(graph_of(nn.Conv2d(8, 8, 1), 8, 8), SETTINGS | {"version": "5.1.0"})


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"accelerator": "ethos-u85-2000"}, "unknown accelerator .* did you mean 'ethos-u85-2048'"),
        ({"system_config": "Ethos_U55_High_End_Embedded"}, "begins with Ethos_U85"),
        ({"system_config": "Ethos_U85_None"}, "unknown System_Config 'Ethos_U85_None'"),
        ({"memory_mode": "Shared"}, "unknown Memory_Mode 'Shared': did you mean 'Shared_Sram'"),
    ],
    ids=["accelerator", "other_family", "no_system", "no_memory_mode"],
)
def test_a_configuration_that_does_not_exist_is_refused(change, rule):
    """The compiler itself takes a system of another family without a word."""
    with pytest.raises(MeasureError, match=rule):
        vela(graph_of(nn.Conv2d(8, 8, 1), 8, 8), SETTINGS | change)


def test_macs_in_the_name_are_macs_times_cores():
    for name, (_, macs, cores, _) in ACCELERATORS.items():
        assert int(name.rpartition("-")[2]) == macs * cores


def test_the_latencies_of_the_operators_add_up_to_that_of_the_graph():
    for graph in sample_subgraphs(40, np.random.default_rng(4)):
        found = measure(graph, TARGET)
        assert len(found.operators_ms) == len(graph.operators)
        assert sum(found.operators_ms) == pytest.approx(found.latency_ms, rel=1e-9)


def test_each_operator_is_credited_with_its_own_latency():
    """A 9x9 convolution of 64 channels between two small ones takes most of the time."""
    network = nn.Sequential(nn.Conv2d(8, 64, 1), nn.Conv2d(64, 64, 9), nn.Conv2d(64, 8, 1))
    found = measure(trace(network, torch.empty(1, 8, 32, 32)), TARGET)
    assert found.operators_ms[1] > 3 * (found.operators_ms[0] + found.operators_ms[2])
