"""Memory of a network: activations alive at once, and constants."""

import numpy as np

from nas_ray.estimate.hardware import Hardware
from nas_ray.graph import Graph


def peak_memory_bytes(graph: Graph, hardware: Hardware) -> int:
    """The most bytes of activations alive at one operator, in the order of execution.

    The inputs and outputs of an operator are alive together; views live in the memory of what
    they show. What a compiler may do on top is ignored: computing in place, running several
    operators stripe by stripe, fragmentation.
    """
    # Position 0 is "before the first operator", where graph inputs begin to live.
    change = np.zeros(len(graph.operators) + 3, dtype=np.int64)
    for storage, (first, last) in graph.lifetimes.items():
        elements = graph.tensors[storage].elements
        change[first + 1] += elements
        change[last + 2] -= elements
    return int(change.cumsum().max()) * hardware.activation_bytes


def weight_bytes(graph: Graph, hardware: Hardware) -> int:
    """Bytes of weights and biases as stored before any compression; a shared weight counts once."""
    weights = graph.weight_elements * hardware.weight_bytes
    return weights + graph.bias_elements * hardware.bias_bytes
