"""A network as data: operators with shapes, tensor lifetimes and subgraphs."""

from nas_ray.graph.operators import Graph, Operator, Tensor
from nas_ray.graph.signature import parse_signature, signature
from nas_ray.graph.subgraphs import subgraphs
from nas_ray.graph.tracing import UnknownOperatorWarning, trace

__all__ = [
    "Graph",
    "Operator",
    "Tensor",
    "UnknownOperatorWarning",
    "parse_signature",
    "signature",
    "subgraphs",
    "trace",
]
