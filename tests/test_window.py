"""Padding recovered from sizes, against torch's own window arithmetic."""

from itertools import product

import pytest
import torch
from torch import nn

from nas_ray.measure.window import explicit_padding, is_same, is_valid

CASES = [
    (size, kernel, stride, padding, dilation)
    for size, kernel, stride, padding, dilation in product(
        (7, 8, 13), (1, 2, 3, 5), (1, 2, 3), (0, 1, 2), (1, 2)
    )
    if 2 * padding <= kernel and (kernel - 1) * dilation < size
]


@pytest.mark.parametrize("dilation", [1, 2], ids=["dense", "dilated"])
def test_the_recovered_padding_gives_the_size_that_torch_gives(dilation):
    """Height and width differ, so that mixing them up shows."""
    for size, kernel, stride, padding, _ in (case for case in CASES if case[4] == dilation):
        layer = nn.Conv2d(1, 1, kernel, stride, padding, dilation, device="meta")
        before = (size, size + 3)
        after = tuple(layer(torch.empty(1, 1, *before, device="meta")).shape[2:])
        window = ((kernel - 1) * dilation + 1,) * 2
        pads = explicit_padding(before, after, window, (stride, stride))
        grown = tuple(b + sum(pair) for b, pair in zip(before, pads, strict=True))
        assert is_valid(grown, after, window, (stride, stride))
        assert all(end - start in {0, 1} for start, end in pads)


@pytest.mark.parametrize(
    ("before", "after", "stride", "same"),
    [
        ((8, 8), (8, 8), (1, 1), True),
        ((8, 7), (4, 4), (2, 2), True),
        ((9, 9), (4, 4), (2, 2), False),
        ((8, 8), (8, 4), (1, 2), True),
        ((8, 8), (10, 10), (1, 1), False),
    ],
    ids=["stride_1", "odd_rounds_up", "rounded_down", "other_strides", "larger"],
)
def test_same_padding_is_one_position_for_every_stride_begun(before, after, stride, same):
    assert is_same(before, after, stride) is same
