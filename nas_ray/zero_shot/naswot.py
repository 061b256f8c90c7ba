"""NASWOT: can the untrained network tell the samples of a batch apart? (Mellor et al., 2021).

Notation: `N` samples, `U` units of one activation.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nas_ray.errors import ScoreError
from nas_ray.zero_shot.rectifiers import is_rectifier, operand
from nas_ray.zero_shot.untouched import check_batch, run, stand_ins

# Two samples with the same code make the kernel singular; this keeps the logarithm finite.
_JITTER = 1e-6


def naswot(network: nn.Module, batch: Tensor) -> float:
    """Log-determinant of the kernel of ReLU codes (Mellor et al., 2021, eq. 2); higher is better.

    `batch` is `(N, ...)` with N >= 2; scores compare at one N only. The code of a unit is the sign
    of what goes into its rectifier, so hard-swish, SiLU and GELU have codes as ReLU has.
    Raises ScoreError for a network without a rectifier.
    """
    check_batch(batch, samples=2)
    weights = stand_ins(network)
    with torch.inference_mode(mode=False), torch.no_grad(), _Codes(len(batch)) as codes:
        run(network, weights, batch.detach().clone())
    if not codes.units:
        raise ScoreError(
            f"naswot compares the codes of ReLU-like activations, but {type(network).__name__} "
            "calls none on a tensor `(N, ...)`: of tanh, sigmoid or a hand-written activation "
            "there is no code. Use synflow and trainability for such a network."
        )
    jitter = _JITTER * torch.eye(len(batch), dtype=torch.float64)
    return float(torch.linalg.slogdet(codes.kernel.cpu() + jitter).logabsdet)


class _Codes(TorchFunctionMode):
    """Sums the kernel `(N, N)`: in how many units two samples have the same code."""

    def __init__(self, samples: int) -> None:
        super().__init__()
        self.units = 0
        self.kernel = torch.zeros(samples, samples, dtype=torch.float64)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if is_rectifier(func):
            self._add(operand(args, kwargs))
        return func(*args, **kwargs)

    def _add(self, before: Tensor) -> None:
        if before.ndim < 2 or len(before) != len(self.kernel):
            return  # a side computation without the axis of samples
        codes = (before.flatten(1) > 0).float()
        # Matches of ones, c c', and of zeros, (1 - c)(1 - c)' = U - s - s' + c c', s = sum of c:
        # one matrix product, exact in float32 up to 2^24 units.
        both = (codes @ codes.T).double().cpu()
        ones = both.diagonal()
        self.kernel += codes.shape[1] - ones[:, None] - ones[None, :] + 2 * both
        self.units += codes.shape[1]
