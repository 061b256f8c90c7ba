"""A graph as one line of text and back: the key of a measurement table.

    1x24x56x56; conv 0 > 1x144x56x56 act=relu6 b=144; depthwise_conv 1 > 1x144x28x28 k=3x3 s=2x2 ...

Input shapes first, then one operator after the other: kind, input tensors, output shapes and what
differs from the default. `@0` behind a shape says that its channels are not where they usually are
(`Tensor.channel_axes`): `1x196x192@0` are tokens. Tensors are numbered in the order they appear.
Names are left out, so two subgraphs with the same work have the same signature wherever they stand,
except for the last words. A part of a network has `more before`, `more after` or both, because a
device runs it a little otherwise than alone (weights on their way, the layout of a tensor); `input`
or `output` follow where the part reads or writes those of the network.
"""

from math import prod

from nas_ray.errors import TraceError
from nas_ray.graph.operators import VIEW_KINDS, Graph, Operator, Tensor

#: Words for what is around a part of a network.
_SIDES = ("before", "after", "input", "output")


def signature(graph: Graph) -> str:
    """The line for `graph`; `parse_signature` reads it back to an equal graph."""
    order = [*graph.inputs, *(i for operator in graph.operators for i in operator.outputs)]
    number = {index: n for n, index in enumerate(order)}
    parts = [" ".join(_tensor_text(graph.tensors[i]) for i in graph.inputs)]
    parts += [_operator_text(graph, operator, number) for operator in graph.operators]
    read = {i for operator in graph.operators for i in operator.inputs}
    also = [number[i] for i in graph.outputs if i in read]
    parts += [f"out {' '.join(map(str, also))}"] if also else []
    around = (graph.has_before, graph.has_after, graph.reads_input, graph.writes_output)
    sides = [side for side, has in zip(_SIDES, around, strict=True) if has]
    return "; ".join(parts + ([f"more {' '.join(sides)}"] if sides else []))


def parse_signature(text: str) -> Graph:
    """The graph of one line. Raises TraceError naming the part that cannot be read."""
    head, *lines = [part.strip() for part in text.split(";")]
    try:
        tensors = [_tensor(word, n) for n, word in enumerate(head.split())]
        inputs = tuple(range(len(tensors)))
        also: tuple[int, ...] = ()
        sides: list[str] = []
        operators: list[Operator] = []
        for line in lines:
            if line.startswith("out "):
                also = tuple(int(word) for word in line.split()[1:])
            elif line.startswith("more "):
                sides = line.split()[1:]
            else:
                operators.append(_parse_operator(line, tensors))
    except (ValueError, IndexError, TypeError) as error:
        raise TraceError(f"not a subgraph signature: {text!r} ({error}).") from error
    read = {i for operator in operators for i in operator.inputs}
    ends = (i for operator in operators for i in operator.outputs if i not in read)
    return Graph(
        tensors=tuple(tensors),
        operators=tuple(operators),
        inputs=inputs,
        outputs=tuple(sorted({*ends, *also})),
        has_before="before" in sides,
        has_after="after" in sides,
        reads_input="input" in sides,
        writes_output="output" in sides,
    )


def _operator_text(graph: Graph, operator: Operator, number: dict[int, int]) -> str:
    fields = [
        operator.kind,
        ",".join(str(number[i]) for i in operator.inputs),
        ">",
        ",".join(_tensor_text(graph.tensors[i]) for i in operator.outputs),
    ]
    for label, pair in (("k", operator.kernel), ("s", operator.stride), ("d", operator.dilation)):
        if pair != (1, 1):
            fields.append(f"{label}={pair[0]}x{pair[1]}")
    axes = ",".join(map(str, operator.axes))
    plain = (("g", operator.groups, 1), ("mode", operator.mode, ""), ("axes", axes, ""))
    after = (("act", operator.activation, ""),)
    counts = (("b", operator.bias_elements, 0), ("w", operator.weight_elements, 0))
    macs = (("m", operator.macs, 0),)
    fields += [
        f"{label}={value}"
        for label, value, usual in (*plain, *after, *counts, *macs)
        if value != usual
    ]
    return " ".join(fields)


def _parse_operator(line: str, tensors: list[Tensor]) -> Operator:
    kind, inputs, arrow, outputs, *fields = line.split()
    if arrow != ">":
        raise ValueError(f"'>' expected in {line!r}")
    options = dict(field.split("=", 1) for field in fields)
    sources = tuple(int(word) for word in inputs.split(","))
    first = len(tensors)
    for n, word in enumerate(outputs.split(",")):
        storage = tensors[sources[0]].storage if kind in VIEW_KINDS else first + n
        tensors.append(_tensor(word, storage))
    return Operator(
        kind=kind,
        inputs=sources,
        outputs=tuple(range(first, len(tensors))),
        kernel=_pair(options.get("k", "1x1")),
        stride=_pair(options.get("s", "1x1")),
        dilation=_pair(options.get("d", "1x1")),
        groups=int(options.get("g", 1)),
        mode=options.get("mode", ""),
        axes=tuple(int(axis) for axis in options["axes"].split(",")) if "axes" in options else (),
        activation=options.get("act", ""),
        macs=int(options.get("m", 0)),
        weight_elements=int(options.get("w", 0)),
        bias_elements=int(options.get("b", 0)),
        name=f"{kind}_{first}",
        weight=f"weight_{first}" if "w" in options else "",
    )


def _tensor_text(tensor: Tensor) -> str:
    text = "x".join(map(str, tensor.shape))
    usual = Tensor(shape=tensor.shape, storage=0).channel_axes
    return text if tensor.channel_axes == usual else f"{text}@{tensor.channel_axes}"


def _tensor(word: str, storage: int) -> Tensor:
    text, _, channel_axes = word.partition("@")
    shape = tuple(int(part) for part in text.split("x"))
    if prod(shape) < 1:
        raise ValueError(f"a shape must be positive, but got {word}")
    if channel_axes and not 0 <= int(channel_axes) < len(shape):
        raise ValueError(f"a tensor of {len(shape)} axes cannot have {channel_axes} of channels")
    return Tensor(shape=shape, storage=storage, channel_axes=int(channel_axes or -1))


def _pair(word: str) -> tuple[int, int]:
    first, second = word.split("x")
    return int(first), int(second)
