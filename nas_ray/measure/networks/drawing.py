"""Draw a style, then a network of it that a compiler can lay out in seconds."""

import numpy as np
import torch

from nas_ray.graph import Graph, trace
from nas_ray.measure.networks.frequencies import STYLES, Styles
from nas_ray.measure.sizes import Sizes

#: A compiler needs seconds for more.
MACS_LIMIT = 600_000_000
WEIGHT_LIMIT = 6_000_000
_TRIES = 1_000


def random_network(
    rng: np.random.Generator, channel_multiple: int, *, styles: Styles = STYLES
) -> Graph:
    """A whole network within the limits, of each style as often as `styles` says."""
    sizes = Sizes(rng=rng, channel_multiple=channel_multiple)
    makers, shares = list(styles), list(styles.values())
    for _ in range(_TRIES):
        with torch.device("meta"):
            model, *shapes = makers[int(rng.choice(len(makers), p=shares))](sizes)
        graph = trace(model, tuple(torch.empty(shape, device="meta") for shape in shapes))
        if graph.macs <= MACS_LIMIT and graph.weight_elements <= WEIGHT_LIMIT:
            return graph
    return graph
