"""What one network does with one batch: every pass is run when first asked for, then shared.

Notation: `N` samples.
"""

from functools import cached_property

import torch
from torch import Tensor, nn

from nas_ray.errors import ScoreError
from nas_ray.zero_shot.blocks import Edge, block_edges, on_the_way
from nas_ray.zero_shot.entropy import entropies
from nas_ray.zero_shot.loss import loss
from nas_ray.zero_shot.probes import Probes
from nas_ray.zero_shot.untouched import Weights, check_batch, copied, run, stand_ins
from nas_ray.zero_shot.watch import Watch


class Passes:
    """The passes that scores are computed from; a score reads only those it needs.

    `batch` is `(N, ...)` of floating point on the device of `network`. Nothing here touches the
    network. Raises ScoreError for what is no batch and for a network without weights.
    """

    def __init__(self, network: nn.Module, batch: Tensor) -> None:
        check_batch(batch, samples=1)
        stand_ins(network)
        self.network = network
        self.batch = batch.detach()

    @property
    def name(self) -> str:
        """How messages call the network."""
        return type(self.network).__name__

    @cached_property
    def forward(self) -> "Forward":
        """One run of the whole batch, watched call by call."""
        check_batch(self.batch, samples=2)
        with torch.inference_mode(mode=False), torch.enable_grad():
            return Forward(self.network, self.batch)

    @cached_property
    def entropies(self) -> list[float]:
        """Entropy of the batch, then of the features of each block, first block first."""
        tensors = self.forward.seen.tensors
        edges = self.forward.edges[-2::-1]  # without the input of the first block
        # A block that ends inside of a library call, such as attention, was not seen.
        features = [tensors[edge] for edge in edges if edge in tensors and tensors[edge].ndim >= 2]
        if not features:
            raise ScoreError(
                "expressivity and progressivity look at the features `(N, C, ...)` between blocks, "
                f"but {self.name} has none that could be seen. Leave its loss out of forward()."
            )
        return entropies(self.batch, features)

    @cached_property
    def norms(self) -> list[float]:
        """Spectral norm of the Jacobian of each block, last block first: one backward pass."""
        forward = self.forward
        with torch.inference_mode(mode=False), torch.enable_grad():
            probes = Probes(forward.edges)
            ones = [torch.ones_like(value) for value in forward.outputs]
            torch.autograd.grad(forward.outputs, forward.leaf, ones)
        return probes.norms

    @cached_property
    def gradients(self) -> list[Weights]:
        """Gradients of the loss by the weights, by name, on each half of the batch."""
        check_batch(self.batch, samples=4)  # a batch norm needs two samples
        half = len(self.batch) // 2
        return [self._gradients(part) for part in (self.batch[:half], self.batch[half : 2 * half])]

    def _gradients(self, part: Tensor) -> Weights:
        with torch.inference_mode(mode=False), torch.enable_grad():
            weights = differentiable(self.network)
            value = loss(run(self.network, weights, copied(part)))
            if not value.requires_grad:
                raise cut_off(self.name)
            wanted = [weight for weight in weights.values() if weight.requires_grad]
            names = [name for name, weight in weights.items() if weight.requires_grad]
            found = torch.autograd.grad(value, wanted, materialize_grads=True)
        return dict(zip(names, found, strict=True))


class Forward:
    """One watched run: its outputs, and the autograd graph between them and the batch."""

    def __init__(self, network: nn.Module, batch: Tensor) -> None:
        self._name = type(network).__name__
        self.leaf = batch.clone().requires_grad_()
        inputs = copied(self.leaf)  # nobody overwrites a leaf
        source = inputs.grad_fn
        with Watch(len(batch)) as self.seen:
            results = run(network, differentiable(network), inputs)
        self.outputs = [value for value in results if value.requires_grad]
        nodes = [value.grad_fn for value in self.outputs if value.grad_fn is not None]
        self._path = list(on_the_way(nodes, source)) if source is not None else []
        self._ends = nodes
        self._edges = block_edges(self.outputs, source) if source is not None else []

    @property
    def path(self) -> list[torch.autograd.graph.Node]:
        """The nodes between outputs and inputs, each before what it is made from."""
        if not self._path:
            raise cut_off(self._name)
        return self._path

    @property
    def ends(self) -> list[torch.autograd.graph.Node]:
        """Those of the path that make the outputs."""
        on_path = set(self.path)
        return [node for node in self._ends if node in on_path]

    @property
    def edges(self) -> list[Edge]:
        """The tensors between blocks, from the last block's output to the first one's input."""
        if len(self._edges) < 2:
            raise cut_off(self._name)
        return self._edges


def differentiable(network: nn.Module) -> Weights:
    """Stand-ins for the parameters, of which those that are weights ask for a gradient.

    A weight has two or more dimensions: by this `block_edges` tells where layers are.
    """
    weights = stand_ins(network)
    for value in weights.values():
        value.requires_grad_(value.ndim >= 2)
    return weights


def cut_off(name: str) -> ScoreError:
    """The error of a network whose outputs depend on no weights, or not through the input."""
    return ScoreError(
        "the score follows gradients from the outputs through weights to the input, but in "
        f"{name} no weights lie between the input and an output that depends on it. Take no_grad, "
        "detach, products with 0 and non-differentiable calls out of forward()."
    )
