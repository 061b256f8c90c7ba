"""Gradient norm: how steep is the loss at the start? (Abdelfattah et al., 2021)."""

from torch import Tensor, nn

from nas_ray.zero_shot.passes import Passes


def gradient_norm(network: nn.Module, batch: Tensor) -> float:
    """Sum over the weights of the Euclidean norm of the loss's gradient; higher is better.

    The gradient is the mean of those of the two halves of `batch` `(N, ...)`, N >= 4, each
    normalised by its own statistics; what the loss is, `loss.py` says. Raises ScoreError where the
    outputs do not depend on the weights.
    """
    return gradient_norm_of(Passes(network, batch))


def gradient_norm_of(passes: Passes) -> float:
    """The same from passes that other scores share: a forward and backward of each half."""
    first, second = passes.gradients
    return float(sum(((first[name] + second[name]) / 2).norm() for name in first))
