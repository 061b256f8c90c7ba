"""Random subgraphs of the kind real networks are made of: what a measurement table is filled with.

Each is built as a small module on the meta device and traced, so that a sampled subgraph has
exactly the form that `subgraphs(trace(network))` gives the same block inside a network.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import nn

from nas_ray.graph import Graph, signature, subgraphs, trace
from nas_ray.measure.families import FAMILIES, Sample
from nas_ray.measure.sizes import Sizes

#: Largest number of weights in one sampled subgraph: a fused inverted bottleneck of 240 channels
#: with expansion 6 and kernel 5. A compiler needs seconds for it; one in a hundred is that large.
WEIGHT_LIMIT = 9_000_000
_REJECTIONS_IN_A_ROW = 1_000


def sample_subgraphs(
    count: int, rng: np.random.Generator, channel_multiple: int = 16
) -> Iterator[Graph]:
    """`count` different random subgraphs; three of four are inverted bottlenecks, plain or fused.

    In 60 % any channel count may occur; in the others most are multiples of `channel_multiple`,
    the parallelism factor of the accelerator. The sequence depends on `rng` alone: a longer one
    begins with a shorter one. Ends early where a thousand draws in a row bring nothing new.
    """
    sizes = Sizes(rng=rng, channel_multiple=channel_multiple)
    families, weights = list(FAMILIES), list(FAMILIES.values())
    seen: set[str] = set()
    rejected = 0
    while len(seen) < count and rejected < _REJECTIONS_IN_A_ROW:
        rejected += 1
        family = families[int(rng.choice(len(families), p=weights))]
        for graph in _cut(*_made(sizes, family)):
            key = signature(graph)
            if key not in seen and graph.weight_elements <= WEIGHT_LIMIT and len(seen) < count:
                seen.add(key)
                rejected = 0
                yield graph


def _made(sizes: Sizes, family: Callable[[Sizes], Sample]) -> Sample:
    with torch.device("meta"):
        return family(sizes)


def _cut(model: nn.Module, shape: tuple[int, ...]) -> tuple[Graph, ...]:
    return tuple(
        part.alone() for part in subgraphs(trace(model, torch.empty(shape, device="meta")))
    )
