"""The order in which operators run: which one a compiler takes, and which needs least memory."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from nas_ray.graph import Graph

#: Operators that may write over an input, and the first of their free inputs that they take.
_IN_PLACE = {"concat": 0, "add": -1}

#: Operators between two cuts, up to which all their orders are compared.
_LIMIT = 16


def reordered(graph: Graph, order: Sequence[int]) -> Graph:
    """`graph` with its operators run in `order`, positions in `graph.operators`."""
    return replace(graph, operators=tuple(graph.operators[step] for step in order))


def depth_first(graph: Graph) -> tuple[int, ...]:
    """Backwards from the outputs, each operator directly after what it reads, inputs in order.

    An operator that no output needs runs at the end.
    """
    writer = {i: step for step, operator in enumerate(graph.operators) for i in operator.outputs}
    order: dict[int, None] = {}
    ends = [writer[i] for i in graph.outputs if i in writer]
    todo = [(step, False) for step in reversed([*ends, *range(len(graph.operators))])]
    while todo:
        step, is_ready = todo.pop()
        if step in order:
            continue
        if is_ready:
            order[step] = None
            continue
        before = [writer[i] for i in graph.operators[step].inputs if i in writer]
        todo += [(step, True), *((one, False) for one in reversed(before) if one not in order)]
    return tuple(order)


def written_in_place(graph: Graph) -> Graph:
    """`graph` with additions and concatenations that take no memory beside their result.

    What is concatenated is written where it belongs, and a sum takes the place of its last input.
    Holds for a tensor that an operator makes and nothing else reads.
    """
    read = Counter(i for operator in graph.operators for i in operator.inputs)
    shown = Counter(tensor.storage for tensor in graph.tensors)
    made = {i for operator in graph.operators for i in operator.outputs} - set(graph.outputs)
    storages = [tensor.storage for tensor in graph.tensors]
    for operator in reversed(graph.operators):
        if operator.kind not in _IN_PLACE:
            continue
        free = [i for i in operator.inputs if i in made and read[i] == 1 and shown[i] == 1]
        for i in free[_IN_PLACE[operator.kind] :]:
            storages[i] = storages[operator.outputs[0]]
    tensors = zip(graph.tensors, storages, strict=True)
    return replace(graph, tensors=tuple(replace(one, storage=storage) for one, storage in tensors))


def best_order(graph: Graph, storage_bytes: Sequence[int]) -> tuple[int, ...]:
    """The order whose activations need the least memory at once; the given one where it is best.

    `storage_bytes` is the size of each tensor of `graph`. Exact: the operators between two cuts
    (where one tensor alone is alive) are ordered by dynamic programming over the sets of those
    already run. Where more than 16 lie between two cuts, these keep the given order.
    """
    order: list[int] = []
    for first, last in _segments(graph):
        if not 2 < last - first <= _LIMIT:
            order += range(first, last)
        else:
            segment = _segment(graph, storage_bytes, first, last)
            order += (first + step for step in _best(segment))
    return tuple(order)


@dataclass(frozen=True, kw_only=True)
class _Storage:
    """A stretch of memory; `writers` and `readers` are sets of operators of the segment as bits."""

    size: int
    writers: int
    readers: int
    enters: bool
    stays: bool

    def size_after(self, done: int) -> int:
        """Bytes held once the operators `done` have run."""
        is_written = self.enters or self.writers & done
        is_needed = self.stays or (self.writers | self.readers) & ~done
        return self.size if is_written and is_needed else 0


@dataclass(frozen=True, kw_only=True)
class _Segment:
    storages: tuple[_Storage, ...]
    before: tuple[int, ...]  # for each operator, the operators it reads from, as bits


def _segments(graph: Graph) -> list[tuple[int, int]]:
    crossing = [0] * (len(graph.operators) + 1)
    for first, last in graph.lifetimes.values():
        for step in range(max(first, 0), last):
            crossing[step] += 1
    cuts = [step + 1 for step in range(len(graph.operators) - 1) if crossing[step] == 1]
    ends = [0, *cuts, len(graph.operators)]
    return list(pairwise(ends))


def _segment(graph: Graph, storage_bytes: Sequence[int], first: int, last: int) -> _Segment:
    operators = graph.operators[first:last]
    lifetimes = graph.lifetimes
    written: dict[int, int] = {}
    read: dict[int, int] = {}
    maker = {i: n for n, operator in enumerate(operators) for i in operator.outputs}
    for n, operator in enumerate(operators):
        for i in operator.outputs:
            storage = graph.tensors[i].storage
            written[storage] = written.get(storage, 0) | 1 << n
        for i in operator.inputs:
            storage = graph.tensors[i].storage
            read[storage] = read.get(storage, 0) | 1 << n
    return _Segment(
        storages=tuple(
            _Storage(
                size=storage_bytes[storage],
                writers=written.get(storage, 0),
                readers=read.get(storage, 0),
                enters=begin < first,
                stays=end >= last,
            )
            for storage, (begin, end) in lifetimes.items()
            if begin < last and end >= first
        ),
        before=tuple(
            sum({1 << maker[i] for i in operator.inputs if i in maker}) for operator in operators
        ),
    )


def _best(segment: _Segment) -> list[int]:
    """Among orders of equal peak the one nearest to the given comes out."""
    count = len(segment.before)
    paths: dict[int, tuple[int, list[int]]] = {0: (0, [])}
    for _ in range(count):
        longer: dict[int, tuple[int, list[int]]] = {}
        for done, (peak, path) in paths.items():
            for n in range(count):
                after = done | 1 << n
                if after == done or segment.before[n] & ~done:
                    continue
                higher = max(peak, _running(segment, done, n))
                if after not in longer or (higher, [*path, n]) < longer[after]:
                    longer[after] = (higher, [*path, n])
        paths = longer
    return paths[(1 << count) - 1][1]


def _running(segment: _Segment, done: int, n: int) -> int:
    """Bytes alive while operator `n` runs after those in `done`."""
    return sum(
        one.size if one.writers & (1 << n) else one.size_after(done) for one in segment.storages
    )
