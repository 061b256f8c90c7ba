"""Zen-score: how far does a network of Gaussian weights bend its space? (Lin et al., 2021)."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nas_ray.zero_shot.passes import Passes
from nas_ray.zero_shot.rectifiers import is_normalisation, is_rectifier, operand
from nas_ray.zero_shot.untouched import Weights, check_batch, copied, run, stand_ins

# How far the second input is from the first, in standard deviations of the input.
_STEP = 1e-2
_TINY = 1e-30


def zen(network: nn.Module, batch: Tensor) -> float:
    """Log of the mean change of the features plus log of what batch norms divided away.

    Lin et al., 2021, algorithm 1; higher is better. Weights and inputs are Gaussian, of a fixed
    seed, so the score says something of the architecture and nothing of its weights; of `batch`
    `(N, ...)`, N >= 2, only shape and device count. The features are those of the last activation
    or normalisation, before positions are pooled away. Residual connections stay, as an arbitrary
    network cannot run without them.
    """
    return zen_of(Passes(network, batch))


def zen_of(passes: Passes) -> float:
    """The same from `passes`, with two forward passes of its own."""
    check_batch(passes.batch, samples=2)
    generator = torch.Generator().manual_seed(0)
    weights = _gaussian(stand_ins(passes.network), generator)
    start, step = (
        torch.randn(passes.batch.shape, generator=generator).to(passes.batch) for _ in range(2)
    )
    with torch.inference_mode(mode=False), torch.no_grad():
        first, log_scale = _features(passes.network, weights, start)
        second, _ = _features(passes.network, weights, start + _STEP * step)
    change = sum((a - b).abs().mean().double() for a, b in zip(first, second, strict=True))
    return float(torch.as_tensor(change).clamp(min=_TINY).log()) + log_scale


def _gaussian(weights: Weights, generator: torch.Generator) -> Weights:
    """Numbers of a normal distribution for weights, 1 for scales and 0 for biases."""
    return {
        name: torch.randn(value.shape, generator=generator).to(value)
        if value.ndim >= 2
        else torch.full_like(value, float(name.endswith("weight")))
        for name, value in weights.items()
    }


def _features(network: nn.Module, weights: Weights, inputs: Tensor) -> tuple[list[Tensor], float]:
    with _Scales() as scales:
        outputs = run(network, weights, copied(inputs))
    return outputs if scales.last is None else [scales.last], scales.log_scale


class _Scales(TorchFunctionMode):
    """Sums the logarithms of what batch norms divide by, and keeps the last features."""

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = 0.0
        self.last: Tensor | None = None

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if is_normalisation(func):
            value = operand(args, kwargs)
            axes = [axis for axis in range(value.ndim) if axis != 1]
            variance = float(value.var(axes).mean())
            self.log_scale += torch.tensor(max(variance, _TINY)).log().item() / 2
        result = func(*args, **kwargs)
        if is_normalisation(func) or is_rectifier(func):
            self.last = result
        return result
