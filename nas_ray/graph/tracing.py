"""`trace`: run a model on tensors without data and write down which operators it calls."""

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from nas_ray.errors import TraceError
from nas_ray.graph.call import Call
from nas_ray.graph.fusing import fuse
from nas_ray.graph.layout import laid_out
from nas_ray.graph.operators import VIEW_KINDS, Graph, Operator, Tensor
from nas_ray.graph.pruning import prune
from nas_ray.graph.shapes import are_alike, convolution_shape
from nas_ray.graph.traceable import check_tensor, checked, eager, layout_hint, tensors_in
from nas_ray.graph.unflattening import unflattened
from nas_ray.graph.untouched import untouched
from nas_ray.graph.vocabulary import (
    ELEMENTWISE,
    POINTWISE,
    SAME_VALUES,
    SHAPE_ONLY,
    meaning,
)

_BATCH_NORMS = {"native_batch_norm", "_native_batch_norm_legit_no_training"}
#: Their other results are statistics or positions.
_FIRST_RESULT_ONLY = {
    *(*_BATCH_NORMS, "_native_batch_norm_legit", "native_layer_norm", "native_group_norm"),
    *("max_pool2d_with_indices", "max_pool3d_with_indices", "adaptive_max_pool2d"),
    *("max", "min", "log_sigmoid_forward", "_fused_rms_norm"),
}


class UnknownOperatorWarning(UserWarning):
    """A network calls operators whose cost is only guessed from the memory they touch."""


def trace(model: nn.Module, example_input: torch.Tensor | tuple[torch.Tensor, ...]) -> Graph:
    """Operators, shapes, tensor lifetimes and subgraphs of `model` for one input, in eval mode.

    Nothing is computed: the model runs on the meta device, so Python control flow is followed as
    long as it depends on shapes and not on values. The model is left as it was. Batch norms and
    activations are part of the operator they follow.

    Hooks run as they do at every call; wrappers of torch.nn.parallel and torch.compile are looked
    through. Raises TraceError when the batch is not 1, the model cannot run on `example_input`,
    or is of a kind that cannot be followed (lazy, scripted, quantised, complex). Warns with the
    names of operators outside the vocabulary.
    """
    model, inputs = checked(model, example_input)
    own = _own_state(model)
    for name, value in own.items():
        check_tensor(name, value)
    on_meta = all(value.is_meta for value in own.values())
    state = own if on_meta else _meta_state(own)
    arguments = tuple(value.detach().to("meta") for value in inputs)
    recorder = _Recorder(state, arguments)
    try:
        with untouched(model), eager(model), torch.no_grad(), recorder:
            # A network built without data needs no stand-ins for its parameters: half the time.
            result = (
                model(*arguments)
                if on_meta
                else torch.func.functional_call(model, state, arguments)
            )
    except TraceError:
        raise
    except Exception as error:
        raise TraceError(
            f"{type(model).__name__} could not be traced on input "
            f"{', '.join(str(tuple(x.shape)) for x in inputs)}: {type(error).__name__}: {error}. "
            "Check that forward() runs on this shape and that no branch depends on tensor values."
            f"{layout_hint(inputs)}"
        ) from error
    return _warned(laid_out(fuse(prune(unflattened(recorder.graph(result))))))


def _warned(graph: Graph) -> Graph:
    if graph.unknown:
        warnings.warn(
            f"operators outside the vocabulary: {', '.join(graph.unknown)}. Their arithmetic is "
            "not estimated, only the memory they touch; add them to nas_ray/graph/vocabulary.py.",
            UnknownOperatorWarning,
            stacklevel=3,
        )
    return graph


def _own_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """Parameters, then buffers by name; a tied one under each of its names."""
    modules = list(model.named_modules(remove_duplicate=False))
    named = [
        *((path, vars(module)["_parameters"]) for path, module in modules),
        *((path, vars(module)["_buffers"]) for path, module in modules),
    ]
    return {
        f"{path}.{name}" if path else name: value
        for path, values in named
        for name, value in values.items()
        if value is not None
    }


def _meta_state(own: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """`own` without data; tied ones stay one tensor."""
    made: dict[int, torch.Tensor] = {}
    for value in own.values():
        if id(value) not in made:
            made[id(value)] = _empty(value)
    return {name: made[id(value)] for name, value in own.items()}


class _Recorder(TorchDispatchMode):
    """Sees every ATen call below autograd, after composite operators are decomposed."""

    def __init__(self, state: dict[str, torch.Tensor], inputs: Sequence[torch.Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self._parameter = {id(value): name for name, value in reversed(state.items())}
        self._index: dict[int, int] = {}
        self._tensors: list[Tensor] = []
        self._operators: list[Operator] = []
        self._unknown: dict[str, None] = {}
        # An id names a tensor only while it lives: all of them are kept until the graph is made.
        self._alive: list[object] = [state, *inputs]
        for value in inputs:
            self._add(value, storage=None)
        self._inputs = tuple(range(len(inputs)))

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        name = func.overloadpacket.__name__
        if func.namespace != "aten":
            name = f"{func.namespace}.{name}"
        tensors = [t for a in args for t in (a if isinstance(a, (list, tuple)) else (a,))]
        tensors = [t for t in tensors if isinstance(t, torch.Tensor)]
        activations = [self._index[id(t)] for t in tensors if id(t) in self._index]
        if not activations:
            result = func(*args, **(kwargs or {}))
            self._follow_constant(tensors, result)
            return result
        result = _run_on_meta(func, name, args, kwargs or {})
        if name in SHAPE_ONLY:
            self._alive.append(result)
            return result
        if name in SAME_VALUES or (name == "cat" and len(tensors) == 1):
            self._rename(result, activations[0])
            return result
        constants = [t for t in tensors if id(t) not in self._index]
        if name == "copy_":  # the old values do not matter
            activations = activations[-1:]
            constants = [t for t in constants if t is not args[0]]
        call = Call(
            arguments=args,
            activations=tuple(self._tensors[i].shape for i in activations),
            constants=tuple(tuple(t.shape) for t in constants),
            result=tuple(next(tensors_in(result)).shape),
            named=kwargs or {},
        )
        self._record(name, call, activations, constants, result)
        base = result._base if result is args[0] else None  # noqa: SLF001  # no public name
        if base is not None:
            self._write_through(result, base)
        return result

    def _follow_constant(self, sources: Sequence[torch.Tensor], result: Any) -> None:
        self._alive.append(result)
        names = [self._parameter[id(t)] for t in sources if id(t) in self._parameter]
        if names:
            self._parameter |= {id(value): names[0] for value in tensors_in(result)}

    def _record(
        self,
        name: str,
        call: Call,
        activations: Sequence[int],
        constants: Sequence[torch.Tensor],
        result: Any,
    ) -> None:
        outputs = [result] if isinstance(result, torch.Tensor) else list(result)
        outputs = outputs[:1] if name in _FIRST_RESULT_ONLY else outputs
        found = meaning(name, call)
        if found.kind == "unknown":
            self._unknown.setdefault(name if "." in name else f"aten.{name}")
        storage = self._tensors[activations[0]].storage if found.kind in VIEW_KINDS else None
        named = [t for t in constants if id(t) in self._parameter]
        weight = self._parameter[id(max(named, key=torch.numel))] if named else ""
        self._operators.append(
            Operator(
                kind=found.kind,
                inputs=tuple(activations),
                outputs=tuple(self._add(value, storage) for value in outputs),
                name=weight.rpartition(".")[0] or f"{found.kind}_{len(self._operators)}",
                weight=weight,
                **found.attributes,
            )
        )

    def _add(self, value: torch.Tensor, storage: int | None) -> int:
        """A new graph tensor for `value`; an in-place result is a new tensor under the old id."""
        index = len(self._tensors)
        self._tensors.append(
            Tensor(shape=tuple(value.shape), storage=index if storage is None else storage)
        )
        self._index[id(value)] = index
        self._alive.append(value)
        return index

    def _rename(self, result: Any, index: int) -> None:
        """`result` holds what tensor `index` holds: no operator, another name."""
        self._alive.append(result)
        self._index[id(next(tensors_in(result)))] = index

    def _write_through(self, view: torch.Tensor, base: torch.Tensor) -> None:
        """After a write into a part of `base`, the whole is a new tensor, made of both."""
        sources = [self._index[id(t)] for t in (base, view) if id(t) in self._index]
        self._operators.append(
            Operator(
                kind="concat",
                inputs=tuple(sources),
                outputs=(self._add(base, None),),
                name=f"concat_{len(self._operators)}",
            )
        )

    def graph(self, result: Any) -> Graph:
        """The recorded calls; `result` is what the model returned.

        Raises TraceError where no tensor in it depends on the input.
        """
        outputs = tuple(self._index[id(t)] for t in tensors_in(result) if id(t) in self._index)
        if not outputs:
            raise TraceError(
                "a model must return tensors that depend on its input, alone or in a dict, list, "
                f"tuple or dataclass, but forward() returned {type(result).__name__} without any."
            )
        return Graph(
            tensors=tuple(self._tensors),
            operators=tuple(self._operators),
            inputs=self._inputs,
            outputs=outputs,
            unknown=tuple(self._unknown),
        )


def _run_on_meta(func: Any, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """The result of `func` without data; the commonest operators skip torch's slow shape code."""
    if name in POINTWISE:
        return args[0] if name.endswith("_") else _empty(args[0])
    if name in SAME_VALUES:
        return _empty(args[0]), _empty(args[0])
    if name in _BATCH_NORMS and args[1] is not None:
        return _empty(args[0]), args[1], args[1]
    if name == "convolution" and (shape := convolution_shape(*args)):
        return torch.empty(shape, dtype=args[0].dtype, device="meta")
    if name in ELEMENTWISE and are_alike(*args[:2]):
        return args[0] if name.endswith("_") else _empty(args[0])
    named = {key: _to_meta(value) for key, value in kwargs.items()}
    return func(*[_to_meta(a) for a in args], **named)


def _empty(like: torch.Tensor) -> torch.Tensor:
    """A tensor like `like` without data; `empty_like` on meta goes through slow Python."""
    return torch.empty(like.shape, dtype=like.dtype, device="meta")


def _to_meta(value: Any) -> Any:
    """A constant the model keeps outside its parameters and buffers still lives on its device."""
    if isinstance(value, torch.Tensor):
        # 0-dimensional CPU tensors mix with any device: leave them be.
        return value if value.is_meta or value.ndim == 0 else value.to("meta")
    if isinstance(value, (list, tuple)):
        return type(value)(_to_meta(item) for item in value)
    return value
