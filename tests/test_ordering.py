"""Orders of operators: always possible ones, and the best no worse than any other."""

from itertools import permutations

import numpy as np
import pytest
import torch
from torch import nn

from nas_ray.estimate.ordering import best_order, depth_first, reordered, written_in_place
from nas_ray.graph import Graph, Operator, Tensor, trace


def peak_elements(graph):
    """Most elements alive at one operator, counted from the lifetimes one by one."""
    return max(
        sum(
            graph.tensors[storage].elements
            for storage, (first, last) in graph.lifetimes.items()
            if first <= step <= last
        )
        for step in range(len(graph.operators))
    )


def random_graph(rng, count):
    """Operators that each read one or two earlier tensors and write one of random size."""
    sizes = rng.integers(1, 50, count + 1)
    operators = tuple(
        Operator(
            kind="conv",
            inputs=tuple(sorted({int(i) for i in rng.integers(0, n + 1, 2)})),
            outputs=(n + 1,),
        )
        for n in range(count)
    )
    read = {i for operator in operators for i in operator.inputs}
    return Graph(
        tensors=tuple(Tensor(shape=(1, int(size)), storage=n) for n, size in enumerate(sizes)),
        operators=operators,
        inputs=(0,),
        outputs=tuple(n for n in range(1, count + 1) if n not in read),
    )


def allowed(graph):
    """All orders in which each operator runs after those it reads from."""
    for order in permutations(range(len(graph.operators))):
        written = set(graph.inputs)
        for step in order:
            if not written.issuperset(graph.operators[step].inputs):
                break
            written.update(graph.operators[step].outputs)
        else:
            yield order


@pytest.mark.parametrize("seed", range(8))
def test_the_best_order_is_that_of_brute_force(seed):
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, 6)

    def peak(order):
        return peak_elements(reordered(graph, order))

    orders = list(allowed(graph))
    best = best_order(graph, [tensor.elements for tensor in graph.tensors])
    assert best in orders
    assert depth_first(graph) in orders
    assert peak(best) == min(map(peak, orders)) <= peak(range(6))


def test_a_chain_keeps_its_order():
    graph = trace(
        nn.Sequential(nn.Conv2d(8, 24, 1), nn.Conv2d(24, 16, 1), nn.Conv2d(16, 8, 1)),
        torch.zeros(1, 8, 8, 8),
    )
    assert depth_first(graph) == best_order(graph, [1] * len(graph.tensors)) == (0, 1, 2)


class Branches(nn.Module):
    """Two convolutions that meet in a product, and with the image in a concatenation."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Conv2d(8, 16, 1), nn.Conv2d(8, 16, 3, padding=1)

    def forward(self, x):
        left, right = self.left(x), self.right(x)
        return self.joined(x, left, right)


class Product(Branches):
    def joined(self, x, left, right):
        return left * right


class Stack(Branches):
    def joined(self, x, left, right):
        return torch.cat([x, left, right], 1)


@pytest.mark.parametrize(
    ("model", "order", "placed"),
    [(Product(), ["right", "left"], 0), (Stack(), ["left", "right"], 2)],
    ids=["last_input_first", "what_is_concatenated_in_its_order"],
)
def test_branches_run_in_the_order_of_the_compiler(model, order, placed):
    """As the schedule that ethos-u-vela 5.2.0 prints for these two, ethos-u55-256."""
    graph = trace(model, torch.zeros(1, 8, 8, 8))
    names = [graph.operators[step].name for step in depth_first(graph)]
    assert [name for name in names if name in {"left", "right"}] == order
    assert len(written_in_place(graph)) == placed


def test_what_is_read_twice_or_only_moved_is_not_written_where_it_is_concatenated():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)

        def forward(self, x):
            first = self.first(x)
            return torch.cat([first, self.last(first), first[:, :4]], 1)

    graph = trace(Twice(), torch.zeros(1, 8, 8, 8))
    last = next(op for op in graph.operators if op.name == "last")
    assert written_in_place(graph) == set(last.outputs)
