"""The passes that each operator of a graph becomes.

The rules are those of ethos-u-vela 5.2.0 (Apache-2.0; graphir_optimiser.cpp,
tflite_graph_optimiser.cpp, softmax.cpp, scheduler_decompose.cpp), written anew. Section
[execution] of a profile says which of them a device has; without any, an operator is one pass.
"""

from collections import Counter
from collections.abc import Callable
from math import prod

from nas_ray.estimate.hardware import Hardware
from nas_ray.estimate.ordering import written_in_place
from nas_ray.estimate.passes import BRICK, Pass, Program, Shape
from nas_ray.graph import Graph, Operator

#: Operators that combine two tensors number by number.
ELEMENTWISE = frozenset({"add", "sub", "mul", "maximum", "minimum"})
_WINDOWS = frozenset({"conv", "depthwise_conv"})
#: Readers that a part of a tensor is copied for.
_NEEDS_COPY = frozenset({"reshape", "transpose", "slice"})
_WORD_BYTES = 4


def decomposed(graph: Graph, hardware: Hardware) -> Program:
    """The passes of `graph` in its order, and their buffers."""
    readers = Counter([*graph.outputs, *(i for op in graph.operators for i in op.inputs)])
    program = Program(graph=graph, hardware=hardware, readers=readers)
    for tensor in graph.inputs:
        _mark_end(program, program.output(tensor), inside=graph.has_before)
    if hardware.writes_in_place:
        placed = written_in_place(graph)
        for operator in graph.operators:
            _place_parts(program, operator, placed)
    for position, operator in enumerate(graph.operators):
        _DECOMPOSE.get(operator.kind, _one_pass)(program, operator, position)
    for tensor in graph.outputs:
        _mark_end(program, program.output(tensor), inside=graph.has_after)
    return program


def _mark_end(program: Program, buffer: int, *, inside: bool) -> None:
    program.buffers[buffer].stays = True
    program.buffers[buffer].is_linear |= not inside


def _place_parts(program: Program, operator: Operator, placed: frozenset[int]) -> None:
    """Give the inputs of a concatenation or a padding that are written in place their buffer."""
    graph, out = program.graph, operator.outputs[0]
    if operator.kind == "pad" and _is_folded(program, operator):
        return
    if operator.kind not in {"concat", "pad"}:
        return
    whole = program.output(out)
    program.place |= {tensor: whole for tensor in operator.inputs if tensor in placed}
    if operator.kind == "concat" and len(graph.shape(out)) > 1:
        first = 0
        for tensor in operator.inputs:
            program.buffers[whole].is_linear |= first % BRICK > 0
            first += graph.shape(tensor)[1] if graph.shape(tensor) != graph.shape(out) else 0


def _is_folded(program: Program, operator: Operator) -> bool:
    """Whether a padding is left to the convolutions that read it."""
    if not program.hardware.writes_in_place:
        return False
    before, after = (program.graph.shape(i[0]) for i in (operator.inputs, operator.outputs))
    readers = [op for op in program.graph.operators if operator.outputs[0] in op.inputs]
    return (
        len(before) == 4
        and before[1] == after[1]
        and operator.outputs[0] not in program.graph.outputs
        and bool(readers)
        and all(op.kind in _WINDOWS for op in readers)
    )


def _one_pass(program: Program, operator: Operator, position: int) -> None:
    reads = program.inputs(operator.inputs)
    for tensor in operator.outputs[1:]:
        program.output(tensor)
    target = program.output(operator.outputs[0])
    has_weights = operator.kind in {"conv", "depthwise_conv", "linear", "transposed_conv"}
    made = target if _is_plain(program, operator) else program.buffer(_shape(program, operator))
    one = Pass(
        kind=operator.kind,
        reads=reads,
        writes=made,
        operator=position if has_weights else -1,
        window=prod(operator.kernel),
    )
    program.passes.append(one)
    _activate(program, operator, made, target)


def _shape(program: Program, operator: Operator) -> Shape:
    return program.graph.shape(operator.outputs[0])


def _is_plain(program: Program, operator: Operator) -> bool:
    """Whether the activation costs no pass: it is applied on the way out."""
    return not program.hardware.splits_operators or operator.activation not in {
        "silu",
        "hardsigmoid",
    }


def _activate(program: Program, operator: Operator, made: int, target: int) -> None:
    if made == target:
        return
    shape = _shape(program, operator)
    between = program.buffer(shape)
    if operator.activation == "silu":
        program.run("activation", [made], between)
        program.run("mul", [made, between], target)
    else:
        program.run("add", [made], between)
        program.run("mul", [between], target)


def _activation(program: Program, operator: Operator, position: int) -> None:
    if _is_plain(program, operator):
        _one_pass(program, operator, position)
    else:
        made = program.place[operator.inputs[0]]
        _activate(program, operator, made, program.output(operator.outputs[0]))


def _convolution(program: Program, operator: Operator, position: int) -> None:
    """A grouped convolution runs group by group; its activation then is a pass of its own."""
    if operator.groups == 1 or not program.hardware.splits_operators:
        return _one_pass(program, operator, position)
    source, target = program.place[operator.inputs[0]], program.output(operator.outputs[0])
    shape, count = _shape(program, operator), operator.groups
    made = program.buffer(shape) if operator.activation else target
    program.buffers[source].is_linear = True
    program.buffers[made].is_linear |= shape[1] // count % BRICK > 0
    _parts(program, position, [source], made, count)
    if made == target:
        return None
    if _is_plain(program, operator):
        return program.run("activation", [made], target)
    return _activate(program, operator, made, target)


def _parts(program: Program, position: int, reads: list[int], made: int, count: int) -> None:
    operator = program.graph.operators[position]
    for _ in range(count):
        one = Pass(
            kind=operator.kind,
            reads=tuple(reads),
            writes=made,
            operator=position,
            share=1 / count,
        )
        program.passes.append(one)


def _transposed_convolution(program: Program, operator: Operator, position: int) -> None:
    """Where an input is not enlarged on reading, one convolution for each phase of the stride."""
    count = prod(operator.stride)
    if program.hardware.upscales_input or not program.hardware.splits_operators or count == 1:
        return _one_pass(program, operator, position)
    source, target = program.place[operator.inputs[0]], program.output(operator.outputs[0])
    made = program.buffer(_shape(program, operator)) if operator.activation else target
    program.buffers[made].is_linear = True
    _parts(program, position, [source], made, count)
    if made == target:
        return None
    if _is_plain(program, operator):
        return program.run("activation", [made], target)
    return _activate(program, operator, made, target)


def _batch_norm(program: Program, operator: Operator, position: int) -> None:
    if not program.hardware.splits_operators:
        return _one_pass(program, operator, position)
    source, target = program.place[operator.inputs[0]], program.output(operator.outputs[0])
    shape = _shape(program, operator)
    made = target if _is_plain(program, operator) else program.buffer(shape)
    scaled = program.buffer(shape)
    program.run("mul", [source], scaled, constants=1)
    program.run("add", [scaled], made, constants=1)
    return _activate(program, operator, made, target)


def _pool(program: Program, operator: Operator, position: int) -> None:
    """A padding that a pooling cannot do itself is a tensor of its own."""
    before, after = program.graph.shape(operator.inputs[0]), _shape(program, operator)
    sides = list(zip(before[2:], after[2:], operator.kernel, operator.stride, strict=False))
    padded = tuple((a - 1) * s + k for _, a, k, s in sides)
    if (
        not program.hardware.splits_operators
        or len(before) != 4
        or all(a == -(-b // s) for b, a, _, s in sides)
        or all(p <= b for p, (b, *_) in zip(padded, sides, strict=True))
    ):
        return _one_pass(program, operator, position)
    source, target = program.place[operator.inputs[0]], program.output(operator.outputs[0])
    around = program.buffer((*before[:2], *padded))
    program.run("copy", [source], around)
    return program.run(operator.kind, [around], target, window=prod(operator.kernel))


def _reshape(program: Program, operator: Operator, position: int) -> None:
    """The same memory under another shape; what others read as well is copied for it."""
    del position
    tensor = operator.inputs[0]
    source, shape = program.place[tensor], _shape(program, operator)
    if program.hardware.splits_operators and shape != program.graph.shape(tensor):
        if program.readers[tensor] > 1:
            source = _copied(program, tensor)
        program.buffers[source].is_linear |= _row(shape) != _row(program.graph.shape(tensor))
    for out in operator.outputs:
        program.place[out] = source


def _row(shape: Shape) -> Shape:
    """Width and channels."""
    return (prod(shape[3:]), shape[1]) if len(shape) != 3 else (shape[2], shape[1])


def _copied(program: Program, tensor: int) -> int:
    """Everything that reads `tensor` later reads a copy."""
    copy = program.buffer(program.graph.shape(tensor))
    program.run("copy", [program.place[tensor]], copy)
    program.place[tensor] = copy
    return copy


def _slice(program: Program, operator: Operator, position: int) -> None:
    """A part that its readers take out of the whole; or a copy, where they cannot."""
    del position
    graph, source = program.graph, program.place[operator.inputs[0]]
    whole = graph.shape(operator.inputs[0])
    for out in operator.outputs:
        part = graph.shape(out)
        readers = {op.kind for op in graph.operators if out in op.inputs}
        is_copied = bool(readers & _NEEDS_COPY) or out in graph.outputs
        program.buffers[source].is_linear |= _row(part) != _row(whole)
        if program.hardware.splits_operators and is_copied:
            program.run("copy", [source], program.output(out))
        else:
            program.place[out] = source


def _concat(program: Program, operator: Operator, position: int) -> None:
    if not program.hardware.writes_in_place:
        return _one_pass(program, operator, position)
    target = program.output(operator.outputs[0])
    for tensor in reversed(operator.inputs):
        if program.place[tensor] != target:
            program.run("copy", [program.place[tensor]], target)
    return None


def _pad(program: Program, operator: Operator, position: int) -> None:
    source = program.place[operator.inputs[0]]
    if _is_folded(program, operator):
        program.place[operator.outputs[0]] = source
    elif not program.hardware.writes_in_place:
        _one_pass(program, operator, position)
    else:
        target = program.output(operator.outputs[0])
        program.run("copy", [], target)
        if source != target:
            program.run("copy", [source], target)


def _resize(program: Program, operator: Operator, position: int) -> None:
    """Without a unit for it: the input with its edges repeated, and convolutions of that."""
    before, after = program.graph.shape(operator.inputs[0]), _shape(program, operator)
    if not (program.hardware.upscales_input and len(before) == 4 and before[1] == after[1]):
        return _one_pass(program, operator, position)
    target = program.output(operator.outputs[0])
    grown = program.buffer((*before[:2], before[2] + 2, before[3] + 2), is_linear=True)
    program.buffers[target].is_linear = True
    program.run("copy", program.inputs(operator.inputs), grown)
    for _ in range(max(1, after[2] // before[2]) * max(1, after[3] // before[3])):
        program.run("resize", [grown], target)
    return None


def _softmax(program: Program, operator: Operator, position: int) -> None:
    """Exponentials and their sums in words of 4 bytes; one over the sum by Newton's method."""
    if not program.hardware.splits_operators:
        return _one_pass(program, operator, position)
    source, target = program.place[operator.inputs[0]], program.output(operator.outputs[0])
    shape = _shape(program, operator)
    column = (shape[0], 1, *shape[2:])

    def words(shape: Shape, *, is_linear: bool = False) -> int:
        return program.buffer(shape, number_bytes=_WORD_BYTES, is_linear=is_linear)

    largest = program.buffer(column, is_linear=True)
    program.run("max_pool", [source], largest)
    exponential, shifted = words(shape), words(shape, is_linear=True)
    total, scale = words(column, is_linear=True), words(column, is_linear=True)
    program.run("sub", [source, largest], exponential)
    program.run("shift", [exponential], shifted)
    program.run("mean", [shifted], total)
    headroom, half, first, second = (words(column) for _ in range(4))
    program.run("count", [total], headroom)
    program.run("shift", [total, headroom], half)
    program.run("mul", [half], first)
    program.run("iterate", [half, first], second)
    program.run("iterate", [half, first, second], scale)
    if program.hardware.chain_length > 1:
        return program.run("scale", [exponential, scale], target)
    product = words(shape)
    program.run("scale", [exponential, scale], product)
    return program.run("shift", [product], target)


_DECOMPOSE: dict[str, Callable[[Program, Operator, int], None]] = {
    "activation": _activation,
    "avg_pool": _pool,
    "batch_norm": _batch_norm,
    "concat": _concat,
    "conv": _convolution,
    "max_pool": _pool,
    "pad": _pad,
    "reshape": _reshape,
    "resize": _resize,
    "slice": _slice,
    "softmax": _softmax,
    "transposed_conv": _transposed_convolution,
}
