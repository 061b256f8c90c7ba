"""Expressivity: do features fill the channels they have? (AZ-NAS, Lee & Ham, 2024)."""

from torch import Tensor, nn

from nas_ray.zero_shot.passes import Passes


def expressivity(network: nn.Module, batch: Tensor) -> float:
    """Sum over the blocks of the entropy of their features (AZ-NAS); higher is better.

    The entropy of a block is that of the normalised eigenvalues of the covariance between the
    channels of its output: log C where all C are used alike. `batch` is `(N, ...)` with N >= 2.
    What a block is, `blocks.py` says; the head counts only where there is nothing else.
    """
    return expressivity_of(Passes(network, batch))


def expressivity_of(passes: Passes) -> float:
    """The same from passes that other scores share: one forward."""
    return sum(passes.entropies[1:])
