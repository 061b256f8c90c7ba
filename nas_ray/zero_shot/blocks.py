"""Find the blocks of any network in the autograd graph of one run.

The network is cut where exactly one tensor leads from the input to the outputs: what lies between
two cuts (a residual block, an attention) is inseparable. A block begins at the input of a part
with weights and takes in what follows without weights: batch norm, activation, pooling.
"""

from collections.abc import Sequence

from torch import Tensor
from torch.autograd.graph import Node

#: A tensor as autograd knows it: the node that made it, and which of its outputs it is.
Edge = tuple[Node, int]


def block_edges(outputs: Sequence[Tensor], source: Node) -> list[Edge]:
    """The tensors between blocks, from the last block's output back to the first one's input.

    `source` is the node of the network's input; weights have to ask for a gradient. With several
    outputs, the last block ends at the last tensor that all of them need. Empty where the
    outputs do not depend on the input.
    """
    order = on_the_way([o.grad_fn for o in outputs if o.grad_fn is not None], source)
    waiting = {(o.grad_fn, o.output_nr) for o in outputs if o.grad_fn in order}
    edges: list[Edge] = []
    has_weights = True  # so that the first cut, the output, counts
    for node in order:
        if len(waiting) == 1 and has_weights:
            edges.extend(waiting)
            has_weights = False
        inputs = [(n, i) for n, i in node.next_functions if n is not None]
        waiting = {edge for edge in waiting if edge[0] is not node}
        waiting |= {edge for edge in inputs if edge[0] in order}
        has_weights |= any(n not in order for n, _ in inputs)
    return edges


def on_the_way(outputs: Sequence[Node], source: Node) -> dict[Node, None]:
    """The nodes between `outputs` and `source`, both included, each before what it is made from."""
    leads: dict[Node, bool] = {}
    seen: set[Node] = set()
    # Depth first without recursion: a node is on the stack once to open it, once to close it.
    stack = [(node, False) for node in outputs]
    while stack:
        node, is_open = stack.pop()
        inputs = [n for n, _ in node.next_functions if n is not None]
        if is_open:
            leads[node] = node is source or any(leads[n] for n in inputs)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((n, False) for n in inputs)
    return dict.fromkeys(node for node in reversed(leads) if leads[node])
