"""Cut a graph into subgraphs: what is measured, regressed and accumulated.

A cut lies where exactly one tensor crosses from the operators before it to those after it. What
lies between two cuts (a residual block, a squeeze-and-excitation branch) is inseparable. Cuts
inside a block without a residual are dropped by two rules that hold for inverted bottlenecks,
fused ones and separable convolutions alike: a depthwise convolution stays with its neighbours,
and a linear projection stays with the convolution it projects. Blocks rather than operators,
because what a compiler does between two operators (keep a tensor on chip, prefetch weights)
depends on both: summing single operators misses whole networks by far more than summing blocks.

Where skips span most of a network (a U-Net, dense blocks, a recurrence) no such place is left.
A subgraph of more than `LARGEST` operators is cut again, as if tensors were not there while they
wait for long to be used: they merely pass by. The memory of such a piece leaves out what passes
by; that of the network does not.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate

from nas_ray.graph.operators import VIEW_KINDS, Graph, Operator

#: Operators that do something, in one subgraph; attention has twelve with its transpositions.
LARGEST = 12
#: For how many operators a tensor waits before it counts as passing by, tried in this order. The
#: skip of a gated bottleneck waits for eight.
_LONG = (8, 4, 2)
_FREE = {"reshape", "slice", "transpose"}


def subgraphs(graph: Graph) -> tuple[Graph, ...]:
    """The subgraphs of `graph` in execution order; together they hold each operator once."""
    work = [0, *accumulate(operator.kind not in VIEW_KINDS for operator in graph.operators)]

    def is_too_large(piece: range) -> bool:
        return work[piece.stop] - work[piece.start] > LARGEST

    pieces = list(_cut(graph, range(len(graph.operators)), _crossing(graph, work, work[-1])))
    for longest in _LONG:
        if any(map(is_too_large, pieces)):
            crossing = _crossing(graph, work, longest)
            smaller = (_cut(graph, p, crossing) if is_too_large(p) else [p] for p in pieces)
            pieces = [piece for found in smaller for piece in found]
    parts = [graph.operators[piece.start : piece.stop] for piece in pieces]
    return tuple(graph.part(part, _name(part)) for part in parts)


def _crossing(graph: Graph, work: Sequence[int], longest: int) -> list[int]:
    """How many tensors are alive after each step, but for those unused for over `longest`.

    Length is counted in operators that do something; `work` `(steps + 1,)` counts them up.
    """
    change = [0] * (len(graph.operators) + 1)
    used = dict.fromkeys((graph.tensors[i].storage for i in graph.inputs), 0)

    def use(storage: int, step: int) -> None:
        start = used.get(storage, step)
        if work[step] - work[start] <= longest:
            change[start] += 1
            change[step] -= 1
        used[storage] = step

    for step, operator in enumerate(graph.operators):
        for index in (*operator.inputs, *operator.outputs):
            use(graph.tensors[index].storage, step)
    for index in graph.outputs:
        use(graph.tensors[index].storage, len(graph.operators))
    return list(accumulate(change))


def _cut(graph: Graph, piece: range, crossing: Sequence[int]) -> Iterator[range]:
    """`piece`, steps of `graph`, in pieces between which one tensor crosses at most."""
    start = piece.start
    for step in piece[:-1]:
        if crossing[step] <= 1 and not _joined(graph, range(start, step + 1), piece.stop):
            yield range(start, step + 1)
            start = step + 1
    if piece:
        yield range(start, piece.stop)


def _joined(graph: Graph, steps: range, stop: int) -> bool:
    """Whether what follows `steps` (up to `stop`) belongs to the same block."""
    operators = graph.operators
    # A view stays with what it shows, a slice with what reads it.
    if operators[steps.stop].kind in _FREE - {"slice"} or operators[steps[-1]].kind == "slice":
        return True
    before = next((operators[n] for n in reversed(steps) if operators[n].kind not in _FREE), None)
    following = range(steps.stop, stop)
    after = next((operators[n] for n in following if operators[n].kind not in _FREE), None)
    if before is None or after is None or len(after.inputs) > 1:
        return True
    if before.kind == "mean":
        return after.kind == "linear"
    if before.kind == "depthwise_conv":
        return after.kind != "depthwise_conv"
    if after.kind == "depthwise_conv":
        # A 1x1 behind a depthwise convolution ends a block; it does not expand for the next.
        return before.is_pointwise_conv and all(
            operators[n].kind != "depthwise_conv" for n in steps
        )
    return _is_projection(graph, after) and before.kind in {"conv", "mul"}


def _is_projection(graph: Graph, operator: Operator) -> bool:
    """A linear bottleneck: 1x1 to fewer channels, no activation (Sandler et al., 2018)."""
    if not operator.is_pointwise_conv or operator.activation:
        return False
    return graph.shape(operator.outputs[0])[1] < graph.shape(operator.inputs[0])[1]


def _name(part: Sequence[Operator]) -> str:
    """The module path its named operators share, else the first operator's name."""
    named = [operator.name for operator in part if operator.weight]
    if not named:
        return part[0].name
    shared = named[0].split(".")
    for name in named[1:]:
        other = name.split(".")
        same = [a == b for a, b in zip(shared, other, strict=False)]
        shared = shared[: same.index(False) if False in same else len(same)]
    return ".".join(shared) or named[0]
