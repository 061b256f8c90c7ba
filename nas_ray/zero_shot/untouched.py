"""Run a network on stand-ins for its weights and buffers, so that the network is never touched.

What is never touched need not be restored: autograd sees the stand-ins, batch norms write to
copies. Only the mode of the modules and the global RNG change during a run; both are put back.
"""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm
from torch.overrides import TorchFunctionMode

from nas_ray.errors import ScoreError

Weights = dict[str, Tensor]

_COPYING: dict[Any, Any] = {Tensor.view: Tensor.reshape, Tensor.view_as: Tensor.reshape_as}
_BATCH_NORM = inspect.signature(batch_norm)


def stand_ins(network: nn.Module) -> Weights:
    """The parameters of `network` by name, cut off from autograd; they share its memory.

    Raises ScoreError where there is no weight to score: no parameter of two or more dimensions.
    """
    weights = {name: value.detach() for name, value in network.named_parameters()}
    if not any(value.ndim >= 2 for value in weights.values()):
        raise ScoreError(
            "a zero-shot score looks at the weights of convolutions and linear layers, but "
            f"{type(network).__name__} has {len(weights)} parameters and none of two or more "
            "dimensions. Score the network that is trained, not a wrapper around its config."
        )
    return weights


def check_batch(batch: Tensor, samples: int) -> None:
    """Raise ScoreError unless `batch` holds at least `samples` samples of floating point."""
    if not batch.is_floating_point() or batch.ndim < 2 or len(batch) < samples:
        raise ScoreError(
            f"the batch of a zero-shot score is floating point, `(N, ...)` with N >= {samples}, "
            f"but got {batch.dtype} of shape {tuple(batch.shape)}. Random numbers will do: "
            "torch.randn(16, 3, 32, 32)."
        )


def copied(batch: Tensor) -> Tensor:
    """A copy that a network may overwrite, of images channels last: the faster layout anywhere."""
    layout = torch.channels_last if batch.ndim == 4 else torch.contiguous_format
    return batch.clone(memory_format=layout)


def run(network: nn.Module, weights: Weights, inputs: Tensor) -> list[Tensor]:
    """All floating-point tensors in what `network` returns for `inputs`, which it may overwrite.

    `weights` stand in for the parameters. Dropout is off; batch norms use the statistics of the
    batch, as in the first training step, whatever mode the network is in.
    """
    buffers = {
        name: value.detach().to(inputs.dtype if value.is_floating_point() else None, copy=True)
        for name, value in network.named_buffers()
    }
    with _eval_mode(network), _fixed_rng(inputs.device), _FirstStep():
        result = torch.func.functional_call(network, {**weights, **buffers}, (inputs,))
    return [value for value in _tensors_in(result) if value.is_floating_point()]


class _FirstStep(TorchFunctionMode):
    """Batch norms normalise with the statistics of the batch and keep no running ones.

    And `view` may copy: a network written for contiguous images then takes channels-last ones.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if not kwargs and not any(isinstance(size, torch.dtype) for size in args):
            func = _COPYING.get(func, func)
        if func is not batch_norm:
            return func(*args, **(kwargs or {}))
        call = _BATCH_NORM.bind(*args, **(kwargs or {}))
        call.arguments |= {"running_mean": None, "running_var": None, "training": True}
        return func(*call.args, **call.kwargs)


@contextmanager
def _eval_mode(network: nn.Module) -> Iterator[None]:
    # Not network.eval(): people override it, and it does not remember the mode module by module.
    training = [module for module in network.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def _fixed_rng(device: torch.device) -> Iterator[None]:
    """What still draws in eval mode (a functional dropout) draws the same every time."""
    on_gpu = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if on_gpu else []):
        # Not torch.manual_seed: it would also seed the GPUs that are not put back.
        torch.default_generator.manual_seed(0)
        if on_gpu:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(0)
        yield


def _tensors_in(result: Any) -> Iterator[Tensor]:
    if isinstance(result, Tensor):
        yield result
    elif isinstance(result, Mapping):
        yield from _tensors_in(list(result.values()))
    elif isinstance(result, (list, tuple)):
        for value in result:
            yield from _tensors_in(value)
