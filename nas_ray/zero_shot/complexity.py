"""Complexity: how much the network computes (AZ-NAS, Lee & Ham, 2024)."""

from torch import Tensor, nn

from nas_ray.zero_shot.passes import Passes


def complexity(network: nn.Module, batch: Tensor) -> float:
    """Multiply-accumulates for one sample (AZ-NAS, Lee & Ham, 2024); higher is better.

    Of convolutions, linear layers, matrix products and attention, whether or not the outputs
    depend on them: `effective_macs` counts only those. `batch` is `(N, ...)` with N >= 2.
    """
    return complexity_of(Passes(network, batch))


def complexity_of(passes: Passes) -> float:
    """The same from passes that other scores share: one forward."""
    return float(sum(layer.macs for layer in passes.forward.seen.layers))
