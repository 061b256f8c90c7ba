"""Which nodes of an autograd graph are layers with weights, and how many come before each."""

from collections.abc import Callable, Container, Iterable, Sequence

from torch.autograd.graph import Node

# Where a weight joins by these, it is a scale or a table of positions and no layer.
_NO_LAYERS = {"AddBackward0", "SubBackward0", "MulBackward0", "DivBackward0"}


def inputs(node: Node) -> list[Node]:
    """The nodes that made what `node` is made from, those of weights among them."""
    return [made for made, _ in node.next_functions if made is not None]


def is_layer(node: Node, path: Container[Node]) -> bool:
    """Whether a weight joins at `node`, that is an input off the `path` from the network's input.

    Convolutions, linear layers and whatever else joins a parameter of two or more dimensions.
    """
    return node.name() not in _NO_LAYERS and any(made not in path for made in inputs(node))


def counted(path: Sequence[Node], of: Callable[[Iterable[int]], int]) -> dict[Node, int]:
    """How many layers lie on the way from the input to each node of `path`, that node included.

    `path` is from the outputs to the input, which is last. Where several ways meet, `of` takes one
    of their counts: `max` for the longest way, `min` for the shortest.
    """
    counts = dict.fromkeys(path, 0)
    for node in path[-2::-1]:  # from the input, each after what it is made from
        before = of(counts[made] for made in inputs(node) if made in counts)
        counts[node] = before + is_layer(node, counts)
    return counts
