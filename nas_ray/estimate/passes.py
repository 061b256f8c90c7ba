"""What an accelerator runs for a graph: passes, and the buffers that they read and write.

An operator may take several passes, share one with the operator before, or take none.
`decomposing` says what an operator becomes, `merging` what runs and lies together.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

from nas_ray.estimate.hardware import Hardware
from nas_ray.graph import Graph, Operator

#: Operators that combine two tensors number by number.
ELEMENTWISE = frozenset({"add", "sub", "mul", "maximum", "minimum"})
#: Passes that apply a function number by number: by a limit, or by a table.
ACTIVATIONS = frozenset({"clamp", "lookup"})
_NARROW, _FEW = 8, 16
Shape = tuple[int, ...]


def is_narrow(shape: Shape) -> bool:
    """Whether work on single numbers takes a tensor in another shape, with more channels."""
    return len(shape) > 2 and shape[1] < _NARROW and prod(shape) > _FEW


@dataclass(kw_only=True)
class Buffer:
    """A tensor in memory. Channels of a linear one are not padded.

    `stays`: it is an input or output of the network, or of the part of it that is looked at.
    """

    shape: Shape
    number_bytes: int
    is_linear: bool = False
    stays: bool = False

    def size_bytes(self, hardware: Hardware) -> int:
        """Bytes that it takes, up to where the next one may begin."""
        shape = self.shape
        if len(shape) > 1 and not self.is_linear:
            multiple = hardware.channel_multiple
            shape = (shape[0], -(-shape[1] // multiple) * multiple, *shape[2:])
        alignment = hardware.alignment_bytes
        return -(-prod(shape) * self.number_bytes // alignment) * alignment


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One run of the accelerator; `reads` and `writes` are buffers, `shape` is what it makes.

    `operator` is the operator of the graph whose weights it reads, or a `share` of them; -1 for
    none. `kernel` are the inputs of an output, `constants` counts tensors of constants. The kinds
    in `joined` run inside it and read `joined_reads`.
    """

    kind: str
    reads: tuple[int, ...]
    writes: int
    shape: Shape
    operator: int = -1
    share: float = 1.0
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    constants: int = 0
    joined: tuple[str, ...] = ()
    joined_reads: tuple[int, ...] = ()


@dataclass(kw_only=True)
class Program:
    """Passes in the making; `place` has the buffer of each tensor of `graph`.

    `readers` counts who reads a tensor, and the result of the graph as one more.
    """

    graph: Graph
    hardware: Hardware
    readers: Counter[int]
    buffers: list[Buffer] = field(default_factory=list)
    passes: list[Pass] = field(default_factory=list)
    place: dict[int, int] = field(default_factory=dict)

    def buffer(self, shape: Shape, *, number_bytes: int = 0, is_linear: bool = False) -> int:
        """A new buffer, of activations where the size of a number is not given."""
        size = number_bytes or self.hardware.activation_bytes
        self.buffers.append(Buffer(shape=shape, number_bytes=size, is_linear=is_linear))
        return len(self.buffers) - 1

    def source(self, operator: Operator) -> int:
        """The buffer of the first input of `operator`."""
        return self.place[operator.inputs[0]]

    def shapes(self, operator: Operator) -> tuple[Shape, Shape]:
        """Shapes of the first input and of the first output of `operator`."""
        return self.graph.shape(operator.inputs[0]), self.graph.shape(operator.outputs[0])

    def target(self, tensor: int) -> int:
        """The buffer of a tensor that is about to be written; a new one if it has none yet."""
        if tensor not in self.place:
            self.place[tensor] = self.buffer(self.graph.shape(tensor))
        return self.place[tensor]

    def run(
        self,
        kind: str,
        reads: Sequence[int],
        writes: int,
        *,
        shape: Shape = (),
        constants: int = 0,
    ) -> None:
        """Append a pass without weights that makes all of `writes`, or of a `shape`."""
        made = shape or self.buffers[writes].shape
        one = Pass(kind=kind, reads=tuple(reads), writes=writes, shape=made, constants=constants)
        self.passes.append(one)
