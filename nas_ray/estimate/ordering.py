"""The order in which operators run: which one a compiler takes, and which needs least memory."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from nas_ray.graph import Graph, Operator

#: Operators whose inputs may be written into their result.
_IN_PLACE = frozenset({"concat", "pad"})
#: Operators that rearrange, whose results are tensors of their own.
_MOVES_DATA = frozenset({"reshape", "slice", "transpose", "concat", "pad", "gather", "unknown"})

#: Operators between two cuts, up to which all their orders are compared.
_LIMIT = 16


def reordered(graph: Graph, order: Sequence[int]) -> Graph:
    """`graph` with its operators run in `order`, positions in `graph.operators`."""
    return replace(graph, operators=tuple(graph.operators[step] for step in order))


def depth_first(graph: Graph) -> tuple[int, ...]:
    """Backwards from the outputs, each operator directly after what it reads, last input first.

    What is concatenated comes in order, and after what is written into its place what is copied
    there. An operator that no output needs runs at the end.
    """
    writer = {i: step for step, operator in enumerate(graph.operators) for i in operator.outputs}
    placed = written_in_place(graph)
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
        inputs = graph.operators[step].inputs
        copied = [i for i in inputs if i not in placed]
        whole = [i for i in reversed(inputs) if i in placed]
        before = [writer[i] for i in (*copied, *whole) if i in writer]
        todo += [(step, True), *((one, False) for one in before if one not in order)]
    return tuple(order)


def written_in_place(graph: Graph) -> frozenset[int]:
    """Tensors that are written where they are concatenated or padded.

    Each is made by one operator that computes, and nothing else reads it.
    """
    read = Counter([*graph.outputs, *(i for operator in graph.operators for i in operator.inputs)])
    made = {i for op in graph.operators if _writes_anywhere(op) for i in op.outputs}
    return frozenset(
        i
        for operator in graph.operators
        if operator.kind in _IN_PLACE
        for i in operator.inputs
        if i in made and read[i] == 1
    )


def _writes_anywhere(operator: Operator) -> bool:
    """Whether its result need not be a tensor of its own; each group writes its part of that."""
    is_in_groups = operator.kind == "conv" and operator.groups > 1 and not operator.activation
    return operator.kind not in _MOVES_DATA and not is_in_groups


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
