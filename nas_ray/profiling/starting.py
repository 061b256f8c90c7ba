"""What is measured before anything is known: random subgraphs alone, and random networks whole.

In a network each block costs what it costs among its neighbours: a device reads weights ahead
while the operator before still runs.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np

from nas_ray.graph import Graph, signature
from nas_ray.measure.networks import random_network
from nas_ray.measure.sampling import sample_subgraphs

#: One in so many samples is a random network, and one of the space.
_NETWORK_EVERY, _SPACE_EVERY = 8, 16
#: Networks of a space that were all drawn before, until the space counts as known.
_NOTHING_NEW = 50
_ENOUGH = 10**9


@dataclass(frozen=True, kw_only=True)
class Networks:
    """Where networks come from that estimates are wanted for: `draw` makes a random one."""

    name: str
    draw: Callable[[np.random.Generator], Graph]


def starting_samples(seed: int, factor: int, networks: Networks | None = None) -> Iterator[str]:
    """Different signatures without end, the same for the same arguments.

    One in eight is a random network and, with `networks`, one in sixteen a random one of them,
    while they last; the others are broad random subgraphs.
    """
    broad = map(
        signature, sample_subgraphs(_ENOUGH, np.random.default_rng(seed), channel_multiple=factor)
    )
    whole = _random_networks(np.random.default_rng([seed, 4]), factor)
    own = _of_space(networks, np.random.default_rng([seed, 1])) if networks else iter(())
    seen: set[str] = set()
    for n in count():
        key = None
        if n % _NETWORK_EVERY == 0:
            key = _new(whole, seen)
        elif n % _SPACE_EVERY == 1:
            key = _new(own, seen)
        key = key or _new(broad, seen)
        if key is None:
            return
        seen.add(key)
        yield key


def _new(keys: Iterator[str], seen: set[str]) -> str | None:
    return next((key for key in keys if key not in seen), None)


def _random_networks(rng: np.random.Generator, factor: int) -> Iterator[str]:
    while True:
        yield signature(random_network(rng, factor))


def _of_space(networks: Networks, rng: np.random.Generator) -> Iterator[str]:
    """Random networks of a space, each once."""
    seen: set[str] = set()
    barren = 0
    while barren < _NOTHING_NEW:
        key = signature(networks.draw(rng))
        barren += 1
        if key not in seen:
            seen.add(key)
            barren = 0
            yield key
