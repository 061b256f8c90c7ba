"""Published convolutional networks as the Ethos-U compiler sees them: nothing left to the host."""

import pytest
import torch

pytest.importorskip("ethosu", reason="the compiler ethos-u-vela is not installed")

import nas_ray
from benchmarks.published import CLASSIFIERS, OTHERS
from nas_ray.graph import trace
from nas_ray.measure.vela import VelaTarget, measure

TARGET = VelaTarget(
    accelerator="ethos-u85-2048",
    system_config="Ethos_U85_SYS_DRAM_High",
    memory_mode="Shared_Sram",
    clock_hz=1e9,
)


def traced(name, side=96):
    build, size = {**CLASSIFIERS, **OTHERS}[name]
    shape = size if isinstance(size, tuple) else (1, 3, side, side)
    with torch.device("meta"):
        return trace(build(), torch.empty(shape))


@pytest.mark.parametrize(
    "name",
    ["mobilenet_v1_0.25", "mobilenet_v3_small", "regnet_y_200mf", "squeezenet_1.1"],
)
def test_convolution_excitation_groups_and_concatenation_compile(name):
    """MACs differ by what excitations and poolings multiply, which the compiler counts too."""
    graph = traced(name)
    found = measure(graph, TARGET)
    assert found.cpu_operators == 0
    assert graph.macs <= found.macs <= 1.05 * graph.macs
    assert sum(found.operators_ms) == pytest.approx(found.latency_ms, rel=0.01)


@pytest.mark.parametrize("name", ["shufflenet_v2_1.0", "unet_0.25", "ds_cnn"])
def test_channel_shuffles_transposed_convolutions_and_uneven_windows_compile(name):
    found = measure(traced(name), TARGET)
    assert found.cpu_operators == 0


@pytest.mark.parametrize("name", ["vit_tiny", "conv_gru"])
def test_attention_and_recurrence_compile_and_are_estimated_within_a_fifth(name):
    graph = traced(name)
    found = measure(graph, TARGET)
    assert found.cpu_operators == 0
    estimate = nas_ray.load_device(TARGET.accelerator).estimate_graph(graph)
    assert estimate.latency_ms == pytest.approx(found.latency_ms, rel=0.2)
