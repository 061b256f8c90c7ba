"""Write a linear layer of tokens `(1, T, C)` as one operator: torch flattens them around it.

What comes between the layer and its activation would keep them from being one operation.
"""

from collections import Counter
from dataclasses import replace

from nas_ray.graph.operators import Graph, Operator


def unflattened(graph: Graph) -> Graph:
    """Return `graph` with `reshape, linear, reshape` as one layer where the last axis stays."""
    maker = {i: operator for operator in graph.operators for i in operator.outputs}
    readers: dict[int, list[Operator]] = {}
    for operator in graph.operators:
        for index in operator.inputs:
            readers.setdefault(index, []).append(operator)
    ends = Counter(graph.outputs)
    operators: list[Operator] = []
    gone: dict[int, int] = {}
    for operator in graph.operators:
        if operator.outputs[0] in gone:
            continue
        found = [] if ends[operator.outputs[0]] else readers.get(operator.outputs[0], [])
        before, after = maker.get(operator.inputs[0]), found[0] if len(found) == 1 else None
        if before and after and _is_flattened(graph, before, operator, after):
            gone[after.outputs[0]] = graph.tensors[operator.outputs[0]].storage
            operators.append(replace(operator, inputs=before.inputs, outputs=after.outputs))
        else:
            operators.append(operator)
    # The result was a view of the flat one, which is gone.
    owner = {storage: made for made, storage in gone.items()}
    tensors = (replace(one, storage=owner.get(one.storage, one.storage)) for one in graph.tensors)
    return replace(graph, tensors=tuple(tensors), operators=tuple(operators))


def _is_flattened(graph: Graph, before: Operator, linear: Operator, after: Operator) -> bool:
    if (before.kind, linear.kind, after.kind) != ("reshape", "linear", "reshape"):
        return False
    tokens, made = graph.shape(before.inputs[0]), graph.shape(after.outputs[0])
    flat, result = graph.shape(linear.inputs[0]), graph.shape(linear.outputs[0])
    return len(tokens) > 2 and tokens[-1] == flat[-1] and made == (*tokens[:-1], result[-1])
