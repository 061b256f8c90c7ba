"""What kind of work a subgraph is: the numbers that a correction to another device is made from.

Axes: `K` kinds of operators, `W` = 3K numbers of work, `P` numbers of make-up.
"""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from nas_ray.graph import Graph, Operator

Array = NDArray[np.float64]

#: Kinds that one device may be slow at and another not.
KINDS = (
    *("conv", "pointwise_conv", "depthwise_conv", "linear", "pool", "elementwise"),
    *("activation", "other"),
)
_KIND_OF = {
    "conv": "conv",
    "transposed_conv": "conv",
    "depthwise_conv": "depthwise_conv",
    "linear": "linear",
    "matmul": "linear",
    "activation": "activation",
    **dict.fromkeys(("avg_pool", "max_pool", "mean"), "pool"),
    **dict.fromkeys(("add", "sub", "mul", "maximum", "minimum"), "elementwise"),
}
_FREE = {"reshape", "slice"}


def kind_of(operator: Operator) -> str:
    """One of KINDS."""
    if operator.is_pointwise_conv:
        return "pointwise_conv"
    return _KIND_OF.get(operator.kind, "other")


def work(graph: Graph) -> Array:
    """`(W,)`: for each kind the number of operators, their MACs, the elements they move.

    Work adds up: that of a network is the sum over its subgraphs.
    """
    total = np.zeros((len(KINDS), 3))
    for operator in graph.operators:
        if operator.kind not in _FREE:
            moved = sum(graph.tensors[i].elements for i in (*operator.inputs, *operator.outputs))
            total[KINDS.index(kind_of(operator))] += (
                1, operator.macs, moved + operator.weight_elements
            )  # fmt: skip
    return total.ravel()


def make_up(graph: Graph) -> Array:
    """`(P,)`: how a subgraph is put together; two that are alike lie close to each other.

    Square roots of how often each kind occurs and of how often one kind reads another, the
    longest chain of operators, and logarithms of how much an operator computes and moves.
    """
    operators = [operator for operator in graph.operators if operator.kind not in _FREE]
    places = [KINDS.index(kind_of(operator)) for operator in operators]
    counts = np.bincount(places, minlength=len(KINDS))
    maker = {i: n for n, operator in enumerate(operators) for i in operator.outputs}
    pairs: Counter[tuple[int, int]] = Counter()
    chain: list[int] = []
    for operator, place in zip(operators, places, strict=True):
        before = [maker[i] for i in operator.inputs if i in maker]
        pairs.update((places[n], place) for n in before)
        chain.append(1 + max((chain[n] for n in before), default=0))
    table = np.zeros((len(KINDS), len(KINDS)))
    for pair, count in pairs.items():
        table[pair] = count
    each = work(graph).reshape(-1, 3).sum(axis=0) / max(1, len(operators))
    return np.concatenate(
        [
            np.sqrt(counts),
            np.sqrt(table.ravel()),
            [max(chain, default=0) / 3],
            np.log1p(each[1:]) / 3,
        ]
    )
