"""Fold batch norms and activations into the operator whose result they are the only ones to read.

An accelerator runs convolution, batch norm and activation as one operation: the batch norm becomes
weights and bias, the activation is applied on the way out.
"""

from dataclasses import replace

from nas_ray.graph.operators import Graph, Operator

_TAKES_BATCH_NORM = {"conv", "depthwise_conv", "transposed_conv", "linear"}
_TAKES_ACTIVATION = {*_TAKES_BATCH_NORM, "add", "sub", "mul", "mean", "avg_pool", "batch_norm"}


def fuse(graph: Graph) -> Graph:
    """`graph` with every foldable batch norm and activation folded; unused tensors are dropped."""
    readers = _reader_counts(graph)
    operators: list[Operator] = []
    producer: dict[int, int] = {}
    for operator in graph.operators:
        source = operator.inputs[0]
        before = producer.get(source)
        if (
            before is not None
            and readers[source] == 1
            and _folds(graph, operator, host := operators[before])
        ):
            operators[before] = _folded(operator, host)
            producer[operator.outputs[0]] = before
        else:
            producer |= dict.fromkeys(operator.outputs, len(operators))
            operators.append(operator)
    return _compact(replace(graph, operators=tuple(operators)))


def _reader_counts(graph: Graph) -> dict[int, int]:
    counts = dict.fromkeys(range(len(graph.tensors)), 0)
    for index in graph.outputs:
        counts[index] += 1
    for operator in graph.operators:
        for index in operator.inputs:
            counts[index] += 1
    return counts


def _folds(graph: Graph, operator: Operator, host: Operator) -> bool:
    if host.activation:
        return False
    if operator.kind == "add":
        return _is_bias(graph, operator, host)
    if operator.kind == "batch_norm":
        return host.kind in _TAKES_BATCH_NORM
    return operator.kind == "activation" and host.kind in _TAKES_ACTIVATION


def _is_bias(graph: Graph, operator: Operator, host: Operator) -> bool:
    """Tell whether a sum is the bias of a linear layer, which torch adds apart to a view."""
    is_constant = len(operator.inputs) == 1 and not operator.mode
    features = graph.shape(operator.outputs[0])[-1]
    is_linear = host.kind == "linear" and not host.bias_elements
    return is_linear and is_constant and operator.weight_elements == features


def _folded(operator: Operator, host: Operator) -> Operator:
    if operator.kind == "activation":
        return replace(host, outputs=operator.outputs, activation=operator.activation)
    if operator.kind == "add":
        return replace(host, outputs=operator.outputs, bias_elements=operator.weight_elements)
    return replace(host, outputs=operator.outputs, bias_elements=operator.bias_elements)


def _compact(graph: Graph) -> Graph:
    """Renumber tensors so that only those an operator reads or writes remain."""
    used = dict.fromkeys(graph.inputs)
    for operator in graph.operators:
        used |= dict.fromkeys((*operator.inputs, *operator.outputs))
    used |= dict.fromkeys(graph.outputs)
    new = {old: n for n, old in enumerate(used)}
    return replace(
        graph,
        tensors=tuple(
            replace(graph.tensors[old], storage=new[graph.tensors[old].storage]) for old in used
        ),
        operators=tuple(
            replace(
                operator,
                inputs=tuple(new[i] for i in operator.inputs),
                outputs=tuple(new[i] for i in operator.outputs),
            )
            for operator in graph.operators
        ),
        inputs=tuple(new[i] for i in graph.inputs),
        outputs=tuple(new[i] for i in graph.outputs),
    )
