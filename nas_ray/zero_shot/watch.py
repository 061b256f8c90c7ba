"""Watch a running network call by call: codes of its rectifiers, tensors, multiply-accumulates.

Notation: `N` samples.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import Node
from torch.overrides import TorchFunctionMode

from nas_ray.zero_shot.arithmetic import macs
from nas_ray.zero_shot.blocks import Edge
from nas_ray.zero_shot.codes import Codes
from nas_ray.zero_shot.rectifiers import is_rectifier, operand

# Not those in place: others may hold the tensor that they overwrite.
_PRODUCTS = frozenset({"mul", "multiply", "__mul__", "__rmul__"})


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One call that multiplies and accumulates: how often for a sample, and its autograd node."""

    macs: int
    node: Node | None


class Watch(TorchFunctionMode):
    """Collects what scores need from one run; what it returns is what the network computes.

    A product with the number 0 returns zeros that depend on nothing, so that in the autograd graph
    a branch that is multiplied by 0 leads nowhere.
    """

    def __init__(self, samples: int) -> None:
        super().__init__()
        self._samples = samples
        self.codes = Codes(samples)
        self.tensors: dict[Edge, Tensor] = {}
        self.layers: list[Layer] = []

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if _is_product_with_0(func, args, kwargs):
            return torch.zeros_like(args[0])
        if is_rectifier(func):
            self.codes.add(operand(args, kwargs).detach())
        result = func(*args, **kwargs)
        if isinstance(result, Tensor) and result.grad_fn is not None:
            self.tensors[result.grad_fn, result.output_nr] = result.detach()
        count = macs(func, args, kwargs, result)
        if count:
            self._add(count, result)
        return result

    def _add(self, count: int, result: Any) -> None:
        first = result[0] if isinstance(result, tuple) else result
        self.layers.append(Layer(macs=count // self._samples, node=first.grad_fn))


def _is_product_with_0(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    if getattr(func, "__name__", "") not in _PRODUCTS or len(args) != 2 or kwargs:
        return False
    return isinstance(args[0], Tensor) and isinstance(args[1], (int, float)) and args[1] == 0
