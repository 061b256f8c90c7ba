"""Operators that move numbers and do not compute: what of them an accelerator runs.

A reshaped tensor is the same memory; readers take a slice out of the whole; what is concatenated
or padded is written where it belongs, or copied there; a convolution pads by itself. The rules are
those of ethos-u-vela 5.2.0 (Apache-2.0; graphir_optimiser.cpp), written anew.
"""

from math import prod

from nas_ray.estimate.passes import Program, Shape
from nas_ray.graph import Operator

_WINDOWS = frozenset({"conv", "depthwise_conv"})
#: Readers that a slice is copied for.
_NEEDS_COPY = frozenset({"reshape", "transpose", "slice"})


def place_parts(program: Program, placed: frozenset[int]) -> None:
    """Give tensors that are written into another one its buffer."""
    for operator in program.graph.operators:
        if operator.kind == "concat" or (
            operator.kind == "pad" and not _is_folded(program, operator)
        ):
            whole = program.target(operator.outputs[0])
            program.place |= {tensor: whole for tensor in operator.inputs if tensor in placed}
            if operator.kind == "concat" and _has_broken_bricks(program, operator):
                program.buffers[whole].is_linear = True


def _has_broken_bricks(program: Program, operator: Operator) -> bool:
    """Whether a part begins inside a brick of channels."""
    whole, first = program.shapes(operator)[1], 0
    for tensor in operator.inputs:
        if first % program.hardware.channel_multiple:
            return True
        shape = program.graph.shape(tensor)
        if len(shape) == len(whole) > 1 and shape[1] != whole[1]:
            first += shape[1]
    return False


def rearranged(program: Program, operator: Operator) -> bool:
    """Append what `operator` takes, if it only moves numbers and the device has a rule for it."""
    hardware = program.hardware
    if operator.kind == "reshape":
        _reshape(program, operator)
    elif operator.kind == "slice":
        _slice(program, operator)
    elif operator.kind == "concat" and hardware.writes_in_place:
        _concat(program, operator)
    elif operator.kind == "pad" and hardware.writes_in_place:
        _pad(program, operator)
    elif operator.kind == "resize" and hardware.upscales_input:
        return _resize(program, operator)
    else:
        return False
    return True


def _reshape(program: Program, operator: Operator) -> None:
    """The same memory under another shape; what others read as well is copied for all of them."""
    tensor, (before, after) = operator.inputs[0], program.shapes(operator)
    if program.hardware.splits_operators and before != after:
        if program.readers[tensor] > 1:
            copy = program.buffer(before)
            program.run("copy", [program.place[tensor]], copy)
            program.place[tensor] = copy
        program.buffers[program.place[tensor]].is_linear |= _row(before) != _row(after)
    program.place |= dict.fromkeys(operator.outputs, program.place[tensor])


def _row(shape: Shape) -> Shape:
    """Width and channels."""
    return (shape[2], shape[1]) if len(shape) == 3 else (prod(shape[3:]), *shape[1:2])


def _slice(program: Program, operator: Operator) -> None:
    """A part that its readers take out of the whole; or a copy, where they cannot."""
    graph, source = program.graph, program.source(operator)
    whole = graph.shape(operator.inputs[0])
    for out in operator.outputs:
        readers = {op.kind for op in graph.operators if out in op.inputs}
        is_copied = bool(readers & _NEEDS_COPY) or out in graph.outputs
        program.buffers[source].is_linear |= _row(graph.shape(out)) != _row(whole)
        if program.hardware.splits_operators and is_copied:
            program.run("copy", [source], program.target(out))
        else:
            program.place[out] = source


def _concat(program: Program, operator: Operator) -> None:
    target = program.place[operator.outputs[0]]
    for tensor in reversed(operator.inputs):
        if program.place[tensor] != target:
            source = program.place[tensor]
            program.run("copy", [source], target, shape=program.graph.shape(tensor))


def _is_folded(program: Program, operator: Operator) -> bool:
    """Whether a padding is left to the convolutions that read it."""
    before, after = program.shapes(operator)
    out = operator.outputs[0]
    readers = {op.kind for op in program.graph.operators if out in op.inputs}
    is_image = len(before) == 4 and before[1] == after[1]
    return is_image and bool(readers) and readers <= _WINDOWS and out not in program.graph.outputs


def _pad(program: Program, operator: Operator) -> None:
    source = program.source(operator)
    if _is_folded(program, operator):
        program.place[operator.outputs[0]] = source
        return
    target = program.place[operator.outputs[0]]
    program.run("copy", [], target)
    if source != target:
        program.run("copy", [source], target, shape=program.buffers[source].shape)


def _resize(program: Program, operator: Operator) -> bool:
    """Without a unit for it: the input with its edges repeated, and a convolution a phase."""
    before, after = program.shapes(operator)
    if len(before) != 4 or before[1] != after[1]:
        return False
    target = program.target(operator.outputs[0])
    grown = program.buffer((*before[:2], before[2] + 2, before[3] + 2), is_linear=True)
    program.buffers[target].is_linear = True
    program.run("copy", [program.source(operator)], grown, shape=before)
    for _ in range(max(1, after[2] // before[2]) * max(1, after[3] // before[3])):
        program.run("resize", [grown], target, shape=before)
    return True
