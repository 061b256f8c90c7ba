"""Memory of a network: activations alive at once, weights on their way, and constants."""

from collections.abc import Sequence
from math import prod

import numpy as np

from nas_ray.estimate.hardware import Hardware
from nas_ray.estimate.merging import run
from nas_ray.estimate.ordering import best_order, depth_first, reordered
from nas_ray.estimate.peak import Piece, peaks, peaks_in_place, piece
from nas_ray.graph import Graph


def peak_memory_bytes(graph: Graph, hardware: Hardware) -> int:
    """The most bytes alive at one operator, in the order in which the device runs them.

    The inputs and outputs of an operator are alive together; views live in the memory of what
    they show. Where the device has a section [staging], weights that it copies beside the
    activations count too. What a compiler may do on top is ignored: computing in place, running
    several operators stripe by stripe, fragmentation.

    Without [staging], the peak of a network is the largest of its pieces' peaks. With it, it is
    not: what a piece copies ahead stands beside the end of the piece before (`peak`).
    """
    whole = np.zeros((1, 1), dtype=np.int32)
    return int(peaks([piece_of(graph, hardware)], whole, hardware.staging)[0])


def part_peaks_bytes(parts: Sequence[Graph], hardware: Hardware) -> list[int]:
    """Return the peak of each of `parts` of a network, which run one after the other.

    What merely passes by a part is left out. What a part hands on lies in memory, even where the
    next part reads it in the same pass.
    """
    pieces = [piece_of(part, hardware) for part in parts]
    ids = np.arange(len(pieces), dtype=np.int32)[np.newaxis]
    return [int(peak) for peak in peaks_in_place(pieces, ids, hardware.staging)[0]]


def piece_of(graph: Graph, hardware: Hardware) -> Piece:
    """What a part of a network brings to the peak of the network."""
    if hardware.is_depth_first:
        graph = reordered(graph, depth_first(graph))
    return piece(graph, run(graph, hardware), hardware)


def least_memory(graph: Graph, hardware: Hardware) -> Graph:
    """`graph` with its operators in the order whose activations need the least memory at once.

    Advice, not what a device does. Exact for up to 16 operators between two cuts.
    """
    return reordered(graph, best_order(graph, _storage_bytes(graph, hardware)))


def _storage_bytes(graph: Graph, hardware: Hardware) -> list[int]:
    """Bytes of each tensor, padded as `hardware` says.

    All begin at its alignment. Channels are padded to its channel multiple, but not those of a
    tensor that enters or leaves the network or of which another shows a part. What a part of a
    network takes from the operators before it, or leaves to those after it, is inside.
    """
    plain = {tensor.storage for n, tensor in enumerate(graph.tensors) if tensor.storage != n}
    plain |= set() if graph.has_before else set(graph.inputs)
    plain |= set() if graph.has_after else set(graph.outputs)
    return [
        _tensor_bytes(tensor.shape, hardware, 1 if n in plain else hardware.channel_multiple)
        for n, tensor in enumerate(graph.tensors)
    ]


def _tensor_bytes(shape: tuple[int, ...], hardware: Hardware, channel_multiple: int) -> int:
    if len(shape) > 1:
        channels = -(-shape[1] // channel_multiple) * channel_multiple
        shape = (shape[0], channels, *shape[2:])
    alignment = hardware.alignment_bytes
    return -(-prod(shape) * hardware.activation_bytes // alignment) * alignment


def weight_bytes(graph: Graph, hardware: Hardware) -> int:
    """Bytes of weights and biases as stored before any compression; a shared weight counts once."""
    weights = graph.weight_elements * hardware.weight_bytes
    return weights + graph.bias_elements * hardware.bias_bytes
