"""What is measured before anything is known: the blocks of real networks, and random ones."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np

from nas_ray.graph import Graph, signature, subgraphs
from nas_ray.measure.networks import published_networks
from nas_ray.measure.sampling import sample_subgraphs

#: One in so many subgraphs is of a published network, and of a network of the space.
_PUBLISHED_EVERY, _SPACE_EVERY = 8, 4
#: Networks of a space without a new subgraph before the space counts as known.
_NOTHING_NEW = 50
_ENOUGH = 10**9


@dataclass(frozen=True, kw_only=True)
class Networks:
    """Where networks come from that estimates are wanted for: `draw` makes a random one."""

    name: str
    draw: Callable[[np.random.Generator], Graph]


def starting_subgraphs(seed: int, factor: int, networks: Networks | None = None) -> Iterator[str]:
    """Different signatures without end, the same for the same arguments.

    One in eight is of a published network and, with `networks`, one in four of a random one of
    them, while they last; the others are broad random ones.
    """
    broad = map(
        signature, sample_subgraphs(_ENOUGH, np.random.default_rng(seed), channel_multiple=factor)
    )
    published = _parts(published_networks())
    own = _of_space(networks, np.random.default_rng([seed, 1])) if networks else iter(())
    seen: set[str] = set()
    for n in count():
        key = None
        if n % _PUBLISHED_EVERY == 0:
            key = _new(published, seen)
        elif n % _SPACE_EVERY == 1:
            key = _new(own, seen)
        key = key or _new(broad, seen)
        if key is None:
            return
        seen.add(key)
        yield key


def _new(keys: Iterator[str], seen: set[str]) -> str | None:
    return next((key for key in keys if key not in seen), None)


def _parts(networks: Iterator[Graph]) -> Iterator[str]:
    return (signature(part) for network in networks for part in subgraphs(network))


def _of_space(networks: Networks, rng: np.random.Generator) -> Iterator[str]:
    """Subgraphs of random networks, each once."""
    seen: set[str] = set()
    barren = 0
    while barren < _NOTHING_NEW:
        new = dict.fromkeys(map(signature, subgraphs(networks.draw(rng))))
        barren += 1
        for key in new:
            if key not in seen:
                seen.add(key)
                barren = 0
                yield key
