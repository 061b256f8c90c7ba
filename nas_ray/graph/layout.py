"""Find out which axis of each tensor holds the channels: `(1, C, H, W)` or `(1, H, W, C)`.

Accelerators store channels last. torch does not say which axis they are: an image has them second,
tokens `(1, T, C)` last. Operators tell: a convolution wants them second, a linear layer last, and
an addition leaves them where they are. Tensors that must agree form a class. A class takes the
layout that most of its operators want, else the one for which fewest transpositions and reshapes
move data. What follows from a layout (`Tensor.stored_shape`) is the same for estimates and for
files that a compiler reads.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import prod

from nas_ray.graph.operators import USUAL_CHANNEL_AXES, Graph, Operator, Tensor

_SECOND = frozenset(
    {
        *("conv", "depthwise_conv", "transposed_conv", "max_pool", "avg_pool", "resize"),
        *("batch_norm", "depth_to_space", "space_to_depth"),
    }
)
_LAST = frozenset({"linear", "matmul"})
#: Their inputs and outputs of one rank have their channels on one axis.
_KEEPS = frozenset(
    {
        *("activation", "add", "sub", "mul", "div", "maximum", "minimum", "concat", "slice"),
        *("pad", "flip", "repeat", "softmax", "layer_norm", "mean", "unknown"),
    }
)
_MOVES = frozenset({"transpose", "reshape"})
_SHUFFLE = (0, 2, 1, 3, 4)


def laid_out(graph: Graph) -> Graph:
    """Return `graph` with `channel_axes` of each tensor set as its operators want it."""
    classes = _Classes(len(graph.tensors))
    for operator in graph.operators:
        if operator.kind in _KEEPS | _SECOND | _LAST:
            classes.join(_of_one_rank(graph, operator))
    chosen = _wanted(graph, classes)
    near: dict[int, list[Operator]] = {}
    for operator in graph.operators:
        for index in (*operator.inputs, *operator.outputs) if operator.kind in _MOVES else ():
            near.setdefault(classes.of(index), []).append(operator)
    for index, tensor in enumerate(graph.tensors):
        own = classes.of(index)
        if own not in chosen:
            found = _Choice(graph=graph, classes=classes, chosen=chosen)
            chosen[own] = found.best(own, len(tensor.shape), near.get(own, []))
    return replace(
        graph,
        tensors=tuple(
            replace(tensor, channel_axes=chosen[classes.of(n)])
            for n, tensor in enumerate(graph.tensors)
        ),
    )


def moved(before: Tensor, after: Tensor, axes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the permutation of stored axes that a transposition by `axes` comes to."""
    place = {axis: n for n, axis in enumerate(before.order)}
    return tuple(place[axes[axis]] for axis in after.order)


def permutation_of(operator: Operator, rank: int) -> tuple[int, ...]:
    """Return the permutation of a transposition of `rank` axes."""
    return operator.axes or (_SHUFFLE if rank == len(_SHUFFLE) else tuple(range(rank)))


def is_renamed(before: Tensor, after: Tensor) -> bool:
    """Tell whether a reshape leaves every number where it is stored."""
    if _is_in_order(before) and _is_in_order(after):
        return True
    both = before.channel_axes > 0 and after.channel_axes > 0
    return both and _channels(before) == _channels(after)


def _channels(tensor: Tensor) -> int:
    return prod(tensor.shape[1 : 1 + tensor.channel_axes])


def _is_in_order(tensor: Tensor) -> bool:
    """Tell whether a tensor is stored as torch numbers it."""
    return not tensor.channel_axes or 1 in {
        _channels(tensor),
        prod(tensor.shape[1 + tensor.channel_axes :]),
    }


def _of_one_rank(graph: Graph, operator: Operator) -> list[int]:
    rank = len(graph.shape(operator.outputs[0]))
    return [i for i in (*operator.inputs, *operator.outputs) if len(graph.shape(i)) == rank]


def _wanted(graph: Graph, classes: "_Classes") -> dict[int, int]:
    """Return the layout of each class that some operator wants in a certain one."""
    votes: dict[int, Counter[int]] = {}
    for operator in graph.operators:
        wish = _wish(operator)
        if wish is None:
            continue
        for index in (*operator.inputs, *operator.outputs):
            if len(graph.shape(index)) > 2:
                votes.setdefault(classes.of(index), Counter())[wish] += 1
    return {own: max(sorted(found), key=found.__getitem__) for own, found in votes.items()}


def _wish(operator: Operator) -> int | None:
    is_norm = operator.kind == "layer_norm"
    if operator.kind in _SECOND or (is_norm and operator.mode in {"group", "instance"}):
        return 1
    return 0 if operator.kind in _LAST or is_norm else None


@dataclass(frozen=True, kw_only=True)
class _Choice:
    """Layouts `chosen` so far, and how much data each choice for one more class moves."""

    graph: Graph
    classes: "_Classes"
    chosen: dict[int, int]

    def best(self, own: int, rank: int, near: Iterable[Operator]) -> int:
        """Return the layout that moves least; of equals the neighbour's, then the usual one."""
        usual = USUAL_CHANNEL_AXES.get(rank, 0)
        near = list(near)
        first = [self.chosen.get(self.classes.of(one.inputs[0]), usual) for one in near[:1]]
        candidates: dict[int, None] = dict.fromkeys(
            (*(n for n in first if n < rank - 1), usual, *range(3))
        )
        possible = [axes for axes in candidates if axes < max(rank - 1, 1)]
        moves = [sum(self._is_move(own, axes, operator) for operator in near) for axes in possible]
        return possible[moves.index(min(moves))]

    def _is_move(self, own: int, axes: int, operator: Operator) -> bool:
        ends = []
        for index in (operator.inputs[0], operator.outputs[0]):
            end = self.classes.of(index)
            if end != own and end not in self.chosen:
                return False
            layout = axes if end == own else self.chosen[end]
            ends.append(replace(self.graph.tensors[index], channel_axes=layout))
        before, after = ends
        if operator.kind == "reshape":
            return not is_renamed(before, after)
        rank = len(before.shape)
        return moved(before, after, permutation_of(operator, rank)) != tuple(range(rank))


class _Classes:
    """Tensors that must agree: a union-find structure."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def of(self, index: int) -> int:
        """Return the class of tensor `index`."""
        while self._parent[index] != index:
            self._parent[index] = self._parent[self._parent[index]]
            index = self._parent[index]
        return index

    def join(self, indices: Iterable[int]) -> None:
        """Make one class of the classes of `indices`; the earliest tensor names it."""
        roots = sorted({self.of(index) for index in indices})
        for root in roots[1:]:
            self._parent[root] = roots[0]
