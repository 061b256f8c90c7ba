"""Laws that hold for every network, on random ones: 40 seeds, all kinds of operators and skips."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from random_network import RandomNetwork

from nas_ray.graph import parse_signature, signature, subgraphs, trace
from nas_ray.graph.subgraphs import LARGEST

SEEDS = range(40)
IMAGE = torch.empty(1, 3, 32, 32, device="meta")


@cache
def traced(seed, prefix="step"):
    with torch.device("meta"):
        return trace(RandomNetwork(seed, prefix), IMAGE)


@pytest.fixture(params=SEEDS)
def graph(request):
    return traced(request.param)


@pytest.fixture(scope="module")
def costs(small_device):
    """Of each seed, and of the same network under other names."""
    return [
        tuple(small_device.estimate_graph(traced(seed, prefix)) for prefix in ("step", "zz_layer"))
        for seed in SEEDS
    ]


def test_every_operator_works_in_exactly_one_subgraph(graph):
    parts = subgraphs(graph)
    assert [o.name for part in parts for o in part.operators] == [o.name for o in graph.operators]
    assert sum(part.macs for part in parts) == graph.macs
    assert sum(part.weight_elements for part in parts) == graph.weight_elements
    assert sum(part.bias_elements for part in parts) == graph.bias_elements


def test_a_subgraph_comes_back_from_its_signature(graph):
    for part in (graph, *subgraphs(graph)):
        back = parse_signature(signature(part))
        assert back == replace(part, name="", unknown=())
        assert back.lifetimes == part.lifetimes


def test_what_a_subgraph_reads_was_made_before_it(graph):
    """Each input of a part has the shape of an output of an earlier part or of the network."""
    made = [graph.shape(i) for i in graph.inputs]
    for part in subgraphs(graph):
        assert all(part.shape(i) in made for i in part.inputs)
        made += [part.shape(i) for i in part.outputs]


def test_no_subgraph_is_large_while_a_tensor_alone_crosses_inside_it(graph):
    """Larger than the limit only where short-lived tensors overlap everywhere."""
    for part in subgraphs(graph):
        working = [o for o in part.operators if o.kind not in {"reshape", "slice"}]
        assert len(working) <= 2 * LARGEST


@pytest.mark.parametrize("seed", SEEDS)
def test_names_do_not_matter(seed, costs):
    plain, renamed = costs[seed]
    assert [row.signature for row in plain.subgraphs] == [
        row.signature for row in renamed.subgraphs
    ]
    assert replace(plain, subgraphs=(), warnings=()) == replace(renamed, subgraphs=(), warnings=())


@pytest.mark.parametrize("seed", SEEDS)
def test_memory_holds_what_the_largest_convolution_reads_and_writes(seed, costs, small_device):
    """Operators after it that work number by number run in its pass and keep the shape."""
    graph = traced(seed)
    maker = {i: operator for operator in graph.operators for i in operator.outputs}

    def read(operator):
        """A convolution pads by itself."""
        before = maker.get(operator.inputs[0])
        is_padded = before is not None and before.kind == "pad"
        return graph.tensors[before.inputs[0] if is_padded else operator.inputs[0]].elements

    largest = max(
        read(operator) + graph.tensors[operator.outputs[0]].elements
        for operator in graph.operators
        if operator.kind in {"conv", "depthwise_conv"}
    )
    least_bytes = largest * small_device.hardware.activation_bytes
    assert costs[seed][0].peak_memory_bytes >= least_bytes


@pytest.mark.parametrize("seed", SEEDS)
def test_a_network_costs_the_sum_of_its_subgraphs_and_its_bound_lies_above(seed, costs):
    cost, _ = costs[seed]
    assert cost.latency_ms == pytest.approx(sum(row.latency_ms for row in cost.subgraphs))
    assert cost.weight_bytes == sum(row.weight_bytes for row in cost.subgraphs)
    assert cost.latency_ms_upper >= cost.latency_ms


@pytest.mark.parametrize("seed", SEEDS)
def test_no_network_is_faster_than_its_arithmetic(seed, costs, small_device):
    """Every multiplier busy in every cycle; the tolerance is for a regression's own error."""
    hardware = small_device.hardware
    cost, _ = costs[seed]
    least_ms = cost.macs / (hardware.macs_per_cycle * hardware.clock_hz) * 1e3
    assert cost.latency_ms >= 0.9 * least_ms
