"""Depth: how many layers with weights a signal passes on its longest way."""

from torch import Tensor, nn

from nas_ray.zero_shot.layers import counted
from nas_ray.zero_shot.passes import Passes


def depth(network: nn.Module, batch: Tensor) -> float:
    """Weight layers on the longest path from input to output; higher is better.

    Convolutions, linear layers and whatever else joins a parameter of two or more dimensions;
    branches that lead nowhere or are multiplied by 0 have no part in it. `batch` is `(N, ...)`
    with N >= 2. Raises ScoreError where the outputs do not depend on the input.
    """
    return depth_of(Passes(network, batch))


def depth_of(passes: Passes) -> float:
    """The same from passes that other scores share: one forward."""
    return float(max(counted(passes.forward.path, max).values()))
