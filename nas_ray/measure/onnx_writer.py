"""Writes a graph as an ONNX file node by node: names, constants and the file around them.

Opset 20 and IR 9: read by onnxruntime 1.17 and later.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from nas_ray.errors import MeasureError
from nas_ray.graph import Graph, Operator

OPSET, IR_VERSION = 20, 9
Shape = tuple[int, ...]


def optional(module: str) -> Any:
    """A module of the extra `onnx`. Raises MeasureError that says how to install it."""
    try:
        return import_module(module)
    except ImportError as error:
        raise MeasureError(
            f"the package {module} cannot be imported ({error}): pip install 'nas-ray[onnx]'."
        ) from error


class OnnxWriter:
    """One file; `names` maps tensors of the graph to those of the file, in the order written."""

    def __init__(self, graph: Graph, seed: int) -> None:
        self.graph = graph
        self.names: dict[int, str] = {}
        self._onnx = optional("onnx")
        self._rng = np.random.default_rng(seed)
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        # What a look-up reads are positions in a table; everything else is float32.
        positions = {o.inputs[0] for o in graph.operators if o.kind == "gather"}
        numbers = self._onnx.TensorProto
        self._inputs: list[Any] = []
        for tensor in graph.inputs:
            self.names[tensor] = f"input_{len(self._inputs)}"
            kind = numbers.INT64 if tensor in positions else numbers.FLOAT
            self._inputs.append(self._described(self.names[tensor], graph.shape(tensor), kind))

    def sources(self, operator: Operator) -> list[str]:
        """Names of its inputs."""
        return [self.names[tensor] for tensor in operator.inputs]

    def before(self, operator: Operator) -> Shape:
        """Shape of its first input."""
        return self.graph.shape(operator.inputs[0])

    def after(self, operator: Operator) -> Shape:
        """Shape of its first output."""
        return self.graph.shape(operator.outputs[0])

    def constant(self, values: np.ndarray) -> str:
        """A tensor in the file."""
        name = f"constant_{len(self._constants)}"
        self._constants.append(self._onnx.numpy_helper.from_array(values, name))
        return name

    def weights(self, shape: Shape, fan_in: int) -> str:
        """Gaussian weights under which activations neither grow nor fade (He et al., 2015)."""
        values = self._rng.normal(0.0, np.sqrt(2.0 / fan_in), shape)
        return self.constant(values.astype(np.float32))

    def bias(self, elements: int) -> list[str]:
        """The bias as the last input of a node, if there is one."""
        values = self._rng.normal(0.0, 0.1, elements).astype(np.float32)
        return [self.constant(values)] if elements else []

    def numbers(self, shape: Shape) -> str:
        """A constant near 1: scales, shifts and operands."""
        return self.constant(self._rng.uniform(0.5, 1.5, shape).astype(np.float32))

    def integers(self, values: Sequence[int]) -> str:
        """A constant of axes, sizes or positions."""
        return self.constant(np.asarray(values, dtype=np.int64))

    def node(
        self, op_type: str, inputs: Sequence[str], attributes: Mapping[str, Any] | None = None
    ) -> str:
        """One node with one new output tensor, whose name is returned."""
        name = f"tensor_{len(self._nodes)}"
        self._nodes.append(
            self._onnx.helper.make_node(op_type, inputs, [name], **(attributes or {}))
        )
        return name

    def reshaped(self, name: str, shape: Shape) -> str:
        """The same numbers in another shape."""
        return self.node("Reshape", [name, self.integers(shape)])

    def finish(self) -> bytes:
        """The file; the outputs are those of the graph, one that is given twice once."""
        outputs = {}
        for tensor in self.graph.outputs:
            name = self.names[tensor]
            if tensor in self.graph.inputs:
                name = self.node("Identity", [name])
            outputs[name] = self._described(
                name, self.graph.shape(tensor), self._onnx.TensorProto.FLOAT
            )
        helper = self._onnx.helper
        graph = helper.make_graph(
            self._nodes, "graph", self._inputs, [*outputs.values()], self._constants
        )
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(
            graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="nas_ray"
        )
        content: bytes = model.SerializeToString()
        return content

    def _described(self, name: str, shape: Shape, kind: int) -> Any:
        return self._onnx.helper.make_tensor_value_info(name, kind, list(shape))


def cannot(operator: Operator, reason: str) -> MeasureError:
    """The error for an operator that cannot be written; `reason` follows its name."""
    return MeasureError(
        f"operator {operator.name or operator.kind!r} of kind {operator.kind!r} {reason}. Replace "
        "it in the network, or leave it to the estimate, which counts the memory it touches."
    )
