"""Shapes of convolutions are torch's own, and what torch refuses is left to it."""

import pytest
import torch
from torch.nn.functional import conv1d, conv2d

from nas_ray.graph.shapes import convolution_shape


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", [0, 1, 3])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("groups", [1, 4])
def test_the_shape_is_that_of_torch(stride, padding, dilation, groups):
    x, weight = torch.zeros(1, 8, 13, 10), torch.zeros(12, 8 // groups, 3, 2)
    sizes = ([stride] * 2, [padding] * 2, [dilation] * 2)
    expected = conv2d(x, weight, None, *sizes, groups).shape
    assert convolution_shape(x, weight, None, *sizes, False, [0, 0], groups) == expected


def test_one_axis_too():
    x, weight = torch.zeros(1, 4, 20), torch.zeros(6, 4, 5)
    assert convolution_shape(x, weight, None, [2], [1], [1], False, [0], 1) == (1, 6, 9)
    assert conv1d(x, weight, None, 2, 1).shape == (1, 6, 9)


@pytest.mark.parametrize(
    ("x", "weight"),
    [((1, 3, 8, 8), (4, 2, 3, 3)), ((1, 3, 2, 2), (4, 3, 5, 5)), ((3, 8, 8), (4, 3, 3, 3))],
    ids=["channels_differ", "larger_than_the_image", "no_batch"],
)
def test_what_is_wrong_or_odd_is_left_to_torch(x, weight):
    arguments = (torch.zeros(x), torch.zeros(weight), None, [1, 1], [0, 0], [1, 1])
    assert convolution_shape(*arguments, False, [0, 0], 1) == ()
