"""What a traced network is made of: tensors, operators and the graph that holds them.

Shapes are torch shapes with the batch in front: `(1, C, H, W)` for images, `(1, C, T)` for signals.
A graph is plain data, computed once; every estimator is a fold over it.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from math import prod

#: Operators that only rename or window a tensor; an accelerator runs nothing for them.
VIEW_KINDS = frozenset({"reshape", "slice"})


#: Axes of channels directly after the batch, by rank: `(1, C, T)`, `(1, C, H, W)`, and channels in
#: groups, `(1, G, C, H, W)`. Of tensors of other ranks the channels are the last axis.
USUAL_CHANNEL_AXES = {3: 1, 4: 1, 5: 2}


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """An activation: its shape, and which tensor's memory it lives in (itself, unless a view).

    `channel_axes` counts the axes directly after the batch that hold channels; 0 means that the
    last axis does, as in tokens `(1, T, C)`. Left out, it is the usual one of the rank.
    """

    shape: tuple[int, ...]
    storage: int
    channel_axes: int = -1

    def __post_init__(self) -> None:
        if self.channel_axes < 0:
            usual = USUAL_CHANNEL_AXES.get(len(self.shape), 0)
            object.__setattr__(self, "channel_axes", usual)

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)

    @property
    def order(self) -> tuple[int, ...]:
        """Axes of `shape` with those of the channels last, as accelerators store a tensor."""
        first, rank = 1 + self.channel_axes, len(self.shape)
        return (0, *range(first, rank), *range(1, first)) if self.channel_axes else (*range(rank),)

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """`shape` with the channels last: `(1, H, W, C)` of an image."""
        return tuple(self.shape[axis] for axis in self.order)


@dataclass(frozen=True, kw_only=True)
class Operator:
    """One operation as an accelerator runs it: a convolution with its batch norm and activation.

    `inputs` and `outputs` index `Graph.tensors`. `kernel`, `stride` and `dilation` are
    `(height, width)`. `weight_elements` counts constants read (weights, not biases),
    `macs` multiply-accumulates. `weight` names the parameter, so that a shared one counts once;
    it and `name` are labels and take no part in comparison.

    `mode` is the variant of a kind and `axes` are axes of the input; both are empty for the usual
    one. Resizing is bilinear, else `nearest`, `bilinear_corners` or `bicubic`; padding is by zeros,
    else `reflect` or `replicate`; `mean` averages height and width, else over `axes`, or takes the
    `max`, `sum`, `var` of them; a norm is a layer norm of the last axis, else of the last
    `len(axes)` ones, or a `group` or `instance` norm; concatenation, slices and softmax are along
    the channels at axis 1, else along `axes`; a transposition shuffles `(1, G, C, H, W)`, else
    `axes` is its permutation, or it is a `shuffle` of the channels in `groups`.
    """

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    mode: str = ""
    axes: tuple[int, ...] = ()
    activation: str = ""
    macs: int = 0
    weight_elements: int = 0
    bias_elements: int = 0
    name: str = ""
    weight: str = ""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Operator) and self._work() == other._work()

    def __hash__(self) -> int:
        return hash(self._work())

    def _work(self) -> tuple[object, ...]:
        return (
            *(self.kind, self.inputs, self.outputs, self.kernel, self.stride, self.dilation),
            *(self.groups, self.mode, self.axes, self.activation, self.macs),
            *(self.weight_elements, self.bias_elements),
        )

    @property
    def is_pointwise_conv(self) -> bool:
        """Whether it is a 1x1 convolution of all channels."""
        return self.kind == "conv" and self.kernel == (1, 1) and self.groups == 1


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Operators in execution order over `tensors`; `inputs` and `outputs` index `tensors`.

    `unknown` names operators the vocabulary does not have: they are in `operators` with kind
    `unknown` and counted as memory traffic, so a network with any is underestimated at worst in
    its arithmetic, never free. A part of a network `has_before` or `has_after` it other operators.
    """

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    unknown: tuple[str, ...] = ()
    has_before: bool = False
    has_after: bool = False
    reads_input: bool = False
    writes_output: bool = False
    name: str = ""

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(operator.macs for operator in self.operators)

    @cached_property
    def weight_elements(self) -> int:
        """Weights stored, a shared one once; batch norms are folded."""
        return sum(operator.weight_elements for operator in self._with_own_weights())

    @cached_property
    def bias_elements(self) -> int:
        """Biases stored: one per output channel of a convolution or linear layer."""
        return sum(operator.bias_elements for operator in self._with_own_weights())

    def _with_own_weights(self) -> Iterator[Operator]:
        # With its size: what is computed from a weight (a first state times it) is not the weight.
        seen: set[tuple[str, int]] = set()
        for operator in self.operators:
            key = (operator.weight, operator.weight_elements)
            if key not in seen:
                yield operator
            if operator.weight:
                seen.add(key)

    @cached_property
    def lifetimes(self) -> dict[int, tuple[int, int]]:
        """For each storage: the first and the last operator at which it holds live data.

        Graph inputs live from -1, graph outputs to `len(operators)`.
        """
        first = {self.tensors[i].storage: -1 for i in self.inputs}
        last = dict(first)
        for step, operator in enumerate(self.operators):
            for index in operator.outputs:
                first.setdefault(self.tensors[index].storage, step)
            for index in (*operator.inputs, *operator.outputs):
                last[self.tensors[index].storage] = step
        last |= {self.tensors[i].storage: len(self.operators) for i in self.outputs}
        return {storage: (first[storage], last[storage]) for storage in first}

    @cached_property
    def peak_elements(self) -> int:
        """The most numbers alive at one operator, in the order of execution.

        The inputs and outputs of an operator are alive together; views live in the memory of what
        they show.
        """
        # Position 0 is "before the first operator", where graph inputs begin to live.
        change = [0] * (len(self.operators) + 3)
        for storage, (first, last) in self.lifetimes.items():
            change[first + 1] += self.tensors[storage].elements
            change[last + 2] -= self.tensors[storage].elements
        return max(accumulate(change))

    @cached_property
    def readers(self) -> Counter[int]:
        """How often each tensor is read, as a result of the graph too."""
        read = Counter(self.outputs)
        for operator in self.operators:
            read.update(operator.inputs)
        return read

    def shape(self, index: int) -> tuple[int, ...]:
        """Shape of tensor `index`."""
        return self.tensors[index].shape

    def part(self, operators: Sequence[Operator], name: str) -> "Graph":
        """`operators`, consecutive ones of this graph, as a graph of its own with local indices."""
        produced = [i for operator in operators for i in operator.outputs]
        used = [i for operator in operators for i in operator.inputs]
        own = set(produced)
        inputs = list(dict.fromkeys(i for i in used if i not in own))
        inside = Counter(used)
        outputs = [i for i in produced if self.readers[i] > inside[i]]
        local = {index: n for n, index in enumerate([*inputs, *produced])}
        has_before = self.has_before or operators[0] is not self.operators[0]
        has_after = self.has_after or operators[-1] is not self.operators[-1]
        begins = self.reads_input or not self.has_before
        ends = self.writes_output or not self.has_after
        # What comes in lies in a memory of its own, even if it was a view where it comes from.
        storage = {i: i for i in inputs}
        for operator in operators:
            is_view = operator.kind in VIEW_KINDS
            storage |= {i: storage[operator.inputs[0]] if is_view else i for i in operator.outputs}
        return Graph(
            tensors=tuple(replace(self.tensors[i], storage=local[storage[i]]) for i in local),
            operators=tuple(
                replace(
                    operator,
                    inputs=tuple(local[i] for i in operator.inputs),
                    outputs=tuple(local[i] for i in operator.outputs),
                )
                for operator in operators
            ),
            inputs=tuple(local[i] for i in inputs),
            outputs=tuple(local[i] for i in outputs),
            has_before=has_before,
            has_after=has_after,
            reads_input=has_before and begins and not {*inputs}.isdisjoint(self.inputs),
            writes_output=has_after and ends and not {*outputs}.isdisjoint(self.outputs),
            name=name,
        )

    def alone(self) -> "Graph":
        """The same graph with nothing before or after it: as a part is when it is measured."""
        return replace(
            self, has_before=False, has_after=False, reads_input=False, writes_output=False
        )
