"""Published architectures: parameters and arithmetic against the numbers of others."""

import pytest
import torch

from benchmarks.published import CLASSIFIERS, OTHERS
from nas_ray.graph import trace

#: Trainable parameters and where the count comes from.
PARAMETERS = {
    "mobilenet_v1_0.5": (1_331_592, "Keras applications, trainable"),
    "mobilenet_v1_1.0": (4_231_976, "Keras applications, trainable"),
    "mobilenet_v2_0.75": (2_636_424, "Keras applications, trainable"),
    "mobilenet_v2_1.0": (3_504_872, "torchvision"),
    "mobilenet_v3_small": (2_542_856, "torchvision"),
    "mobilenet_v3_large": (5_483_032, "torchvision"),
    "mnasnet_1.0": (4_383_312, "torchvision"),
    "efficientnet_b0": (5_288_548, "torchvision"),
    "efficientnet_lite0": (4_652_008, "timm"),
    "fbnet_c": (5_572_200, "timm, fbnetc_100"),
    "resnet18": (11_689_512, "torchvision"),
    "resnet50": (25_557_032, "torchvision"),
    "regnet_x_200mf": (2_684_792, "timm, regnetx_002"),
    "regnet_x_400mf": (5_495_976, "torchvision"),
    "regnet_y_200mf": (3_162_996, "timm, regnety_002"),
    "regnet_y_400mf": (4_344_144, "torchvision"),
    "squeezenet_1.1": (1_235_496, "torchvision"),
    "shufflenet_v2_1.0": (2_278_604, "torchvision"),
    "densenet121": (7_978_856, "torchvision"),
    "vit_tiny": (5_717_416, "timm, vit_tiny_patch16_224"),
    "ds_cnn": (24_908 - 9 * 128, "MLPerf Tiny, less the running statistics of 9 batch norms"),
}
#: Multiply-accumulates of one inference in millions, the last digit's unit, and the source.
MILLION_MACS = {
    "mobilenet_v1_0.5": (149, 1, "Howard et al., 2017, table 6"),
    "mobilenet_v1_1.0": (569, 1, "Howard et al., 2017, table 4"),
    "mobilenet_v2_0.75": (209, 1, "TF-slim, MobileNet table"),
    "mobilenet_v2_1.0": (300, 10, "Sandler et al., 2018, table 4"),
    "mobilenet_v2_1.4": (582, 1, "TF-slim, MobileNet table"),
    "mobilenet_v3_small": (60, 10, "torchvision, 0.06 GFLOPS"),
    "mobilenet_v3_large": (220, 10, "torchvision, 0.22 GFLOPS"),
    "mnasnet_1.0": (310, 10, "torchvision, 0.31 GFLOPS"),
    "efficientnet_b0": (390, 10, "torchvision, 0.39 GFLOPS"),
    "resnet18": (1810, 10, "torchvision, 1.81 GFLOPS"),
    "resnet50": (4090, 10, "torchvision, 4.09 GFLOPS"),
    "regnet_x_200mf": (200, 10, "Radosavovic et al., 2020, the name"),
    "regnet_x_400mf": (410, 10, "torchvision, 0.41 GFLOPS"),
    "regnet_y_200mf": (200, 10, "Radosavovic et al., 2020, the name"),
    "regnet_y_400mf": (400, 10, "torchvision, 0.40 GFLOPS"),
    "squeezenet_1.1": (350, 10, "torchvision, 0.35 GFLOPS"),
    "shufflenet_v2_1.0": (140, 10, "torchvision, 0.14 GFLOPS"),
    "densenet121": (2830, 10, "torchvision, 2.83 GFLOPS"),
    "ds_cnn": (2.7, 0.1, "Banbury et al., 2021, MLPerf Tiny"),
}
SHAPES = {name: (1, 3, side, side) for name, (_, side) in CLASSIFIERS.items()}
SHAPES |= {name: shape for name, (_, shape) in OTHERS.items()}
BUILDERS = {name: build for name, (build, _) in {**CLASSIFIERS, **OTHERS}.items()}


def built(name):
    with torch.device("meta"):
        return BUILDERS[name](), torch.empty(SHAPES[name])


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_are_those_published(name):
    network, _ = built(name)
    expected, source = PARAMETERS[name]
    assert sum(p.numel() for p in network.parameters()) == expected, source


@pytest.mark.parametrize("name", MILLION_MACS)
def test_macs_are_those_published(name):
    """To half a unit of the last digit that the source gives."""
    expected, unit, source = MILLION_MACS[name]
    assert trace(*built(name)).macs / 1e6 == pytest.approx(expected, abs=unit / 2), source


def test_the_attention_of_vit_tiny_is_counted_by_hand():
    """12 layers of two products of 3 heads, 197 x 197 tokens and 64 wide; the rest is linear."""
    network, x = built("vit_tiny")
    matmuls = [operator for operator in trace(network, x).operators if operator.kind == "matmul"]
    assert sum(operator.macs for operator in matmuls) == 12 * 2 * 3 * 197 * 197 * 64


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_classifier_runs_from_96_pixels(name):
    network, _ = built(name)
    with torch.device("meta"):
        graph = trace(network, torch.empty(1, 3, 96, 96))
    assert graph.shape(graph.outputs[0]) in {(1, 1000), (1, 10)}
