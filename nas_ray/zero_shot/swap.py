"""SWAP: how many different patterns do the units of the network show? (Peng et al., 2024)."""

from torch import Tensor, nn

from nas_ray.errors import ScoreError
from nas_ray.zero_shot.passes import Passes


def swap(network: nn.Module, batch: Tensor) -> float:
    """Distinct sample-wise patterns of the units (Peng et al., 2024); higher is better.

    The pattern of a unit are the N bits that say which samples of `batch` `(N, ...)` switch it on;
    at most 2^N differ, so scores compare at one N only. Raises ScoreError without a rectifier.
    """
    return swap_of(Passes(network, batch))


def swap_of(passes: Passes) -> float:
    """The same from passes that other scores share: one forward."""
    codes = passes.forward.seen.codes
    if not codes.units:
        raise ScoreError(
            f"swap counts the patterns of ReLU-like activations, but {passes.name} calls none on a "
            "tensor `(N, ...)`. Use synflow and trainability for such a network."
        )
    return float(codes.distinct_patterns)
