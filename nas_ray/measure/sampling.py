"""Random subgraphs of the kind real networks are made of: what a measurement table is filled with.

Each is built as a small module on the meta device and traced, so that a sampled subgraph has
exactly the form that `subgraphs(trace(network))` gives the same block inside a network.
"""

from collections.abc import Iterator

import numpy as np
import torch

from nas_ray.graph import Graph, signature, subgraphs, trace
from nas_ray.graph.operators import VIEW_KINDS
from nas_ray.measure.families import FAMILIES, Frequencies, Sample
from nas_ray.measure.sizes import Sizes

#: Largest number of weights in one sampled subgraph: a fused inverted bottleneck of 240 channels
#: with expansion 6 and kernel 5. A compiler needs seconds for it; one in a hundred is that large.
WEIGHT_LIMIT = 9_000_000
_REJECTIONS_IN_A_ROW = 1_000


def sample_subgraphs(
    count: int,
    rng: np.random.Generator,
    channel_multiple: int = 16,
    *,
    families: Frequencies = FAMILIES,
) -> Iterator[Graph]:
    """`count` different random subgraphs, of each family as often as `families` says.

    Most channel counts of a family are multiples of `channel_multiple`, the parallelism factor of
    the accelerator, or any at all. The sequence depends on `rng` alone: a longer one begins with a
    shorter one. Ends early where a thousand draws in a row bring nothing new.
    """
    sizes = Sizes(rng=rng, channel_multiple=channel_multiple)
    makers, weights = list(families), list(families.values())
    seen: set[str] = set()
    rejected = 0
    while len(seen) < count and rejected < _REJECTIONS_IN_A_ROW:
        rejected += 1
        with torch.device("meta"):
            sample = makers[int(rng.choice(len(makers), p=weights))](sizes)
        for graph in _cut(sample):
            key = signature(graph)
            if key not in seen and graph.weight_elements <= WEIGHT_LIMIT and len(seen) < count:
                seen.add(key)
                rejected = 0
                yield graph


def _cut(sample: Sample) -> tuple[Graph, ...]:
    model, *shapes = sample
    inputs = tuple(torch.empty(shape, device="meta") for shape in shapes)
    parts = (part.alone() for part in subgraphs(trace(model, inputs)))
    # Views alone take no time: there is nothing to measure.
    return tuple(p for p in parts if any(o.kind not in VIEW_KINDS for o in p.operators))
