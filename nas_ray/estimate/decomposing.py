"""The passes that each operator of a graph becomes.

The rules are those of ethos-u-vela 5.2.0 (Apache-2.0; tflite_graph_optimiser.cpp, softmax.cpp,
scheduler_decompose.cpp), written anew. Section [execution] of a profile says which of them a
device has; without any, an operator is one pass. What moves numbers and does not compute is in
`rearranging`.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from math import prod

from nas_ray.estimate.hardware import Hardware
from nas_ray.estimate.ordering import written_in_place
from nas_ray.estimate.passes import ELEMENTWISE, Pass, Program, Shape, is_narrow
from nas_ray.estimate.rearranging import place_parts, rearranged
from nas_ray.graph import Graph, Operator

_WITH_WEIGHTS = frozenset({"conv", "depthwise_conv", "linear", "transposed_conv"})
_CLAMPED = frozenset({"relu", "relu6"})
_WORD_BYTES = 4


def decomposed(graph: Graph, hardware: Hardware) -> Program:
    """The passes of `graph` in its order, and their buffers."""
    readers = Counter([*graph.outputs, *(i for op in graph.operators for i in op.inputs)])
    program = Program(graph=graph, hardware=hardware, readers=readers)
    for tensor in graph.inputs:
        _mark_end(program, program.target(tensor), inside=graph.has_before)
    if hardware.writes_in_place:
        place_parts(program, written_in_place(graph))
    for position, operator in enumerate(graph.operators):
        if not rearranged(program, operator):
            _DECOMPOSE.get(operator.kind, _one_pass)(program, operator, position)
    for tensor in graph.outputs:
        _mark_end(program, program.target(tensor), inside=graph.has_after)
    return program


def _mark_end(program: Program, buffer: int, *, inside: bool) -> None:
    program.buffers[buffer].stays = True
    program.buffers[buffer].is_linear |= not inside


def _one_pass(program: Program, operator: Operator, position: int) -> None:
    """The operator in one pass, and its activation in others."""
    for tensor in operator.outputs[1:]:
        program.target(tensor)
    made = _unactivated(program, operator)
    reads = tuple(program.place[tensor] for tensor in operator.inputs)
    program.passes.append(_pass(program, operator, position, reads, made))
    if program.hardware.splits_operators and operator.kind in ELEMENTWISE:
        _mark_narrow(program, reads, made)
    _activate(program, operator, made)


def _pass(
    program: Program, operator: Operator, position: int, reads: tuple[int, ...], made: int
) -> Pass:
    return Pass(
        kind=operator.kind,
        reads=reads,
        writes=made,
        shape=program.shapes(operator)[1],
        operator=position if operator.kind in _WITH_WEIGHTS else -1,
        kernel=operator.kernel,
        stride=operator.stride,
    )


def _unactivated(program: Program, operator: Operator) -> int:
    """Where the result is before its activation: a buffer of its own if there is one to apply."""
    if program.hardware.splits_operators and operator.activation:
        return program.buffer(program.shapes(operator)[1])
    return program.target(operator.outputs[0])


def _activate(program: Program, operator: Operator, made: int) -> None:
    target, name = program.target(operator.outputs[0]), operator.activation
    if made == target:
        return
    shape = program.shapes(operator)[1]
    if name == "silu":
        factor = program.buffer(shape)
        _apply(program, "lookup", made, factor)
        program.run("mul", [made, factor], target, shape=shape)
    elif name == "hardsigmoid":
        shifted = program.buffer(shape)
        _apply(program, "add", made, shifted)
        _apply(program, "mul", shifted, target)
    else:
        _apply(program, "clamp" if name in _CLAMPED else "lookup", made, target)


def _apply(program: Program, kind: str, source: int, target: int) -> None:
    program.run(kind, [source], target, shape=program.buffers[source].shape)
    _mark_narrow(program, (source,), target)


def _mark_narrow(program: Program, reads: tuple[int, ...], made: int) -> None:
    """What is worked on in another shape cannot have its channels padded."""
    used = [program.buffers[i] for i in (*reads, made)]
    if all(one.shape == used[0].shape for one in used) and is_narrow(used[0].shape):
        for one in used:
            one.is_linear = True


def _activation(program: Program, operator: Operator, position: int) -> None:
    if program.hardware.splits_operators:
        program.target(operator.outputs[0])
        _activate(program, operator, program.source(operator))
    else:
        _one_pass(program, operator, position)


def _convolution(program: Program, operator: Operator, position: int) -> None:
    """A grouped convolution runs group by group."""
    before, after = program.shapes(operator)
    count = operator.groups
    if count in {1, before[1]} or not program.hardware.splits_operators:
        return _one_pass(program, operator, position)
    made = _unactivated(program, operator)
    program.buffers[program.source(operator)].is_linear = True
    program.buffers[made].is_linear |= after[1] // count % program.hardware.channel_multiple > 0
    return _in_parts(program, operator, position, made, count)


def _transposed_convolution(program: Program, operator: Operator, position: int) -> None:
    """Split it into one convolution for each phase of the stride, where the device does."""
    count, hardware = prod(operator.stride), program.hardware
    is_split = hardware.array is not None and hardware.array.splits_transposed
    if not is_split or not hardware.splits_operators or count == 1:
        return _one_pass(program, operator, position)
    made = _unactivated(program, operator)
    program.buffers[made].is_linear = True
    return _in_parts(program, operator, position, made, count)


def _in_parts(program: Program, operator: Operator, position: int, made: int, count: int) -> None:
    reads = (program.source(operator),)
    part = replace(_pass(program, operator, position, reads, made), share=1 / count)
    program.passes += [part] * count
    _activate(program, operator, made)


def _batch_norm(program: Program, operator: Operator, position: int) -> None:
    """A product and a sum with a constant a channel."""
    if not program.hardware.splits_operators:
        return _one_pass(program, operator, position)
    shape, made = program.shapes(operator)[1], _unactivated(program, operator)
    scaled = program.buffer(shape)
    program.run("mul", [program.source(operator)], scaled, shape=shape, constants=1)
    program.run("add", [scaled], made, shape=shape, constants=1)
    return _activate(program, operator, made)


def _pool(program: Program, operator: Operator, position: int) -> None:
    """A padding that a pooling cannot do itself makes a tensor of its own."""
    before, after = program.shapes(operator)
    sides = list(zip(before[2:], after[2:], operator.kernel, operator.stride, strict=False))
    padded = tuple((a - 1) * s + k for _, a, k, s in sides)
    if (
        not program.hardware.splits_operators
        or len(before) != 4
        or all(a == -(-b // s) for b, a, _, s in sides)
        or all(p <= b for p, (b, *_) in zip(padded, sides, strict=True))
    ):
        return _one_pass(program, operator, position)
    around, made = program.buffer((*before[:2], *padded)), _unactivated(program, operator)
    program.run("copy", [program.source(operator)], around, shape=before)
    program.passes.append(_pass(program, operator, position, (around,), made))
    return _activate(program, operator, made)


def _mean(program: Program, operator: Operator, position: int) -> None:
    """A pooling over all of the image."""
    height, width = (1, *program.shapes(operator)[0][2:])[-2:]
    _one_pass(program, operator, position)
    last = next(n for n in reversed(range(len(program.passes))) if program.passes[n].kind == "mean")
    program.passes[last] = replace(program.passes[last], kernel=(height, width))


def _softmax(program: Program, operator: Operator, position: int) -> None:
    """Exponentials and their sums in words of 4 bytes; one over the sum by Newton's method."""
    if not program.hardware.splits_operators:
        return _one_pass(program, operator, position)
    source, target = program.source(operator), program.target(operator.outputs[0])
    shape = program.shapes(operator)[1]
    column = (shape[0], 1, *shape[2:])

    def words(shape: Shape, *, is_linear: bool = False) -> int:
        return program.buffer(shape, number_bytes=_WORD_BYTES, is_linear=is_linear)

    largest = program.buffer(column, is_linear=True)
    exponential, shifted = words(shape), words(shape, is_linear=True)
    total, scale = words(column, is_linear=True), words(column, is_linear=True)
    headroom, half, first, second = (words(column) for _ in range(4))
    program.run("max_pool", [source], largest)
    program.run("exponential", [source, largest], exponential)
    program.run("shift", [exponential], shifted)
    program.run("mean", [shifted], total)
    program.run("headroom", [total], headroom)
    program.run("shift", [total, headroom], half)
    program.run("iterate", [half], first)
    program.run("iterate", [half, first], second)
    program.run("iterate", [half, first, second], scale)
    if program.hardware.chain_length > 1:
        return program.run("scale", [exponential, scale], target, shape=shape)
    product = words(shape)
    program.run("scale", [exponential, scale], product)
    return program.run("scale", [product], target, shape=shape)


_DECOMPOSE: dict[str, Callable[[Program, Operator, int], None]] = {
    "activation": _activation,
    "avg_pool": _pool,
    "batch_norm": _batch_norm,
    "conv": _convolution,
    "max_pool": _pool,
    "mean": _mean,
    "softmax": _softmax,
    "transposed_conv": _transposed_convolution,
}
