"""Cut a graph into subgraphs: what is measured, regressed and accumulated.

A cut lies where exactly one tensor crosses from the operators before it to those after it. What
lies between two cuts (a residual block, a squeeze-and-excitation branch) is inseparable. Cuts
inside a block without a residual are dropped by two rules that hold for inverted bottlenecks,
fused ones and separable convolutions alike: a depthwise convolution stays with its neighbours,
and a linear projection stays with the convolution it projects. Blocks rather than operators,
because what a compiler does between two operators (keep a tensor on chip, prefetch weights)
depends on both: summing single operators misses whole networks by far more than summing blocks.
"""

from collections.abc import Sequence

from nas_ray.graph.operators import Graph, Operator

_FREE = {"reshape", "slice", "transpose"}


def subgraphs(graph: Graph) -> tuple[Graph, ...]:
    """The subgraphs of `graph` in execution order; together they hold each operator once."""
    parts: list[list[Operator]] = [[]]
    for step, operator in enumerate(graph.operators):
        parts[-1].append(operator)
        is_last = step + 1 == len(graph.operators)
        if not is_last and _is_cut(graph, step) and not _joined(graph, operators_at(graph, step)):
            parts.append([])
    return tuple(graph.part(part, _name(part)) for part in parts if part)


def operators_at(graph: Graph, step: int) -> tuple[Operator, Operator]:
    """The two operators on both sides of the position after `step`."""
    return graph.operators[step], graph.operators[step + 1]


def _is_cut(graph: Graph, step: int) -> bool:
    """Whether one tensor alone is alive between operators `step` and `step + 1`."""
    alive = [s for s, (first, last) in graph.lifetimes.items() if first <= step < last]
    return len(alive) == 1


def _joined(graph: Graph, sides: tuple[Operator, Operator]) -> bool:
    before, after = sides
    if before.kind in _FREE or after.kind in _FREE:
        return True
    if before.kind == "mean":
        return after.kind == "linear"
    if before.kind == "depthwise_conv":
        return after.kind != "depthwise_conv"
    if after.kind == "depthwise_conv":
        return before.is_pointwise_conv
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
