"""Probe the Jacobians of a network's blocks with random signs, all in one backward pass.

Notation: `N` samples, `C` channels (the second axis), `P` positions (samples times all other axes).
"""

from collections.abc import Sequence
from math import ceil, gcd, prod

import torch
from torch import Tensor
from torch.nn.functional import pad

from nas_ray.zero_shot.blocks import Edge

# Positions that are enough for the estimate; the early layers have many times as many.
_POSITIONS = 1024
# Steps of the power iteration: within a few per cent where many singular values are alike.
_ITERATIONS = 16
_TINY = 1e-6


class Probes:
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
        self._sent = _signs(arrived, self._generator)
        return (*gradients[:index], self._sent, *gradients[index + 1 :])


def _signs(like: Tensor, generator: torch.Generator) -> Tensor:
    """Random signs of the shape and layout of `like`."""
    # Eight from the bytes of each number that is drawn.
    drawn = torch.randint(-(2**62), 2**62, (ceil(like.numel() / 8),), generator=generator)
    signs = (drawn.view(torch.uint8)[: like.numel()] & 1).to(like).mul_(2).sub_(1)
    if like.ndim == 4 and like.is_contiguous(memory_format=torch.channels_last):
        samples, channels, height, width = like.shape
        return signs.reshape(samples, height, width, channels).permute(0, 3, 1, 2)
    return signs.reshape(like.shape)


def spectral_norm(arrived: Tensor, sent: Tensor) -> float:
    """Spectral norm of a Jacobian by its product with random signs.

    `sent` are the signs `(N, C_out, ...)`, `arrived` is what the Jacobian made of them
    `(N, C_in, ...)`. As in AZ-NAS, the Jacobian is estimated by arrived' sent / P over all
    positions, where an input position is a further channel of the output position it lies in.
    AZ-NAS divides by P because sent' sent / P is nearly the identity where P is much larger than
    C. In deep layers of small images it is not, so the norm of sent' sent divides here: the same
    in the limit, and exact at any P for a multiple of an orthogonal map.
    """
    arrived, sent = (g.reshape(1, 1) if g.ndim == 0 else g for g in (arrived, sent))
    if len(arrived) != len(sent):
        arrived, sent = _same_rows(arrived, sent)
    axes = max(arrived.ndim, sent.ndim)
    arrived, sent = (g.reshape(*g.shape, *[1] * (axes - g.ndim)) for g in (arrived, sent))
    grid = [min(sizes) for sizes in zip(arrived.shape[2:], sent.shape[2:], strict=True)]
    enough = ceil(_POSITIONS / prod(grid))
    arrived, sent = (_folded(g[:enough], grid) for g in (arrived, sent))
    return _norm(arrived, sent) / _norm(sent, sent)


def _same_rows(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Both as matrices of as many rows: a linear layer runs `(N, T, C)` tokens as `(N * T, C)`."""
    rows = max(len(one), len(other))
    if one.numel() % rows or other.numel() % rows:
        rows = gcd(len(one), len(other))
    return one.reshape(rows, -1), other.reshape(rows, -1)


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
    columns = a.shape[1], b.shape[1]
    # To multiply the two once costs more than the products of all steps where both are wide.
    is_wide = prod(columns) > 4 * _ITERATIONS * sum(columns)
    factors = [b, a.T] if is_wide or len(b) < b.shape[1] else [a.T @ b]
    vector = torch.randn(b.shape[1], generator=torch.Generator().manual_seed(0)).to(b)
    for _ in range(_ITERATIONS):
        vector = vector / vector.norm().clamp(min=_TINY)
        for factor in factors:
            vector = factor @ vector
        for factor in reversed(factors):
            vector = factor.T @ vector
    return float(vector.norm().sqrt())
