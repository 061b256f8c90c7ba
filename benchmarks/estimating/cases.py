"""What the estimator is tested on: graphs from seeds that no table was ever made from."""

import warnings
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from kinds import SPECIMENS
from published import CLASSIFIERS
from torch import nn

from nas_ray.errors import TraceError
from nas_ray.graph import Graph, UnknownOperatorWarning, signature, trace
from nas_ray.measure.blocks import inverted_bottleneck
from search_spaces import classification

PUBLISHED_SIDES = (96, 224)
#: Of the classification space as it is without a device.
PLAIN_MULTIPLE = 16
#: Streams of one seed, so that the number of networks does not change the subgraphs.
_NETWORKS, _SUBGRAPHS = 1, 2
_MACS_LIMIT = 1_500_000_000
_REPEATS_IN_A_ROW = 10_000


@dataclass(frozen=True, kw_only=True)
class Case:
    """One graph to estimate; `key` is its signature, `kind` the group it is judged in."""

    name: str
    graph: Graph
    key: str
    kind: str = ""


def networks(
    count: int, seed: int, known: Container[str], multiple: int = PLAIN_MULTIPLE
) -> list[Case]:
    """`count` different random networks of the classification space, none of them `known`.

    Channels are multiples of `multiple`.
    """
    space = classification.space(channel_multiple=multiple)
    rng = np.random.default_rng([seed, _NETWORKS])

    def draw() -> Graph:
        config = space.sample(rng)
        return _traced(lambda: space.build(config), tuple(space.example_input(config).shape))

    return list(_different("network", draw, count, known))


def subgraphs(count: int, seed: int, known: Container[str]) -> list[Case]:
    """`count` different IBNs and fused IBNs of any channel counts from 8 to 240, none `known`."""
    rng = np.random.default_rng([seed, _SUBGRAPHS])
    return list(_different("subgraph", lambda: _block(rng), count, known))


def published() -> list[Case]:
    """Each published classifier at each of `PUBLISHED_SIDES`."""
    return [
        _case(f"{name} at {side}", _traced(build, (1, 3, side, side)))
        for name, (build, _) in CLASSIFIERS.items()
        for side in PUBLISHED_SIDES
    ]


@cache
def kinds() -> tuple[list[Case], dict[str, str]]:
    """Every network of `kinds`, and why others of them cannot be traced, by name."""
    found, untraceable = [], {}
    for one in SPECIMENS:
        try:
            with warnings.catch_warnings(), torch.device("meta"):
                # An operator that is not known makes a flag, which is what is judged.
                warnings.simplefilter("ignore", UnknownOperatorWarning)
                graph = trace(one.build(), tuple(map(torch.empty, one.shapes)))
        except TraceError as error:
            untraceable[one.name] = str(error)
        else:
            found.append(Case(name=one.name, graph=graph, key=signature(graph), kind=one.kind))
    return found, untraceable


#: The sets that are drawn at random.
DRAWN = ("networks", "subgraphs")


def _different(
    what: str, draw: Callable[[], Graph], count: int, known: Container[str]
) -> Iterator[Case]:
    """Ends early where nothing new has come for long: a space may be small."""
    seen: set[str] = set()
    repeats = 0
    while len(seen) < count and repeats < _REPEATS_IN_A_ROW:
        case = _case(f"{what} {len(seen)}", draw())
        repeats += 1
        if case.key not in seen and case.key not in known:
            seen.add(case.key)
            repeats = 0
            yield case


def _block(rng: np.random.Generator) -> Graph:
    while True:
        channels, other = _log_uniform(rng, 8, 240), _log_uniform(rng, 8, 240)
        after = channels if rng.random() < 0.4 else other
        side = _log_uniform(rng, 3, 112)
        kernel, stride = int(rng.choice((3, 5))), int(rng.choice((1, 2)))
        expansion, is_fused = int(rng.integers(1, 7)), bool(rng.random() < 0.5)
        with torch.device("meta"):
            block = inverted_bottleneck(
                channels,
                after,
                kernel=kernel,
                expansion=expansion,
                stride=stride,
                activation="relu6",
                fused=is_fused,
            )
            graph = trace(block, torch.empty(1, channels, side, side))
        if graph.macs <= _MACS_LIMIT:
            return graph


def _log_uniform(rng: np.random.Generator, low: int, high: int) -> int:
    return int(np.exp(rng.uniform(np.log(low), np.log(high + 1))))


def _traced(build: Callable[[], nn.Module], shape: tuple[int, ...]) -> Graph:
    with torch.device("meta"):
        return trace(build(), torch.empty(shape))


def _case(name: str, graph: Graph) -> Case:
    return Case(name=name, graph=graph, key=signature(graph))
