"""Memory of a network: activations alive at once, and constants."""

from nas_ray.estimate.hardware import Hardware
from nas_ray.graph import Graph


def peak_memory_bytes(graph: Graph, hardware: Hardware) -> int:
    """The most bytes of activations alive at one operator, in the order of execution.

    The inputs and outputs of an operator are alive together; views live in the memory of what
    they show. What a compiler may do on top is ignored: computing in place, running several
    operators stripe by stripe, fragmentation.
    """
    return graph.peak_elements * hardware.activation_bytes


def weight_bytes(graph: Graph, hardware: Hardware) -> int:
    """Bytes of weights and biases as stored before any compression; a shared weight counts once."""
    weights = graph.weight_elements * hardware.weight_bytes
    return weights + graph.bias_elements * hardware.bias_bytes
