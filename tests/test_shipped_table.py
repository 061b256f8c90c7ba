"""The tables that are shipped: sound, as their SOURCE.md says, and as good as is claimed."""

import random
import re
from pathlib import Path

import numpy as np
import pytest

from nas_ray.device import device_folder, list_devices, load_device
from nas_ray.estimate.operator_table import KINDS, operator_table
from nas_ray.graph import parse_signature, signature, trace
from nas_ray.measure.backends import backend_of, measure_network, read_settings
from nas_ray.measure.table import Row, read_table, table_path
from search_spaces import classification

#: Kinds whose MACs the compiler counts as we do; it also counts pooling and means.
PLAIN_KINDS = {"conv", "depthwise_conv", "add"}


@pytest.fixture(scope="module", params=list_devices())
def folder(request):
    return device_folder(request.param)


@pytest.fixture(scope="module")
def rows(folder) -> tuple[Row, ...]:
    return read_table(table_path(folder))


@pytest.fixture(scope="module")
def graphs(rows):
    return [parse_signature(row.signature) for row in rows]


def needs_backend(folder: Path) -> None:
    if read_settings(folder / "device.toml")[0]["backend"] == "vela":
        pytest.importorskip("ethosu", reason="the compiler that made the table is not installed")


def test_a_table_has_at_least_3000_rows(rows):
    assert len(rows) >= 3000


def test_every_signature_is_read_and_written_back_alike(rows, graphs):
    assert [signature(graph) for graph in graphs] == [row.signature for row in rows]


def test_the_arithmetic_the_compiler_counted_is_ours(rows, graphs):
    """But for some activations it runs apart, each one more a result: in less than 1 row of 10.

    Stems of 1 to 4 channels, groups, dilations and activations of several operations are left out:
    some the compiler rewrites.
    """
    compared = [
        (row.macs - graph.macs, sum(graph.tensors[o.outputs[0]].elements for o in graph.operators))
        for row, graph in zip(rows, graphs, strict=True)
        if {operator.kind for operator in graph.operators} <= PLAIN_KINDS
        and graph.shape(graph.inputs[0])[1] > 4
        and not re.search(r"; conv [^;]* (g|d|mode)=", row.signature)
        and not re.search(r" d=| act=(?!relu|hardswish|silu|sigmoid)", row.signature)
    ]
    assert len(compared) > 0.25 * len(rows)
    assert all(0 <= more <= results for more, results in compared)
    assert sum(more == 0 for more, _ in compared) > 0.9 * len(compared)


def test_every_kind_of_operator_has_its_rows(folder, rows, graphs):
    """On the Ethos-U: at least twenty of what the compiler runs, whatever their sizes."""
    if read_settings(folder / "device.toml")[0]["backend"] != "vela":
        pytest.skip("its table holds mobile and residual blocks alone")
    table = operator_table(graphs)
    counts = dict(zip(KINDS, np.bincount(table.kind, minlength=len(KINDS)), strict=True))
    # Nobody knows the first, the compiler leaves the next two to the host, and no block repeats.
    for kind in ("other", "depth_to_space", "divide", "repeat"):
        del counts[kind]
    assert {kind: int(count) for kind, count in counts.items() if count < 20} == {}


def test_each_operator_has_its_share_of_the_latency(rows, graphs):
    for row, graph in zip(rows, graphs, strict=True):
        assert len(row.operators_ms) == len(graph.operators)
        assert min(row.operators_ms) >= 0


def test_source_md_tells_rows_seed_origin_and_caveat(folder, rows):
    text = (folder / "SOURCE.md").read_text(encoding="utf-8")
    assert f"{len(rows)} rows" in text
    assert "--count 5000 --seed 0 --space classification" in text
    settings, _ = read_settings(folder / "device.toml")
    for name in (value for value in settings.values() if isinstance(value, str)):
        assert name in text
    assert re.search(r"never\s+a\s+measurement\s+on\s+silicon", text)


def test_asking_the_back_end_again_gives_the_row(folder, rows):
    """Six random rows, all columns; the file keeps nine digits of a latency.

    None with a resize: what the compiler makes of that differs from call to call by some percent.
    """
    needs_backend(folder)
    settings, _ = read_settings(folder / "device.toml")
    measure = backend_of(settings)
    same_each_time = [row for row in rows if "resize" not in row.signature]
    for row in random.Random(5).sample(same_each_time, 6):
        found = measure(parse_signature(row.signature), settings)
        assert row == Row(
            signature=row.signature,
            latency_ms=float(f"{found.latency_ms:.9g}"),
            peak_memory_bytes=found.peak_memory_bytes,
            weight_bytes=found.weight_bytes,
            macs=found.macs,
            operators_ms=tuple(float(f"{share:.6g}") for share in found.operators_ms),
        )


def test_held_out_rows_are_estimated_within_10_percent(folder):
    """By cross-validation: the mean of all errors, and most of them one by one."""
    accuracy = load_device(folder).accuracy
    assert accuracy.mape < 0.10
    assert accuracy.within_10_percent > 0.70


def test_whole_networks_are_estimated_as_the_compiler_says(folder):
    """Ten of the classification space; the bound claims 95 of 100."""
    needs_backend(folder)
    device, space = load_device(folder), classification.space()
    rng = np.random.default_rng(0)
    configs = [space.sample(rng) for _ in range(10)]
    estimated = device.estimate_configs(space, configs)
    settings, _ = read_settings(folder / "device.toml")
    measure = backend_of(settings)
    graphs = [trace(space.build(c), space.example_input(c)) for c in configs]
    measured_ms = np.array([measure(graph, settings).latency_ms for graph in graphs])
    error = np.abs(estimated["latency_ms"].to_numpy() / measured_ms - 1)
    assert np.median(error) < 0.03
    assert error.max() < 0.12
    # 8 or more of 10 at a true level of 95 %: fewer has a probability of 1 in 87.
    assert (measured_ms <= estimated["latency_ms_upper"].to_numpy()).sum() >= 8


def test_a_network_measured_in_its_own_process_is_the_same_measurement(folder):
    needs_backend(folder)
    space = classification.space()
    graph = trace(space.build(space.baseline), space.example_input(space.baseline))
    settings, _ = read_settings(folder / "device.toml")
    assert measure_network(graph, settings, 60.0) == backend_of(settings)(graph, settings)
