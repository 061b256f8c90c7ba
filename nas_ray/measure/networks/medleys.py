"""Unrelated blocks in one network: one answer of a back-end says what many of them cost.

Kinds that networks have one of each, as stems, softmaxes or patches, get as many operators in a
table so as those of which a network is made.
"""

import torch

from nas_ray.measure.families import OTHER_KINDS
from nas_ray.measure.families.sample import Sample
from nas_ray.measure.layers import Apply
from nas_ray.measure.sizes import Sizes


def medley(sizes: Sizes) -> Sample:
    """Four to twelve blocks of any kind, one after the other, each with inputs of its own."""
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
