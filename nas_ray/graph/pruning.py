"""Leave out what no result depends on: a compiler does too."""

from dataclasses import replace

from nas_ray.graph.operators import Graph, Operator


def prune(graph: Graph) -> Graph:
    """`graph` without operators nobody reads; of a split, the parts nobody reads go too."""
    read = set(graph.outputs)
    kept: list[Operator] = []
    for operator in reversed(graph.operators):
        if outputs := tuple(i for i in operator.outputs if i in read):
            kept.append(replace(operator, outputs=outputs))
            read.update(operator.inputs)
    return replace(graph, operators=tuple(reversed(kept)))
