"""Unrelated blocks in one network: one answer of a back-end says what many of them cost.

A network has one stem and one softmax but dozens of pointwise convolutions. With medleys a table
holds as many operators of the rare kinds as of the common ones.
"""

import torch

from nas_ray.measure.families import OTHER_KINDS
from nas_ray.measure.families.sample import Sample
from nas_ray.measure.layers import Apply
from nas_ray.measure.sizes import Sizes


def medley(sizes: Sizes) -> Sample:
    """Draw four to twelve blocks of any kind; each has inputs and outputs of its own."""
    makers, shares = list(OTHER_KINDS), list(OTHER_KINDS.values())
    chosen = sizes.rng.choice(len(makers), size=sizes.log_uniform(4, 12), p=shares)
    samples = [makers[int(n)](sizes) for n in chosen]
    blocks = [block for block, *_ in samples]
    counts = [len(shapes) for _, *shapes in samples]

    def each(*inputs: torch.Tensor) -> list[object]:
        given = iter(inputs)
        return [
            block(*(next(given) for _ in range(count)))
            for block, count in zip(blocks, counts, strict=True)
        ]

    return Apply(each, *blocks), *(shape for _, *shapes in samples for shape in shapes)
