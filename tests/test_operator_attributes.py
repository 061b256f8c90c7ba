"""Attributes of operators, each worked out by hand from the shapes in a signature."""

import pytest

from nas_ray.estimate.operator_attributes import ATTRIBUTES, attributes_of
from nas_ray.graph import parse_signature

TABLE = {
    "plain_convolution": (
        "1x3x16x20; conv 0 > 1x8x14x9 k=3x4 s=1x2",
        {"height": 16, "width": 20, "positions": 320, "channels": 3, "channels_out": 8}
        | {"kernel_height": 3, "kernel_width": 4, "kernel_area": 12, "stride_height": 1}
        | {"stride_width": 2, "step": 2, "dilation": 1, "is_padded": 0, "is_same_padded": 0}
        | {"batch": 1, "reduced": 1, "moved": 0, "rows": 1, "channel_step": 1},
    ),
    "padded_on_one_axis": (
        "1x8x16x16; conv 0 > 1x8x16x14 k=3x3",
        {"is_padded": 1, "is_same_padded": 0},
    ),
    "padded_by_dilation": (
        "1x8x16x16; conv 0 > 1x8x14x14 k=3x3 d=2x2",
        {"is_padded": 1, "dilation": 2, "is_same_padded": 0},
    ),
    "one_output_for_each_stride_begun": (
        "1x8x17x17; max_pool 0 > 1x8x9x9 k=3x3 s=2x2",
        {"is_padded": 1, "is_same_padded": 1},
    ),
    "as_many_outputs_without_padding": (
        "1x8x16x16; max_pool 0 > 1x8x8x8 k=2x2 s=2x2",
        {"is_padded": 0, "is_same_padded": 0},
    ),
    "a_stride_that_is_never_taken": (
        "1x8x4x20; conv 0 > 1x8x1x4 k=4x5 s=9x5",
        {"stride_height": 9, "step": 5},
    ),
    "signal": (
        "1x8x64; conv 0 > 1x8x16 k=1x4 s=1x4",
        {"height": 1, "width": 64, "channels": 8, "step": 4},
    ),
    "tokens": ("1x50x8@0; linear 0 > 1x50x4@0", {"height": 1, "width": 50, "channels": 8}),
    "grouped_channels": (
        "1x2x4x6x5; transpose 0 > 1x4x2x6x5",
        {"height": 30, "width": 2, "channels": 4, "batch": 1, "moved": 30 * 4},
    ),
    "windows": ("1x4x7x7x16@0; linear 0 > 1x4x7x7x8@0", {"batch": 4, "positions": 49}),
    "resizing": ("1x8x6x8; resize 0 > 1x8x12x4", {"factor_height": 2, "factor_width": 0.5}),
    "resizing_with_corners": (
        "1x8x6x1; resize 0 > 1x8x11x3 mode=bilinear_corners",
        {"factor_height": 2, "factor_width": 3, "mode": "bilinear_corners"},
    ),
    "global_mean": (
        "1x8x6x5; mean 0 > 1x8x1x1",
        {"is_global": 1, "reduced": 30, "longest_reduced": 6, "reduces_channels": 0},
    ),
    "mean_of_channels_and_rows": (
        "1x8x6x5; mean 0 > 1x1x1x5 axes=1,2",
        {"is_global": 0, "reduced": 48, "longest_reduced": 8, "reduces_channels": 1},
    ),
    "mean_of_tokens": (
        "1x50x8@0; mean 0 > 1x8 axes=1",
        {"is_global": 0, "reduced": 50, "reduces_channels": 0},
    ),
    "softmax_of_scores": (
        "1x3x50x40@0; softmax 0 > 1x3x50x40@0 axes=3",
        {"rows": 150, "moved": 0},
    ),
    "softmax_of_channels": (  # stored as 1 x 6 x 5 x 8, and the channels last already
        "1x8x6x5; softmax 0 > 1x8x6x5",
        {"rows": 30, "moved": 0},
    ),
    "softmax_of_columns": (  # 1 x 6 x 5 x 8 becomes 1 x 6 x 8 x 5
        "1x8x6x5; softmax 0 > 1x8x6x5 axes=3",
        {"rows": 48, "moved": 8},
    ),
    "slice_of_channels": ("1x8x6x5; slice 0 > 1x4x6x5 s=2x1", {"channel_step": 2}),
    "slice_of_rows": ("1x8x6x5; slice 0 > 1x8x3x5 s=2x1 axes=2", {"channel_step": 1}),
    "transposed_tokens": (
        "1x50x8@0; transpose 0 > 1x8x50@0 axes=0,2,1",
        {"moved": 50},
    ),
    "renamed_tokens": ("1x50x8@0; transpose 0 > 1x8x50@1 axes=0,2,1", {"moved": 0}),
    "windows_of_tokens": (  # of 1 x 4 x 7 x 4 x 7 x 16 all but 1 and 4
        "1x4x7x4x7x16@0; transpose 0 > 1x4x4x7x7x16@0 axes=0,1,3,2,4,5",
        {"moved": 7 * 4 * 7 * 16},
    ),
    "flattened_image": ("1x8x6x5; reshape 0 > 1x8x30@1", {"moved": 0}),
    "groups_of_a_norm": (
        "1x8x6x5; layer_norm 0 > 1x8x6x5 g=2 mode=group",
        {"group_channels": 4, "mode": "group"},
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_by_hand(name):
    text, expected = TABLE[name]
    graph = parse_signature(text)
    found = attributes_of(graph, graph.operators[0])
    assert {key: found[key] for key in expected} == expected
    assert sorted(found) == sorted(ATTRIBUTES)
