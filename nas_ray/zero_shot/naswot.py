"""NASWOT: can the untrained network tell the samples of a batch apart? (Mellor et al., 2021)."""

import torch
from torch import Tensor, nn

from nas_ray.errors import ScoreError
from nas_ray.zero_shot.passes import Passes

# Two samples with the same code make the kernel singular; this keeps the logarithm finite.
_JITTER = 1e-6


def naswot(network: nn.Module, batch: Tensor) -> float:
    """Log-determinant of the kernel of ReLU codes (Mellor et al., 2021, eq. 2); higher is better.

    `batch` is `(N, ...)` with N >= 2; scores compare at one N only. The code of a unit is the sign
    of what goes into its rectifier, so hard-swish, SiLU and GELU have codes as ReLU has.
    Raises ScoreError for a network without a rectifier.
    """
    return naswot_of(Passes(network, batch))


def naswot_of(passes: Passes) -> float:
    """The same from passes that other scores share: one forward."""
    codes = passes.forward.seen.codes
    if not codes.units:
        raise ScoreError(
            f"naswot compares the codes of ReLU-like activations, but {passes.name} "
            "calls none on a tensor `(N, ...)`: of tanh, sigmoid or a hand-written activation "
            "there is no code. Use synflow and trainability for such a network."
        )
    kernel = codes.kernel
    jitter = _JITTER * torch.eye(len(kernel), dtype=torch.float64)
    return float(torch.linalg.slogdet(kernel + jitter).logabsdet)
