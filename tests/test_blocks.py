"""Inverted bottlenecks, plain and fused: shapes, residuals, arithmetic and graph."""

import pytest
import torch

from nas_ray.graph import subgraphs, trace
from search_spaces.blocks import BLOCKS, FusedInvertedBottleneck, InvertedBottleneck, convolution


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
@pytest.mark.parametrize(
    ("out_channels", "stride", "has_residual"),
    [(16, 1, True), (32, 1, False), (16, 2, False), (32, 2, False)],
    ids=["same_shape", "more_channels", "strided", "both"],
)
def test_residual_only_where_input_and_result_have_the_same_shape(
    block, out_channels, stride, has_residual
):
    module = block(16, out_channels, kernel=3, expansion=2, stride=stride).eval()
    graph = trace(module, torch.zeros(1, 16, 8, 8))
    assert module(torch.zeros(2, 16, 8, 8)).shape == (2, out_channels, 8 // stride, 8 // stride)
    assert ("add" in [operator.kind for operator in graph.operators]) == has_residual


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_with_a_zeroed_projection_a_residual_block_is_the_identity(block):
    module = block(16, 16, kernel=3, expansion=2, stride=1).eval()
    torch.nn.init.zeros_(module.project[0].weight)
    x = torch.randn(1, 16, 4, 4)
    torch.testing.assert_close(module(x), x)


def test_macs_of_an_ibn_are_expansion_plus_depthwise_plus_projection():
    block = InvertedBottleneck(16, 32, kernel=5, expansion=4, stride=2)
    graph = trace(block, torch.zeros(1, 16, 8, 8))
    # 1x1 16->64 on 8x8; depthwise 5x5 on 4x4; 1x1 64->32 on 4x4.
    assert graph.macs == 64 * 16 * 64 + 16 * 25 * 64 + 16 * 64 * 32


def test_macs_of_a_fused_ibn_are_one_dense_convolution_plus_projection():
    block = FusedInvertedBottleneck(16, 32, kernel=5, expansion=4, stride=2)
    graph = trace(block, torch.zeros(1, 16, 8, 8))
    assert graph.macs == 16 * 25 * 16 * 64 + 16 * 64 * 32


@pytest.mark.parametrize("out_channels", [16, 32], ids=["residual", "no_residual"])
@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_a_block_is_one_subgraph(block, out_channels):
    module = block(16, out_channels, kernel=3, expansion=4, stride=1)
    assert len(subgraphs(trace(module, torch.zeros(1, 16, 8, 8)))) == 1


def test_fused_ibn_of_expansion_and_depthwise_weights_equals_the_ibn_it_fuses():
    """Without the activation between them, 1x1 expansion then depthwise is one KxK convolution."""
    plain = InvertedBottleneck(4, 4, kernel=3, expansion=2, stride=1).eval()
    fused = FusedInvertedBottleneck(4, 4, kernel=3, expansion=2, stride=1).eval()
    plain.expand[2] = torch.nn.Identity()
    with torch.no_grad():
        # (hidden, in, 1, 1) times (hidden, 1, K, K); the batch norms are near the identity.
        fused.expand[0].weight.copy_(plain.expand[0].weight * plain.depthwise[0].weight)
    fused.project.load_state_dict(plain.project.state_dict())
    x = torch.randn(1, 4, 6, 6)
    torch.testing.assert_close(fused(x), plain(x), rtol=1e-4, atol=1e-4)


def test_a_convolution_with_batch_norm_and_relu6_is_one_operator():
    (operator,) = trace(convolution(3, 16, kernel=3, stride=2), torch.zeros(1, 3, 9, 9)).operators
    assert (operator.kind, operator.activation, operator.bias_elements) == ("conv", "relu6", 16)
