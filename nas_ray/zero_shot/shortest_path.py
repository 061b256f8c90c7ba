"""Shortest path: how few layers with weights lie between input and output."""

from torch import Tensor, nn

from nas_ray.zero_shot.layers import counted
from nas_ray.zero_shot.passes import Passes


def shortest_path(network: nn.Module, batch: Tensor) -> float:
    """Weight layers on the shortest path from input to output: what skips leave of the depth.

    Layers are counted as by `depth`. `batch` is `(N, ...)` with N >= 2. Raises ScoreError where
    the outputs do not depend on the input.
    """
    return shortest_path_of(Passes(network, batch))


def shortest_path_of(passes: Passes) -> float:
    """The same from passes that other scores share: one forward."""
    shortest = counted(passes.forward.path, min)
    return float(min(shortest[node] for node in passes.forward.ends))
