"""Trainability: do gradients keep their size from block to block? (AZ-NAS, Lee & Ham, 2024).

Notation: `N` samples, `C` channels (the second axis), `P` positions (samples times all other axes).
"""

from collections.abc import Sequence
from math import ceil, prod

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from nas_ray.errors import ScoreError
from nas_ray.zero_shot.blocks import Edge, block_edges
from nas_ray.zero_shot.untouched import check_batch, run, stand_ins

# Positions that are enough for the estimate; the early layers have many times as many.
_POSITIONS = 4096
# Steps of the power iteration: within a few per cent where many singular values are alike.
_ITERATIONS = 16
# A block that lets nothing through counts as one that shrinks gradients this far.
_SMALLEST = 1e-6


def trainability(network: nn.Module, batch: Tensor) -> float:
    """Mean over the blocks of 2 - s - 1/s (AZ-NAS, Lee & Ham, 2024); higher is better, at most 0.

    s is the spectral norm of a block's Jacobian between channels: 1 where the block keeps the size
    of gradients, which training relies on. `batch` is `(N, ...)` with N >= 2; labels are not used.
    What a block is, `blocks.py` says. Raises ScoreError for a network without any.
    """
    check_batch(batch, samples=2)
    weights = stand_ins(network)
    with torch.inference_mode(mode=False), torch.enable_grad():
        for value in weights.values():
            value.requires_grad_(value.ndim >= 2)  # by this `block_edges` tells where weights are
        leaf = batch.detach().clone().requires_grad_()
        inputs = leaf.clone()  # the network may overwrite its inputs, but nobody overwrites a leaf
        source = inputs.grad_fn
        outputs = [value for value in run(network, weights, inputs) if value.requires_grad]
        edges = block_edges(outputs, source) if source is not None else []
        if len(edges) < 2:
            raise ScoreError(
                "trainability follows gradients from block to block, but in "
                f"{type(network).__name__} no weights lie between the input and an output that "
                "depends on it. Take no_grad, detach and non-differentiable calls out of forward()."
            )
        probes = _Probes(edges)
        torch.autograd.grad(outputs, leaf, [torch.ones_like(value) for value in outputs])
    norms = (max(norm, _SMALLEST) for norm in probes.norms)
    return sum(2 - s - 1 / s for s in norms) / len(probes.norms)


class _Probes:
    """Random signs put in the place of the gradient at every edge, in one backward pass.

    What arrives at an edge is then the product of the signs at the edge before with the Jacobian
    of the block between the two, and of no other block.
    """

    def __init__(self, edges: Sequence[Edge]) -> None:
        self.norms: list[float] = []
        self._generator = torch.Generator().manual_seed(0)
        self._sent: Tensor | None = None
        for node, index in edges:
            node.register_prehook(lambda gradients, index=index: self._exchange(gradients, index))

    def _exchange(self, gradients: tuple[Tensor, ...], index: int) -> tuple[Tensor, ...]:
        arrived = gradients[index]
        if self._sent is not None:
            self.norms.append(spectral_norm(arrived, self._sent))
        bits = torch.randint(0, 2, arrived.shape, generator=self._generator, dtype=torch.int8)
        self._sent = bits.to(arrived).mul_(2).sub_(1)
        return (*gradients[:index], self._sent, *gradients[index + 1 :])


def spectral_norm(arrived: Tensor, sent: Tensor) -> float:
    """Spectral norm of a Jacobian by its product with random signs.

    `sent` are the signs `(N, C_out, ...)`, `arrived` is what the Jacobian made of them
    `(N, C_in, ...)`. As in AZ-NAS, the Jacobian is estimated by arrived' sent / P over all
    positions, where an input position is a further channel of the output position it lies in.
    AZ-NAS divides by P because sent' sent / P is nearly the identity where P is much larger than
    C. In deep layers of small images it is not, so the norm of sent' sent divides here: the same
    in the limit, and exact at any P for a multiple of an orthogonal map.
    """
    axes = max(arrived.ndim, sent.ndim)
    arrived, sent = (g.reshape(*g.shape, *[1] * (axes - g.ndim)) for g in (arrived, sent))
    grid = [min(sizes) for sizes in zip(arrived.shape[2:], sent.shape[2:], strict=True)]
    enough = ceil(_POSITIONS / prod(grid))
    arrived, sent = (_folded(g[:enough], grid) for g in (arrived, sent))
    return _norm(arrived, sent) / _norm(sent, sent)


def _folded(gradient: Tensor, grid: Sequence[int]) -> Tensor:
    """`(N, C, ...)` as `(P, C * positions in a cell)`, the positions being cells of `grid`."""
    samples, channels, *sizes = gradient.shape
    folds = [max(1, round(size / cells)) for size, cells in zip(sizes, grid, strict=True)]
    split = [n for pair in zip(grid, folds, strict=True) for n in pair]
    # Sizes that do not divide are padded or cropped at the end. `pad` begins with the last axis.
    missing = [c * f - size for c, f, size in zip(grid, folds, sizes, strict=True)]
    padded = pad(gradient, [n for m in reversed(missing) for n in (0, m)])
    cells = padded.reshape(samples, channels, *split)
    axes = range(2, cells.ndim)
    return cells.permute(0, *axes[::2], 1, *axes[1::2]).reshape(-1, channels * prod(folds)).float()


def _norm(a: Tensor, b: Tensor) -> float:
    """Spectral norm of a' b for matrices `(P, ...)`, by power iteration."""
    factors = [a.T @ b] if len(b) >= b.shape[1] else [b, a.T]
    vector = torch.randn(b.shape[1], generator=torch.Generator().manual_seed(0)).to(b)
    for _ in range(_ITERATIONS):
        vector = vector / vector.norm().clamp(min=_SMALLEST)
        for factor in factors:
            vector = factor @ vector
        for factor in reversed(factors):
            vector = factor.T @ vector
    return float(vector.norm().sqrt())
