"""ZiCo: are gradients large and alike from batch to batch? (Li et al., 2023)."""

from math import inf

import torch
from torch import Tensor, nn

from nas_ray.zero_shot.passes import Passes


def zico(network: nn.Module, batch: Tensor) -> float:
    """Sum over layers of log sum of mean |g| / std g (Li et al., 2023); higher is better.

    Mean and standard deviation of the gradient g of each weight are over two batches: the halves
    of `batch` `(N, ...)`, N >= 4. Weights whose gradients agree exactly are left out, as are layers
    without others; -inf where no layer is left. What the loss is, `loss.py` says.
    """
    return zico_of(Passes(network, batch))


def zico_of(passes: Passes) -> float:
    """The same from passes that other scores share: a forward and backward of each half."""
    first, second = passes.gradients
    layers = [_ratio(first[name], second[name]) for name in first]
    return sum(float(ratio.log()) for ratio in layers if ratio > 0) if any(layers) else -inf


def _ratio(first: Tensor, second: Tensor) -> Tensor:
    mean = (first.abs() + second.abs()) / 2
    deviation = (first - second).abs() / 2  # of two values, over the number of values
    known = deviation > 0
    return torch.where(known, mean / deviation.where(known, torch.ones(())), 0).double().sum()
