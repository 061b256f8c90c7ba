"""Progressivity: do features gain expressivity from block to block? (AZ-NAS, Lee & Ham, 2024)."""

from itertools import pairwise

from torch import Tensor, nn

from nas_ray.zero_shot.passes import Passes


def progressivity(network: nn.Module, batch: Tensor) -> float:
    """The smallest gain of entropy from block to block (AZ-NAS); higher is better.

    The entropy is that of `expressivity`; the first block's gain is that over the batch itself.
    `batch` is `(N, ...)` with N >= 2.
    """
    return progressivity_of(Passes(network, batch))


def progressivity_of(passes: Passes) -> float:
    """The same from passes that other scores share: one forward."""
    return min(after - before for before, after in pairwise(passes.entropies))
