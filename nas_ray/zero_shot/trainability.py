"""Trainability: do gradients keep their size from block to block? (AZ-NAS, Lee & Ham, 2024)."""

from torch import Tensor, nn

from nas_ray.zero_shot.passes import Passes

# A block that shrinks gradients further counts as one that shrinks them tenfold. Otherwise the one
# block that pools all positions away, which every network has, outweighs all others in the mean.
_SMALLEST = 0.1


def trainability(network: nn.Module, batch: Tensor) -> float:
    """Mean over the blocks of 2 - s - 1/s (AZ-NAS, Lee & Ham, 2024); higher is better, at most 0.

    s is the spectral norm of a block's Jacobian between channels: 1 where the block keeps the size
    of gradients, which training relies on; less than 0.1 counts as 0.1. `batch` is `(N, ...)` with
    N >= 2; labels are not used. What a block is, `blocks.py` says. Raises ScoreError for a network
    without any.
    """
    return trainability_of(Passes(network, batch))


def trainability_of(passes: Passes) -> float:
    """The same from passes that other scores share: one forward and one backward."""
    norms = [max(norm, _SMALLEST) for norm in passes.norms]
    return sum(2 - s - 1 / s for s in norms) / len(norms)
