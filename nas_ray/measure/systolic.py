"""A cycle model of a weight-stationary systolic array: an estimate for silicon that is a design.

Plain arithmetic; no clock, no randomness, no tool. In the notation of SCALE-Sim (Samajdar et al.,
2018 and 2020), with R rows, C columns and T pixels:

    product   a convolution is T output pixels, each a vector of K = kernel * channels in, times a
              matrix of K x M, M = channels out. K lies on the rows, M on the columns.
    tiles     ceil(K / R) * ceil(M / C). An edge tile costs as much as a full one: the staircase.
              Groups, a depthwise convolution is nothing else, share no inputs: min(R // K, C // M)
              of them, at least one, lie on the diagonal of one tile and leave the rest of it idle.
    compute   tiles * (T + R + C - 2): pixels enter one a cycle, skewed over the rows, and drain
              over the columns. SCALE-Sim adds R to each tile for loading its weights; here they
              are loaded behind the tile before: only the first load of an operator is waited for.
    operator  first load + max(compute, DRAM bytes / bandwidth, SRAM bytes / bandwidth)

Whatever multiplies nothing runs on the vector unit, `vector_lanes` operations a cycle.

Memory: weights go from DRAM into the array. Activations live in SRAM, those that enter and leave
the graph as well, as they do inside a network. Where the tensors alive at one operator do not fit,
each of them keeps the same part of itself in DRAM for its whole life, and the operator runs in as
many passes over stripes of its pixels as the SRAM is filled: each reads all weights anew and fills
the array anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, prod
from typing import Any

from nas_ray.errors import MeasureError
from nas_ray.graph import Graph, Operator
from nas_ray.graph.operators import VIEW_KINDS
from nas_ray.measure.design import Design, read_design
from nas_ray.measure.measurement import Measurement

#: Changes when the same device.toml would get other numbers.
MODEL_VERSION = "1"

_PRODUCTS = {"conv", "depthwise_conv", "transposed_conv", "linear", "matmul"}
#: Nothing is computed, or nobody knows what (`unknown`): only their traffic counts.
_MOVES = {
    *("concat", "pad", "transpose", "flip", "repeat", "depth_to_space", "space_to_depth"),
    *("gather", "unknown"),
}
#: Vector operations a result, for kinds that need more than one.
_STEPS = {"softmax": 3, "layer_norm": 3, "resize": 4}


def systolic(graph: Graph, settings: Mapping[str, Any]) -> Measurement:
    """The back-end `systolic` of a device.toml; `settings` are what `read_settings` gives.

    Raises MeasureError for another version of this model, and where `read_design` does.
    """
    version = settings.get("version")
    if version != MODEL_VERSION:
        raise MeasureError(
            f'[measure] version of device.toml must be "{MODEL_VERSION}", that of this model, but '
            f"got {version!r}. Set it and profile the device anew from a folder without a table."
        )
    return measure(graph, read_design(settings))


def measure(graph: Graph, design: Design) -> Measurement:
    """The model's estimate for `graph` on `design`.

    An operator outside the vocabulary counts with its traffic alone, as `Graph.unknown` says.
    """
    live_bytes = _live_bytes(graph, design)
    spilled = _spilled(graph, design, live_bytes)
    operators_ms = tuple(
        _cycles(graph, operator, design, spilled, _passes(design, live_bytes[step]))
        / design.clock_hz
        * 1e3
        for step, operator in enumerate(graph.operators)
    )
    return Measurement(
        latency_ms=sum(operators_ms),
        peak_memory_bytes=max(live_bytes.values()),
        weight_bytes=graph.weight_elements * design.weight_bytes
        + graph.bias_elements * design.bias_bytes,
        macs=graph.macs,
        operators_ms=operators_ms,
    )


@dataclass(frozen=True, kw_only=True)
class _Product:
    """`groups` products of matrices side by side, each `(pixels, depth) x (depth, width)`."""

    pixels: int
    depth: int
    width: int
    groups: int

    def groups_a_tile(self, design: Design) -> int:
        """How many groups lie on the diagonal of one tile."""
        fitting = min(design.rows // self.depth, design.columns // self.width)
        return max(1, min(self.groups, fitting))

    def tiles(self, design: Design) -> int:
        """How many times the array is loaded with weights."""
        stacks = ceil(self.groups / self.groups_a_tile(design))
        return stacks * ceil(self.depth / design.rows) * ceil(self.width / design.columns)

    def first_load_elements(self, design: Design) -> int:
        """Weights of the first tile."""
        block = min(self.depth, design.rows) * min(self.width, design.columns)
        return self.groups_a_tile(design) * block

    def streamed_elements(self, design: Design) -> int:
        """Inputs that enter the rows: all of them once for every column of tiles."""
        return self.pixels * self.depth * self.groups * ceil(self.width / design.columns)


def _product(graph: Graph, operator: Operator) -> _Product:
    source, result = graph.shape(operator.inputs[0]), graph.shape(operator.outputs[0])
    groups = operator.groups
    if operator.kind == "linear":
        pixels, width = prod(result[:-1]), result[-1]
    elif operator.kind == "matmul":
        groups, pixels, width = prod(result[:-2]), prod(result[-2:-1]), result[-1]
    elif operator.kind == "transposed_conv":
        # Each input pixel gives a window of outputs, added up where windows overlap.
        pixels, width = prod(source[2:]), result[1] // groups * prod(operator.kernel)
    else:
        pixels, width = prod(result[2:]), result[1] // groups
    depth = max(1, operator.macs // (pixels * width * groups))
    return _Product(pixels=pixels, depth=depth, width=width, groups=groups)


def _cycles(
    graph: Graph, operator: Operator, design: Design, spilled: Mapping[int, float], passes: int
) -> float:
    """Cycles of one operator; `spilled` is the part of each storage that lives in DRAM."""
    if operator.kind in VIEW_KINDS:
        return 0.0
    touched = [*operator.inputs, *operator.outputs]
    moved = {n: graph.tensors[n].elements * design.activation_bytes for n in touched}
    weights = _weights_read(graph, operator) * design.weight_bytes
    dram_bytes: float = weights * passes + operator.bias_elements * design.bias_bytes
    dram_bytes += sum(moved[n] * spilled[graph.tensors[n].storage] for n in touched)
    sram_bytes = sum(moved[n] for n in touched)
    first = 0.0
    if operator.kind in _PRODUCTS:
        product = _product(graph, operator)
        filling = passes * (design.rows + design.columns - 2)
        compute = product.tiles(design) * (product.pixels + filling)
        streamed = product.streamed_elements(design) * design.activation_bytes
        sram_bytes += streamed - moved[operator.inputs[0]]
        loaded = min(weights, product.first_load_elements(design) * design.weight_bytes)
        first = max(design.rows, loaded / design.dram_bytes_per_cycle)
        dram_bytes -= loaded
    else:
        compute = ceil(_vector_operations(graph, operator) / design.vector_lanes)
    return first + max(
        compute,
        dram_bytes / design.dram_bytes_per_cycle,
        sram_bytes / design.sram_bytes_per_cycle,
    )


def _weights_read(graph: Graph, operator: Operator) -> int:
    """Constants that an operator reads; a lookup reads the rows it was asked for."""
    if operator.kind == "gather":
        return min(operator.weight_elements, graph.tensors[operator.outputs[0]].elements)
    return operator.weight_elements


def _vector_operations(graph: Graph, operator: Operator) -> int:
    if operator.kind in _MOVES:
        return 0
    if operator.kind == "mean":
        return graph.tensors[operator.inputs[0]].elements
    window = prod(operator.kernel) if operator.kind in {"max_pool", "avg_pool"} else 1
    return graph.tensors[operator.outputs[0]].elements * window * _STEPS.get(operator.kind, 1)


def _live_bytes(graph: Graph, design: Design) -> dict[int, int]:
    """Bytes of activations alive at each operator, at -1 before the first, and after the last."""
    live = dict.fromkeys(range(-1, len(graph.operators) + 1), 0)
    for storage, (first, last) in graph.lifetimes.items():
        for step in range(first, last + 1):
            live[step] += graph.tensors[storage].elements * design.activation_bytes
    return live


def _spilled(graph: Graph, design: Design, live_bytes: Mapping[int, int]) -> dict[int, float]:
    """For each storage the part of it that lives in DRAM, from 0 to 1."""
    return {
        storage: _excess(design, max(live_bytes[step] for step in range(first, last + 1)))
        for storage, (first, last) in graph.lifetimes.items()
    }


def _excess(design: Design, live_bytes: int) -> float:
    fits = not design.sram_bytes or live_bytes <= design.sram_bytes
    return 0.0 if fits else 1 - design.sram_bytes / live_bytes


def _passes(design: Design, live_bytes: int) -> int:
    return max(1, ceil(live_bytes / design.sram_bytes)) if design.sram_bytes else 1
