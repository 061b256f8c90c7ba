"""Which nodes of an autograd graph are layers with weights."""

from collections.abc import Container

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
