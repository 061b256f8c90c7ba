"""The systolic model against cycles counted by hand, and against the laws that any design obeys.

Signatures are written out: `1x32x10x10; conv 0 > 1x32x10x10 w=1024 m=102400` is a 1x1 convolution
whose K = 32 and M = 32 fill an array of 32 x 32, over T = 100 pixels.
"""

from dataclasses import replace
from math import ceil, isfinite

import numpy as np
import pytest
import torch
from torch import nn

from nas_ray.device import device_folder
from nas_ray.estimate.hardware import read_hardware
from nas_ray.estimate.memory import peak_memory_bytes, weight_bytes
from nas_ray.graph import parse_signature, subgraphs, trace
from nas_ray.measure.backends import read_settings
from nas_ray.measure.design import read_design
from nas_ray.measure.families import MOBILE
from nas_ray.measure.sampling import sample_subgraphs
from nas_ray.measure.systolic import measure
from search_spaces import classification

PROFILE = device_folder("systolic-32x32") / "device.toml"
SHIPPED = read_design(read_settings(PROFILE)[0])
#: The shipped array with memories that nothing waits for.
UNBOUND = replace(SHIPPED, sram_bytes=0, sram_bytes_per_s=1e24, dram_bytes_per_s=1e24)
#: So little SRAM that most subgraphs spill.
TIGHT = replace(SHIPPED, sram_bytes=20_000)
FULL_TILE = "1x32x10x10; conv 0 > 1x32x10x10 w=1024 m=102400"
#: T + R + C - 2 for 100 pixels, and R for the first load.
TILE, LOAD = 162, 32


@pytest.fixture(scope="module")
def sample():
    return list(sample_subgraphs(150, np.random.default_rng(1), 32, families=MOBILE))


def cycles(graph, design):
    graph = parse_signature(graph) if isinstance(graph, str) else graph
    return measure(graph, design).latency_ms * 1e-3 * design.clock_hz


def conv(channels, after, pixels=100, kernel=1, groups=1, kind="conv"):
    weights = channels * after * kernel * kernel // groups
    grouped = f"g={groups} " if groups > 1 else ""
    return (
        f"1x{channels}x{pixels}x1; {kind} 0 > 1x{after}x{pixels}x1 k={kernel}x{kernel} {grouped}"
        f"w={weights} m={weights * pixels}"
    )


def depthwise(channels, kernel):
    return conv(channels, channels, kernel=kernel, groups=channels, kind="depthwise_conv")


@pytest.mark.parametrize(
    ("text", "tiles"),
    [
        pytest.param(FULL_TILE, 1, id="exactly_full"),
        pytest.param(conv(32, 33), 2, id="one_more_out"),
        pytest.param(conv(32, 64), 2, id="second_tile_full"),
        pytest.param(conv(33, 32), 2, id="one_more_in"),
        pytest.param(conv(33, 33), 4, id="one_more_of_both"),
        pytest.param(conv(7, 32, kernel=3), 2, id="3x3_of_7_is_63_rows"),
        pytest.param(conv(8, 32, kernel=3), 3, id="3x3_of_8_is_72_rows"),
        pytest.param(depthwise(96, 3), 32, id="three_channels_of_9_rows_a_tile"),
        pytest.param(depthwise(97, 3), 33, id="one_channel_more"),
        pytest.param(depthwise(96, 5), 96, id="one_channel_of_25_rows_a_tile"),
        pytest.param(depthwise(96, 7), 192, id="49_rows_are_two_tiles_a_channel"),
        pytest.param(conv(32, 32, groups=2), 1, id="two_groups_of_16_on_the_diagonal"),
        pytest.param(conv(34, 34, groups=2), 2, id="two_groups_of_17_do_not_fit"),
        pytest.param(
            "1x64x5x20; transposed_conv 0 > 1x16x10x40 k=2x2 s=2x2 w=4096 m=409600",
            4,
            id="transposed_streams_its_input_and_has_4_times_16_columns",
        ),
        pytest.param("1x40x100; conv 0 > 1x32x100 k=1x3 w=3840 m=384000", 4, id="signal"),
        pytest.param("1x100x64; linear 0 > 1x100x33 w=2112 m=211200", 4, id="linear_of_tokens"),
        pytest.param(
            "4x100x16 4x16x32; matmul 0,1 > 4x100x32 m=204800", 4, id="a_tile_for_each_product"
        ),
    ],
)
def test_tiles_by_hand(text, tiles):
    """Compute-bound; all of them stream 100 pixels through each tile."""
    assert cycles(text, UNBOUND) == pytest.approx(LOAD + tiles * TILE)


@pytest.mark.parametrize(
    ("rows", "columns", "product", "scale_sim"),
    [
        (32, 32, (100, 32, 32), 194),
        (32, 32, (3136, 24, 144), 16_150),
        (32, 32, (49, 96, 33), 858),
        (32, 32, (1, 1024, 1000), 97_280),
        (16, 64, (196, 576, 64), 10_440),
        (64, 16, (25, 65, 17), 668),
        (1, 1, (5, 3, 4), 72),
    ],
)
def test_scale_sim_counts_the_same_but_for_the_hidden_loads(rows, columns, product, scale_sim):
    """Cycles of T x K x M counted by scalesim 3.0.0, weight stationary: it loads before each tile.

    Here all loads but the first are hidden behind the tile before.
    """
    pixels, depth, width = product
    hidden = rows * (ceil(depth / rows) * ceil(width / columns) - 1)
    design = replace(UNBOUND, rows=rows, columns=columns)
    assert cycles(conv(depth, width, pixels), design) == pytest.approx(scale_sim - hidden)


def test_an_array_of_one_multiplier_takes_a_cycle_a_mac(sample):
    one = replace(UNBOUND, rows=1, columns=1, vector_lanes=10**12)
    for graph in sample:
        # One cycle for the first load of a product, or for the vector unit; the rest only moves.
        moves = {"reshape", "slice", "concat", "transpose"}
        others = sum(operator.kind not in moves for operator in graph.operators)
        assert cycles(graph, one) == pytest.approx(graph.macs + others)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("add 0,1 > 1x32x10x10", 3200 / 32, id="one_operation_a_result"),
        pytest.param("add 0,1 > 1x32x10x10 act=relu", 3200 / 32, id="fused_activation_is_free"),
        pytest.param("activation 0 > 1x32x10x10 act=relu", 3200 / 32, id="activation_alone"),
        pytest.param("max_pool 0 > 1x32x5x5 k=3x3 s=2x2", 9 * 800 / 32, id="a_window_a_result"),
        pytest.param("mean 0 > 1x32x1x1", 3200 / 32, id="mean_reads_all"),
        pytest.param("softmax 0 > 1x32x10x10", 3 * 3200 / 32, id="softmax_in_three_steps"),
        pytest.param("reshape 0 > 1x3200", 0, id="a_view_is_free"),
        pytest.param("add 0,1 > 1x33x10x1", ceil(330 / 32), id="lanes_are_filled_up"),
    ],
)
def test_what_does_not_multiply_runs_on_the_vector_unit(text, expected):
    assert cycles(f"1x32x10x10 1x32x10x10; {text}", UNBOUND) == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["concat", "transpose", "unknown"])
def test_what_only_moves_or_nobody_knows_costs_its_traffic(kind):
    """3200 bytes read and 3200 written at 64 bytes a cycle."""
    text = f"1x32x10x10; {kind} 0 > 1x32x100"
    assert cycles(text, SHIPPED) == pytest.approx(6400 / 64)


def test_a_lookup_reads_the_rows_it_was_asked_for():
    """Ten rows of 8 bytes out of a thousand, at 8 bytes a cycle."""
    assert cycles("1x10; gather 0 > 1x10x8 w=8000", SHIPPED) == pytest.approx(10)


def test_an_addition_reads_both_operands():
    """Three tensors of 3200 bytes at 64 bytes a cycle take longer than 3200 additions by 32."""
    assert cycles("1x32x10x10 1x32x10x10; add 0,1 > 1x32x10x10", SHIPPED) == pytest.approx(150)


def test_a_fully_connected_layer_waits_for_its_weights():
    """One pixel: 1024 * 1000 weights and 1000 biases of 4 bytes at 8 bytes a cycle."""
    text = "1x1024; linear 0 > 1x1000 b=1000 w=1024000 m=1024000"
    assert cycles(text, SHIPPED) == pytest.approx((1_024_000 + 4_000) / 8)
    assert cycles(text, UNBOUND) == pytest.approx(LOAD + 32 * 32 * 63)


@pytest.mark.parametrize(
    ("text", "change", "expected"),
    [
        pytest.param(FULL_TILE, {"dram_bytes_per_s": 8e9}, 1024 / 8 + TILE, id="slow_first_load"),
        pytest.param(
            conv(32, 64), {"dram_bytes_per_s": 8e9}, 1024 / 8 + 2 * TILE, id="second_load_hidden"
        ),
        pytest.param(conv(32, 64), {"dram_bytes_per_s": 4e9}, 1024 / 4 + 2 * TILE, id="just_so"),
        pytest.param(conv(32, 64), {"dram_bytes_per_s": 2e9}, 2048 / 2, id="dram_bound"),
        pytest.param(FULL_TILE, {"sram_bytes_per_s": 8e9}, LOAD + 6400 / 8, id="sram_bound"),
        pytest.param(
            conv(32, 64),
            {"sram_bytes_per_s": 8e9},
            LOAD + (2 * 3200 + 6400) / 8,
            id="inputs_read_once_for_every_column_of_tiles",
        ),
    ],
)
def test_the_slowest_of_array_and_memories_counts(text, change, expected):
    assert cycles(text, replace(UNBOUND, **change)) == pytest.approx(expected)


def test_what_does_not_fit_spills_and_weights_are_read_again():
    """6400 bytes alive in 3200 bytes of SRAM: half of both tensors in DRAM, and two passes."""
    design = replace(SHIPPED, sram_bytes=3200)
    second_read, spilled = 1024, 6400 / 2
    assert cycles(FULL_TILE, design) == pytest.approx(1024 / 8 + (second_read + spilled) / 8)
    assert cycles(FULL_TILE, replace(design, dram_bytes_per_s=1e24)) == pytest.approx(
        LOAD + 100 + 2 * 62
    )


def test_what_just_fits_does_not_spill():
    roomy, exact = replace(SHIPPED, sram_bytes=0), replace(SHIPPED, sram_bytes=6400)
    chain = f"{FULL_TILE}; conv 1 > 1x32x10x10 w=1024 m=102400"
    assert measure(parse_signature(chain), exact) == measure(parse_signature(chain), roomy)
    assert cycles(chain, replace(exact, sram_bytes=6399)) > cycles(chain, roomy)


def test_a_residual_pays_for_the_room_it_took():
    """The sum fits, but its operand was pushed out while the branch needed the room."""
    head = "1x32x10x10; conv 0 > 1x128x10x10 w=4096 m=409600; conv 1 > 1x32x10x10 w=4096 m=409600"
    graph = parse_signature(f"{head}; add 0,2 > 1x32x10x10")
    fitting, tight = (measure(graph, replace(SHIPPED, sram_bytes=n)) for n in (0, 9_600))
    assert tight.operators_ms[-1] > fitting.operators_ms[-1]


@pytest.mark.parametrize("design", [SHIPPED, TIGHT, UNBOUND], ids=["shipped", "tight", "unbound"])
@pytest.mark.parametrize(
    "grow",
    [
        pytest.param(lambda n: conv(n, 48, kernel=3), id="channels_in"),
        pytest.param(lambda n: conv(48, n, kernel=3), id="channels_out"),
        pytest.param(lambda n: conv(48, 48, pixels=n), id="pixels"),
        pytest.param(lambda n: depthwise(n, 3), id="depthwise_channels"),
        pytest.param(lambda n: f"1x{n}; linear 0 > 1x{n} w={n * n} m={n * n}", id="linear"),
    ],
)
def test_more_work_is_never_faster(grow, design):
    found = [cycles(grow(n), design) for n in range(1, 200)]
    assert (np.diff(found) >= -1e-9).all()


def test_the_staircase_has_steps_of_32_channels():
    """Where the array is the bottleneck, latency changes at 32n + 1 and nowhere else."""
    found = np.array([cycles(conv(32, n, pixels=400), UNBOUND) for n in range(1, 130)])
    assert [n + 2 for n in np.flatnonzero(np.diff(found) > 1e-6)] == [33, 65, 97, 129]


@pytest.mark.parametrize("field", ["sram_bytes", "sram_bytes_per_s", "dram_bytes_per_s"])
def test_twice_the_memory_or_its_bandwidth_never_slows(sample, field):
    better = replace(TIGHT, **{field: 2 * getattr(TIGHT, field)})
    pairs = [(measure(g, better).latency_ms, measure(g, TIGHT).latency_ms) for g in sample]
    assert all(after <= before * (1 + 1e-12) for after, before in pairs)
    assert any(after < before for after, before in pairs)


def test_half_the_clock_doubles_what_the_array_takes_and_not_what_dram_takes():
    half = {"clock_hz": SHIPPED.clock_hz / 2}
    linear = parse_signature("1x1024; linear 0 > 1x1000 w=1024000 m=1024000")
    slow_dram = replace(SHIPPED, dram_bytes_per_s=1e9)
    for graph, design, ratio in ((parse_signature(FULL_TILE), UNBOUND, 2), (linear, slow_dram, 1)):
        slow = measure(graph, replace(design, **half)).latency_ms
        assert slow == pytest.approx(ratio * measure(graph, design).latency_ms)


@pytest.mark.parametrize("design", [SHIPPED, TIGHT], ids=["shipped", "tight"])
def test_no_subgraph_is_faster_than_its_macs_on_a_full_array(sample, design):
    for graph in sample:
        found = measure(graph, design)
        assert isfinite(found.latency_ms)
        assert found.latency_ms > 0
        roofline_s = graph.macs / (design.rows * design.columns * design.clock_hz)
        assert found.latency_ms >= roofline_s * 1e3


@pytest.mark.parametrize("design", [SHIPPED, TIGHT], ids=["shipped", "tight"])
def test_operators_add_up_and_the_answer_is_the_same_again(sample, design):
    for graph in sample:
        found = measure(graph, design)
        assert len(found.operators_ms) == len(graph.operators)
        assert sum(found.operators_ms) == pytest.approx(found.latency_ms)
        assert measure(graph, design) == found


def test_memory_and_constants_are_those_of_the_estimator(sample):
    hardware = read_hardware(PROFILE)
    for graph in sample:
        found = measure(graph, SHIPPED)
        assert found.peak_memory_bytes == peak_memory_bytes(graph, hardware)
        assert found.weight_bytes == weight_bytes(graph, hardware)
        assert found.macs == graph.macs


def test_a_network_that_fits_takes_the_sum_of_its_subgraphs():
    """What crosses a cut lies in SRAM on both sides of it."""
    space = classification.space()
    with torch.device("meta"):
        network, x = space.build(space.baseline), space.example_input(space.baseline)
    graph = trace(network, x)
    parts = sum(measure(part, SHIPPED).latency_ms for part in subgraphs(graph))
    assert measure(graph, SHIPPED).peak_memory_bytes <= SHIPPED.sram_bytes
    assert measure(graph, SHIPPED).latency_ms == pytest.approx(parts)


class Attention(nn.Module):
    """Softmax over all pairs of tokens: products of two activations."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(x @ x.transpose(1, 2), dim=-1) @ x


def test_a_product_of_activations_loads_no_weights_from_dram():
    graph = trace(Attention(), torch.zeros(1, 64, 32))
    fast, slow = SHIPPED, replace(SHIPPED, dram_bytes_per_s=1.0)
    assert measure(graph, slow) == measure(graph, fast)
    assert measure(graph, fast).macs == 2 * 64 * 64 * 32
