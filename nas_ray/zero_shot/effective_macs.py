"""Effective MACs: how much of what the network computes reaches its outputs."""

from torch import Tensor, nn

from nas_ray.zero_shot.passes import Passes


def effective_macs(network: nn.Module, batch: Tensor) -> float:
    """Multiply-accumulates for one sample on paths from input to output; higher is better.

    As `complexity`, without branches that are never used, cut off from the input or multiplied by
    0. `batch` is `(N, ...)` with N >= 2. Raises ScoreError where the outputs do not depend on the
    input.
    """
    return effective_macs_of(Passes(network, batch))


def effective_macs_of(passes: Passes) -> float:
    """The same from passes that other scores share: one forward."""
    path = set(passes.forward.path)
    layers = passes.forward.seen.layers
    return float(sum(layer.macs for layer in layers if layer.node in path))
