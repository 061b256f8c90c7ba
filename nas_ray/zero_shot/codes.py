"""Codes of a network: which of its units each sample of a batch switches on.

Notation: `N` samples, `U` units of one activation. A unit is one element of what goes into a
rectifier; its pattern are the N bits that say for which samples it is positive.
"""

import torch
from torch import Tensor

# Bits that one float32 holds exactly: patterns of more samples are hashed word by word.
_WORD = 24
# An odd number of 63 bits, so that the hashes of two patterns hardly ever agree.
_HASH = 0x1F83D9ABFB41BD6B


class Codes:
    """The codes of all activations of one run, as far as scores need them."""

    def __init__(self, samples: int) -> None:
        self.units = 0
        self._samples = samples
        self._agreements: list[Tensor] = []
        self._patterns: list[Tensor] = []

    def add(self, before: Tensor) -> None:
        """Take in an activation by the tensor `(N, ...)` that goes into it; others are ignored."""
        if before.ndim < 2 or len(before) != self._samples:
            return  # a side computation without the axis of samples
        # In the order of memory: no copy of a channels-last image. The order of units is all one.
        if before.ndim == 4 and before.is_contiguous(memory_format=torch.channels_last):
            before = before.permute(0, 2, 3, 1)
        flat = before.reshape(self._samples, -1)
        units = flat.shape[1]
        codes = torch.gt(flat, 0, out=torch.empty(flat.shape, device=flat.device))
        # Matches of ones, c c', and of zeros, (1 - c)(1 - c)' = U - s - s' + c c', s = sum of c:
        # one matrix product, exact in float32 up to 2^24 units.
        both = (codes @ codes.T).long()
        ones = both.diagonal()
        self._agreements.append(units - ones[:, None] - ones[None, :] + 2 * both)
        self._patterns.append(_words(codes))
        self.units += units

    @property
    def kernel(self) -> Tensor:
        """In how many units two samples have the same code: `(N, N)`, float64."""
        return torch.stack(self._agreements).sum(0).double().cpu()

    @property
    def distinct_patterns(self) -> int:
        """How many different patterns there are among the units."""
        words = torch.cat(self._patterns)
        if self._samples > _WORD - 4:
            return len(words.unique())
        # A table of all patterns that could be: much faster than sorting those that are.
        met = torch.zeros(2**self._samples, dtype=torch.bool, device=words.device)
        met[words] = True
        return int(met.sum())


def _words(codes: Tensor) -> Tensor:
    """The pattern of each unit of `codes` `(N, U)` as an integer: `(U,)`."""
    words = torch.zeros(codes.shape[1], dtype=torch.int64, device=codes.device)
    for part in codes.split(_WORD):
        bits = 2.0 ** torch.arange(len(part), device=codes.device)
        words = words * _HASH + (bits @ part).long()
    return words
