"""Costs of many configs from learned tables of their space."""

import gc
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import ref

import numpy as np
from numpy.typing import NDArray

from nas_ray.estimate.building import Buildable, traced
from nas_ray.estimate.composition import Composition
from nas_ray.estimate.estimator import Estimator
from nas_ray.estimate.hardware import Hardware
from nas_ray.estimate.learning import LearnedSpace, NotLearnedError
from nas_ray.estimate.memory import peak_memory_bytes, piece_of, weight_bytes
from nas_ray.estimate.peak import Piece, peaks
from nas_ray.estimate.skeleton import pieces, put_together, take_apart
from nas_ray.estimate.tables import Network, Part
from nas_ray.graph import Graph, signature, subgraphs

#: Spaces that are remembered, the oldest forgotten first.
_SPACES = 4
#: A space that was seen so often is learned anew, so that its memory stays bounded.
_MOST_NETWORKS = 2000


@dataclass(frozen=True, kw_only=True)
class PieceCost:
    """What a piece adds to any network that has it; `subgraphs` by their signatures."""

    subgraphs: tuple[tuple[str, Graph], ...]
    memory: Piece
    weight_bytes: int
    macs: int


class _Memory:
    """A learned space and the costs of its pieces on one accelerator."""

    def __init__(self, space: Buildable, hardware: Hardware) -> None:
        # A space that cannot be held weakly is held: few are.
        self.space: Callable[[], Buildable | None] = _weakly(space)
        self.hardware = hardware
        self.pieces: dict[Part, PieceCost] = {}
        self.learned = LearnedSpace(self._look)

    def piece(self, part: Part) -> PieceCost:
        """The cost of `part`, remembered."""
        if part not in self.pieces:
            self.pieces[part] = _piece_cost(part, self.hardware)
        return self.pieces[part]

    def _look(self, config: Mapping[str, Any]) -> Network:
        space = self.space()
        if space is None:
            raise NotLearnedError("a space that is gone")
        graph = traced(space, config)
        parts = subgraphs(graph)
        found = pieces(graph, parts)
        network = {position: take_apart(piece) for position, piece in found.items()}
        costs = [self.piece(part) for part in network.values()]
        if _whole(graph, parts, self.hardware) != _together(costs, self.hardware):
            raise NotLearnedError("a network that is not the sum of its pieces")
        return network


_REMEMBERED: OrderedDict[tuple[int, str], _Memory] = OrderedDict()


def look_up(
    space: Buildable,
    configs: Sequence[Mapping[str, Any]],
    hardware: Hardware,
    estimator: Estimator,
) -> dict[str, NDArray[Any]]:
    """Costs of `configs` as columns, each as of the network built alone (`learning` says how sure).

    Raises NotLearnedError where the networks cannot be told without building them, and whatever
    building one of them raises.
    """
    memory = _taken(space, hardware)
    with _garbage_kept():
        columns = _costs(memory.learned.compositions(configs), memory, estimator)
    _REMEMBERED[id(space), hardware.name] = memory
    while len(_REMEMBERED) > _SPACES:
        _REMEMBERED.popitem(last=False)
    return columns


def _costs(
    composition: Composition, memory: _Memory, estimator: Estimator
) -> dict[str, NDArray[Any]]:
    """The columns; `ids` `(N, P)` of pieces become `(N, P * M)` of their M subgraphs at most."""
    costs = [memory.piece(part) for part in composition.parts]
    graphs = dict(pair for cost in costs for pair in cost.subgraphs)
    latencies = estimator.latencies(graphs)
    number = {key: n for n, key in enumerate(graphs)}
    # The last row is where -1 points: nothing.
    inside = np.full((len(costs) + 1, max(len(c.subgraphs) for c in costs)), -1, dtype=np.int32)
    for n, cost in enumerate(costs):
        inside[n, : len(cost.subgraphs)] = [number[key] for key, _ in cost.subgraphs]
    ids = inside[composition.ids].reshape(len(composition.ids), -1)
    ids = ids[:, (ids >= 0).any(axis=0)]
    found = estimator.networks(ids, [latencies[key] for key in number])
    memories = [cost.memory for cost in costs]
    weight = np.array([*(c.weight_bytes for c in costs), 0], dtype=np.int64)
    macs = np.array([*(c.macs for c in costs), 0], dtype=np.int64)
    return {
        "latency_ms": found.latency_ms,
        "latency_ms_upper": found.latency_ms_upper,
        "peak_memory_bytes": peaks(memories, composition.ids, memory.hardware.staging),
        "weight_bytes": weight[composition.ids].sum(axis=1),
        "macs": macs[composition.ids].sum(axis=1),
        "outside_share": found.outside_share,
        "host_operators": found.host_operators,
    }


def _weakly(space: Buildable) -> Callable[[], Buildable | None]:
    try:
        return ref(space)
    except TypeError:
        return lambda: space


def _piece_cost(part: Part, hardware: Hardware) -> PieceCost:
    graph = put_together(*part)
    return PieceCost(
        subgraphs=tuple((signature(found), found) for found in subgraphs(graph)),
        memory=piece_of(graph, hardware),
        weight_bytes=weight_bytes(graph, hardware),
        macs=graph.macs,
    )


def _whole(graph: Graph, parts: Sequence[Graph], hardware: Hardware) -> tuple[object, ...]:
    """What a network costs, asked of all of it."""
    return (
        [signature(part) for part in parts],
        peak_memory_bytes(graph, hardware),
        weight_bytes(graph, hardware),
        graph.macs,
    )


def _together(costs: Sequence[PieceCost], hardware: Hardware) -> tuple[object, ...]:
    """The same, put together from pieces."""
    memories, row = [cost.memory for cost in costs], np.arange(len(costs), dtype=np.int32)
    return (
        [key for cost in costs for key, _ in cost.subgraphs],
        int(peaks(memories, row[np.newaxis], hardware.staging)[0]),
        sum(cost.weight_bytes for cost in costs),
        sum(cost.macs for cost in costs),
    )


def _taken(space: Buildable, hardware: Hardware) -> _Memory:
    """What is remembered of `space`, taken out, so that no other thread learns on it as well."""
    memory = _REMEMBERED.pop((id(space), hardware.name), None)
    if (
        memory is None
        or memory.space() is not space  # an id is used again when its object is gone
        or memory.hardware != hardware
        or len(memory.learned) > _MOST_NETWORKS
    ):
        return _Memory(space, hardware)
    return memory


@contextmanager
def _garbage_kept() -> Iterator[None]:
    """No search for cycles among millions of small objects that have none: a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
