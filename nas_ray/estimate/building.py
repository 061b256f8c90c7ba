"""Networks without data: built on the meta device, with the initialisation of weights left out."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._device import _device_constructors

from nas_ray.graph import Graph, trace


class Buildable(Protocol):
    """What a search space must offer to be estimated."""

    def build(self, config: Mapping[str, Any]) -> nn.Module:
        """The network of `config`."""

    def example_input(self, config: Mapping[str, Any]) -> torch.Tensor:
        """An input of that network with batch 1."""


def traced(space: Buildable, config: Mapping[str, Any]) -> Graph:
    """The graph of `config`; raises what building or tracing it raises."""
    with WithoutData():
        network, example_input = space.build(config), space.example_input(config)
    return trace(network, example_input)


class WithoutData(TorchFunctionMode):
    """What `torch.device("meta")` does, and nothing is filled: there is no data to fill.

    A mode belongs to its thread and ends with its `with`. Half the time of building a network
    goes into initialising weights, which have no values on the meta device.
    """

    def __init__(self) -> None:
        super().__init__()
        self._constructors = _device_constructors()

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        if func in _FILLING:
            target = args[0] if args else (kwargs or {}).get("tensor")
            if isinstance(target, torch.Tensor) and target.is_meta:
                return target
        if func in _FILLED and not kwargs and all(type(size) is int for size in args):
            return torch.empty(args, device="meta")
        if func in self._constructors and (kwargs or {}).get("device") is None:
            return func(*args, **{**(kwargs or {}), "device": "meta"})
        return func(*args, **(kwargs or {}))


_FILLING: frozenset[Callable[..., Any]] = frozenset(
    {
        *(getattr(nn.init, name) for name in ("uniform_", "normal_", "trunc_normal_", "constant_")),
        *(getattr(nn.init, name) for name in ("kaiming_uniform_", "kaiming_normal_")),
        *(getattr(torch.Tensor, name) for name in ("fill_", "zero_", "uniform_", "normal_")),
    }
)

_FILLED: frozenset[Callable[..., Any]] = frozenset(
    (torch.zeros, torch.ones, torch.rand, torch.randn)
)
