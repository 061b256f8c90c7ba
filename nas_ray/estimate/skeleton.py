"""A network as pieces, each taken apart into a skeleton and numbers, and put together again.

A piece is one subgraph, or several in a row where only the size of a number decides whether they
are one (`graph.subgraphs` keeps a projection to fewer channels with what it projects). Where
pieces begin and end then depends on operators alone.

The skeleton is the piece's signature with `#` for each number: two pieces with the same operators
in the same places have the same skeleton. What follows from shapes (the weights and
multiply-accumulates of convolutions and linear layers) is written as -1, so that each number left
depends on few choices of a space.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from math import prod

from nas_ray.graph import Graph, Operator, parse_signature, signature

_NUMBER = re.compile(r"\d+")
#: Operator kinds whose weights and multiply-accumulates follow from shapes.
_IMPLIED_KINDS = {"conv", "depthwise_conv", "linear"}

_NO_WORK = {"reshape", "slice", "transpose"}

#: Name of the first operator with weights, which time it occurs, and in which order of the space
#: (`position_order`); 0 for a network alone.
Position = tuple[str, int, int]


def pieces(graph: Graph, parts: Sequence[Graph]) -> dict[Position, Graph]:
    """The pieces of `graph` in execution order, each one or more of its subgraphs `parts`.

    One tensor alone is alive between two of them, so that each can be judged on its own.
    """
    runs: list[list[Operator]] = []
    done = 0
    for part in parts:
        operators = list(graph.operators[done : done + len(part.operators)])
        if runs and (_may_join(runs[-1], operators) or not _is_clean(graph, done - 1)):
            runs[-1] += operators
        else:
            runs.append(operators)
        done += len(operators)
    named: dict[Position, Graph] = {}
    times: Counter[str] = Counter()
    for run in runs:
        name = next((op.name for op in run if op.weight), run[0].kind)
        named[name, times[name], 0] = graph.part(run, name)
        times[name] += 1
    return named


def _is_clean(graph: Graph, step: int) -> bool:
    alive = [1 for first, last in graph.lifetimes.values() if first <= step < last]
    return len(alive) == 1


def _may_join(before: Sequence[Operator], after: Sequence[Operator]) -> bool:
    """Whether `subgraphs` decides by numbers of channels."""
    last = next((op for op in reversed(before) if op.kind not in _NO_WORK), None)
    first = next((op for op in after if op.kind not in _NO_WORK), None)
    if last is None or first is None:
        return True
    return first.is_pointwise_conv and not first.activation and last.kind in {"conv", "mul"}


def take_apart(part: Graph) -> tuple[str, tuple[int, ...]]:
    """Skeleton and numbers of a piece; `put_together` gives the piece back."""
    hidden = replace(part, operators=tuple(_hidden(part, op) for op in part.operators))
    text = signature(hidden)
    return _NUMBER.sub("#", text), tuple(map(int, _NUMBER.findall(text)))


def put_together(skeleton: str, numbers: tuple[int, ...]) -> Graph:
    """The piece, without the names it had in its network."""
    first, *rest = skeleton.split("#")
    text = first + "".join(f"{number}{gap}" for number, gap in zip(numbers, rest, strict=True))
    part = parse_signature(text)
    return replace(part, operators=tuple(_restored(part, op) for op in part.operators))


def _hidden(graph: Graph, operator: Operator) -> Operator:
    if operator.kind not in _IMPLIED_KINDS:
        return operator
    weights, macs = _implied(graph, operator)
    return replace(
        operator,
        weight_elements=-1 if operator.weight_elements == weights else operator.weight_elements,
        macs=-1 if operator.macs == macs else operator.macs,
    )


def _restored(graph: Graph, operator: Operator) -> Operator:
    if operator.macs >= 0 and operator.weight_elements >= 0:
        return operator
    weights, macs = _implied(graph, operator)
    return replace(
        operator,
        weight_elements=weights if operator.weight_elements < 0 else operator.weight_elements,
        macs=macs if operator.macs < 0 else operator.macs,
    )


def _implied(graph: Graph, operator: Operator) -> tuple[int, int]:
    """Weights and multiply-accumulates of a convolution or linear layer of these shapes."""
    before, after = graph.shape(operator.inputs[0]), graph.shape(operator.outputs[0])
    if operator.kind == "linear":
        return before[-1] * after[-1], prod(after) * before[-1]
    weights = prod(operator.kernel) * (before[1] // operator.groups) * after[1]
    return weights, weights * prod(after[2:])
