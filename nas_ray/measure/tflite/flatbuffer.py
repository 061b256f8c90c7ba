"""Writes the bytes of a `.tflite` file: tensors, buffers and operators, without TensorFlow.

The schema classes are those inside the wheel of the Ethos-U compiler (`ethosu.vela.tflite`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_ray.errors import MeasureError

_TENSOR_TYPE = {np.dtype(np.int8): "INT8", np.dtype(np.int32): "INT32"}
_BUFFER_ALIGNMENT = 16


@dataclass(frozen=True, kw_only=True)
class _TensorRow:
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: float
    zero_point: int
    buffer: int


@dataclass(frozen=True, kw_only=True)
class _OperatorRow:
    code: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: str
    fields: Mapping[str, int | float | bool]


class TfliteWriter:
    """Collects tensors and operators of one model in execution order; `finish` gives its bytes."""

    def __init__(self) -> None:
        self._tensors: list[_TensorRow] = []
        self._operators: list[_OperatorRow] = []
        # Buffer 0 is empty by convention: it stands for "no constant data".
        self._buffers: list[bytes] = [b""]

    @property
    def operators(self) -> int:
        """How many operators there are so far."""
        return len(self._operators)

    def activation(self, shape: Sequence[int], scale: float = 0.05, zero_point: int = 0) -> int:
        """A new int8 activation of `shape`; returns its index."""
        return self._add(shape, np.dtype(np.int8), scale, zero_point, 0)

    def like(self, tensor: int, shape: Sequence[int]) -> int:
        """Add an int8 activation of `shape` in the number format of `tensor`."""
        row = self._tensors[tensor]
        return self._add(shape, np.dtype(np.int8), row.scale, row.zero_point, 0)

    def constant(self, values: NDArray[Any], scale: float = 0.0) -> int:
        """A new constant (int8 or int32); `scale` 0 means it is not quantised (axes, shapes)."""
        self._buffers.append(np.ascontiguousarray(values).tobytes())
        return self._add(values.shape, values.dtype, scale, 0, len(self._buffers) - 1)

    def operator(
        self,
        code: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        options: str = "",
        fields: Mapping[str, int | float | bool] | None = None,
    ) -> None:
        """Append builtin `code` reading and writing tensors; -1 stands for an absent input.

        `options` names the schema's table of options and `fields` its entries.
        """
        self._operators.append(
            _OperatorRow(
                code=code,
                inputs=tuple(inputs),
                outputs=tuple(outputs),
                options=options,
                fields=fields or {},
            )
        )

    def finish(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        """The file. Raises MeasureError without `flatbuffers` or the compiler's schema classes."""
        return _Serialiser().model(self._tensors, self._operators, self._buffers, inputs, outputs)

    def _add(
        self,
        shape: Sequence[int],
        dtype: np.dtype[Any],
        scale: float,
        zero_point: int,
        buffer: int,
    ) -> int:
        self._tensors.append(
            _TensorRow(
                name=f"tensor_{len(self._tensors)}",
                shape=tuple(shape),
                dtype=dtype,
                scale=scale,
                zero_point=zero_point,
                buffer=buffer,
            )
        )
        return len(self._tensors) - 1


class _Serialiser:
    """The flatbuffer rule: children before their parent, vectors back to front."""

    def __init__(self) -> None:
        try:
            self.builder = import_module("flatbuffers").Builder(1024)
        except ImportError as error:
            raise missing_compiler() from error

    def model(
        self,
        tensors: Sequence[_TensorRow],
        operators: Sequence[_OperatorRow],
        buffers: Sequence[bytes],
        inputs: Sequence[int],
        outputs: Sequence[int],
    ) -> bytes:
        codes = sorted({operator.code for operator in operators})
        offsets = [self._buffer(data) for data in buffers]
        subgraph = self._table(
            "SubGraph",
            {
                "Tensors": self._tables([self._tensor(tensor) for tensor in tensors]),
                "Inputs": self._integers(inputs),
                "Outputs": self._integers(outputs),
                "Operators": self._tables([self._operator(row, codes) for row in operators]),
                "Name": self.builder.CreateString("main"),
            },
        )
        model = self._table(
            "Model",
            {
                "Version": 3,
                "OperatorCodes": self._tables([self._code(code) for code in codes]),
                "Subgraphs": self._tables([subgraph]),
                "Description": self.builder.CreateString("nas-ray"),
                "Buffers": self._tables(offsets),
            },
        )
        self.builder.Finish(model, file_identifier=b"TFL3")
        return bytes(self.builder.Output())

    def _table(self, name: str, fields: Mapping[str, Any]) -> int:
        module = _schema(name)
        module.Start(self.builder)
        for field, value in fields.items():
            getattr(module, f"Add{field}")(self.builder, value)
        return int(module.End(self.builder))

    def _tables(self, offsets: Sequence[int]) -> int:
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return int(self.builder.EndVector())

    def _integers(self, values: Sequence[int]) -> int:
        return int(self.builder.CreateNumpyVector(np.asarray(values, dtype=np.int32)))

    def _buffer(self, data: bytes) -> int:
        if not data:
            return self._table("Buffer", {})
        self.builder.StartVector(1, len(data), _BUFFER_ALIGNMENT)
        self.builder.head -= len(data)
        self.builder.Bytes[self.builder.head : self.builder.head + len(data)] = data
        return self._table("Buffer", {"Data": self.builder.EndVector()})

    def _tensor(self, row: _TensorRow) -> int:
        fields: dict[str, Any] = {
            "Shape": self._integers(row.shape),
            "Type": getattr(_schema("TensorType").TensorType, _TENSOR_TYPE[row.dtype]),
            "Buffer": row.buffer,
            "Name": self.builder.CreateString(row.name),
        }
        if row.scale:
            scales = np.array([row.scale], dtype=np.float32)
            zero_points = np.array([row.zero_point], dtype=np.int64)
            fields["Quantization"] = self._table(
                "QuantizationParameters",
                {
                    "Scale": self.builder.CreateNumpyVector(scales),
                    "ZeroPoint": self.builder.CreateNumpyVector(zero_points),
                },
            )
        return self._table("Tensor", fields)

    def _code(self, code: str) -> int:
        number = getattr(_schema("BuiltinOperator").BuiltinOperator, code)
        # Readers older than 2020 know only the one-byte field; 127 tells them to look further.
        return self._table(
            "OperatorCode",
            {"DeprecatedBuiltinCode": min(number, 127), "BuiltinCode": number, "Version": 1},
        )

    def _operator(self, row: _OperatorRow, codes: Sequence[str]) -> int:
        fields: dict[str, Any] = {
            "OpcodeIndex": codes.index(row.code),
            "Inputs": self._integers(row.inputs),
            "Outputs": self._integers(row.outputs),
        }
        if row.options:
            kinds = _schema("BuiltinOptions").BuiltinOptions
            fields["BuiltinOptionsType"] = getattr(kinds, row.options)
            fields["BuiltinOptions"] = self._table(row.options, row.fields)
        return self._table("Operator", fields)


def missing_compiler() -> MeasureError:
    """What to raise where the Ethos-U compiler is not installed."""
    return MeasureError(
        "the Ethos-U back-end needs the compiler `ethos-u-vela`, which is not installed: "
        "pip install 'nas-ray[ethos-u]'."
    )


def _schema(name: str) -> Any:
    try:
        return import_module(f"ethosu.vela.tflite.{name}")
    except ImportError as error:
        raise missing_compiler() from error
