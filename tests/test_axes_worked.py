"""How far an operator works along its axes, and whose channels it joins, by hand."""

import pytest
import torch
from torch import nn

from nas_ray.estimate.axes_worked import averaged_window, extent, joint_steps
from nas_ray.graph import trace


class _Applied(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function
        self.conv = nn.Conv2d(4, 24, 1)

    def forward(self, x):
        return self.function(self.conv(x))


def graph_of(function, height=6, width=10):
    return trace(_Applied(function), (torch.empty(1, 4, height, width),))


def last_operator(function):
    graph = graph_of(function)
    operator = next(o for o in reversed(graph.operators) if o.kind not in {"conv", "reshape"})
    before, after = (graph.tensors[i] for i in (operator.inputs[0], operator.outputs[0]))
    return operator, before, after


#: What is done to 24 channels of 6 x 10, how many numbers each result is made of, and the window.
ALONG = {
    "all of an image": (lambda x: x.mean((2, 3)), 60, (6, 10)),
    "height": (lambda x: x.mean(2, keepdim=True), 6, (6, 1)),
    "width": (lambda x: x.mean(3, keepdim=True), 10, (1, 10)),
    "width, dropped": (lambda x: x.mean(3), 10, (1, 10)),
    "channels": (lambda x: x.mean(1, keepdim=True), 24, (1, 1)),
    "everything": (lambda x: x.mean((1, 2, 3)), 1440, (1, 1)),
    "largest": (lambda x: x.amax((2, 3), keepdim=True), 60, (1, 1)),
    "softmax of channels": (lambda x: x.softmax(1), 24, (1, 1)),
    "softmax of rows": (lambda x: x.softmax(3), 10, (1, 1)),
    "a group norm": (nn.GroupNorm(4, 24), 360, (1, 1)),
    "an instance norm": (nn.InstanceNorm2d(24), 60, (1, 1)),
    "a sum of two": (lambda x: x + 1.5 * x.flip(2), 1, (1, 1)),
}


@pytest.mark.parametrize(("function", "count", "window"), ALONG.values(), ids=ALONG)
def test_numbers_of_a_result_and_the_window_of_a_mean(function, count, window):
    """A mean of whole lines of an image is a pooling with their length as its window."""
    operator, before, after = last_operator(function)
    assert extent(operator, before, after) == count
    assert averaged_window(operator, before) == window


def test_a_joint_of_channels_knows_what_they_divide_by():
    """Two maps of 24 are joined, one of them cut from 48 before: all steps are of 24."""
    conv = nn.Conv2d(24, 48, 1)

    def joined(x):
        half, other = conv(x).chunk(2, dim=1)
        return torch.cat([nn.functional.relu(half), other * other], dim=1)

    graph = graph_of(joined)
    steps = dict(zip((o.kind for o in graph.operators), joint_steps(graph), strict=True))
    assert steps["slice"] == (0, 0)
    assert steps["activation"] == (24, 24)
    assert steps["mul"] == (24, 24)
    assert steps["concat"] == (0, 0)


def test_a_joint_along_another_axis_is_none_of_channels():
    """Rows are joined: where channels begin in memory does not change."""
    graph = graph_of(lambda x: torch.cat([x.relu(), x.sigmoid()], dim=2))
    assert set(joint_steps(graph)) == {(0, 0)}
