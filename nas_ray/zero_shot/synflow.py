"""Synflow: how much flows through all paths of the network together (Tanaka et al., 2020)."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nas_ray.errors import ScoreError
from nas_ray.zero_shot.passes import Passes
from nas_ray.zero_shot.rectifiers import is_normalisation, is_rectifier, operand
from nas_ray.zero_shot.untouched import run, stand_ins


def synflow(network: nn.Module, batch: Tensor) -> float:
    """Log of the sum of |w dR/dw| over all weights (Tanaka et al., 2020, eq. 2); higher is better.

    R is the sum of the outputs for an input of ones, one sample of the shape of `batch`, with the
    absolute values of all parameters; weights are the parameters of two or more dimensions. Of
    `batch` only shape and device count. -inf where nothing gets through; raises ScoreError where
    the outputs do not depend on the weights.
    """
    return synflow_of(Passes(network, batch))


def synflow_of(passes: Passes) -> float:
    """The same from `passes`, with a forward and a backward pass of its own."""
    network = passes.network
    with torch.inference_mode(mode=False), torch.enable_grad():
        # float64: without normalisation R is a product over layers and leaves the range of float32.
        absolute = {
            name: value.abs().double().requires_grad_()
            for name, value in stand_ins(network).items()
        }
        with _Linear():
            ones = torch.ones_like(passes.batch[:1], dtype=torch.float64)
            outputs = run(network, absolute, ones)
        weights = [value for value in absolute.values() if value.ndim >= 2]
        total = sum((output.sum() for output in outputs), torch.zeros(()))
        if not total.requires_grad:
            raise ScoreError(
                "synflow differentiates the outputs by the weights, but the outputs of "
                f"{passes.name} are cut off from them. Take no_grad and detach out of "
                "its forward()."
            )
        gradients = torch.autograd.grad(total, weights, materialize_grads=True)
    flow = sum(float((w.detach() * g).abs().sum()) for w, g in zip(weights, gradients, strict=True))
    return float(torch.tensor(flow, dtype=torch.float64).log())


class _Linear(TorchFunctionMode):
    """Rectifiers and normalisations let everything through.

    Synflow is made for a network linear in its input. Rectifiers are linear there already, as no
    value is negative, except those that saturate (ReLU6): they would stop the flow. A batch norm
    would divide away what is to be measured; zero-cost NAS (Abdelfattah et al., 2021) takes
    batch norms out of the network for synflow, and so does this.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if is_rectifier(func) or is_normalisation(func):
            return operand(args, kwargs)
        return func(*args, **kwargs)
