"""Which subgraphs to measure next: more of what is estimated worst.

The rule of nn-Meter (Zhang et al., 2021): where a held-out estimate is more than a tenth off, draw
new channel counts between 0.4 and 1.2 of those there. Images change a little too, and half of the
counts are put where an accelerator's cost jumps: at a multiple of what it runs in parallel, and
one above.
"""

from collections.abc import Container, Mapping

import numpy as np

from nas_ray.graph import Graph, parse_signature, signature
from nas_ray.measure.sampling import WEIGHT_LIMIT
from nas_ray.profiling.rescaled import channel_counts, rescaled

#: An estimate is bad from this relative error on, and among the worst of this share. No error
#: weighs more than the last number: one wrong measurement must not draw all samples to itself.
BAD = 0.10
_WORST_SHARE = 0.25
_MOST_WEIGHT = 0.5
_LOWEST, _HIGHEST = 0.4, 1.2
_CHANCE_OF_A_MULTIPLE = 0.5
#: Hidden channels that are so many times the input's, or fewer, stay as many times.
_LARGEST_EXPANSION = 8
_TRIES_PER_SAMPLE = 10


def around_the_worst(
    errors: Mapping[str, float],
    count: int,
    rng: np.random.Generator,
    factor: int,
    known: Container[str],
) -> list[str]:
    """Up to `count` new signatures near those whose estimate is bad, the worst most.

    `errors` maps signatures to held-out relative errors. Fewer where there is nothing bad, or
    where nothing new lies near it.
    """
    if not errors:
        return []
    least = max(BAD, float(np.quantile(list(errors.values()), 1 - _WORST_SHARE)))
    bad = sorted(key for key, error in errors.items() if error > least)
    if not bad:
        return []
    weights = np.array([min(errors[key], _MOST_WEIGHT) for key in bad])
    found: dict[str, None] = {}
    for centre in rng.choice(len(bad), count * _TRIES_PER_SAMPLE, p=weights / weights.sum()):
        graph = neighbour(parse_signature(bad[centre]), rng, factor)
        if graph is None or graph.weight_elements > WEIGHT_LIMIT:
            continue
        key = signature(graph)
        if key not in known:
            found[key] = None
        if len(found) == count:
            break
    return list(found)


def neighbour(graph: Graph, rng: np.random.Generator, factor: int) -> Graph | None:
    """The same structure with other channel counts and about the same image; None if none fits.

    What is a multiple of the input's channels (an expansion) mostly stays that multiple.
    """
    channels: dict[int, int] = {}
    for count in channel_counts(graph):
        first = next(iter(channels), count)
        expansion, rest = divmod(count, first)
        if 1 < expansion <= _LARGEST_EXPANSION and not rest and rng.random() < 0.8:
            channels[count] = expansion * channels[first]
        else:
            channels[count] = _near(count, rng, factor)
    image = 1.0 if rng.random() < 0.5 else float(np.exp(rng.uniform(np.log(0.8), np.log(1.25))))
    return rescaled(graph, channels, image)


def _near(count: int, rng: np.random.Generator, factor: int) -> int:
    scale = float(np.exp(rng.uniform(np.log(_LOWEST), np.log(_HIGHEST))))
    value = max(1, round(count * scale))
    if rng.random() < _CHANCE_OF_A_MULTIPLE:
        return max(1, round(value / factor)) * factor + int(rng.random() < 0.5)
    return value
