"""What `trace` accepts: checked before anything runs, so that an error names the real reason."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.parameter import is_lazy

from nas_ray.errors import TraceError

Inputs = torch.Tensor | Sequence[torch.Tensor]
#: Classes of torch.ao.nn.quantized that hold no packed weights and compute on float tensors: what a
#: network uses before its conversion, and a dropout that passes its input on.
_FLOAT_CLASSES = {"FloatFunctional", "FXFloatFunctional", "Dropout"}
#: Sizes of an axis that holds the channels of an image: grey, RGB, RGB and transparency.
_IMAGE_CHANNELS = {1, 3, 4}


def checked(model: nn.Module, example_input: Inputs) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The module to run (what a parallel wrapper holds) and its inputs; else TraceError."""
    if not isinstance(model, nn.Module):
        raise TraceError(f"a model must be a torch.nn.Module, but got {type(model).__name__}.")
    _check_modules(model)
    if isinstance(model, (nn.DataParallel, DistributedDataParallel)):
        model = model.module
    return model, _checked_inputs(example_input)


def eager(model: nn.Module) -> AbstractContextManager[object]:
    """Modules that torch.compile has wrapped run uncompiled inside."""
    compiled = any(
        type(module).__name__ == "OptimizedModule" or vars(module).get("_compiled_call_impl")
        for module in model.modules()
    )
    if not compiled:
        return nullcontext()  # the other way imports the compiler, which takes seconds
    stance: AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
    return stance


def _check_modules(model: nn.Module) -> None:
    for path, module in model.named_modules():
        kind = type(module)
        where = f"{path or 'the model'} ({kind.__name__})"
        if isinstance(module, torch.jit.ScriptModule):
            raise TraceError(
                f"{where} is a TorchScript module, whose operators cannot be followed. Pass the "
                "nn.Module that it was made from."
            )
        if _is_quantised(kind):
            raise TraceError(
                f"{where} is quantised already: its weights are packed and have no shapes. Pass "
                "the float network from before the conversion; a device counts in its own number "
                "format."
            )


def _is_quantised(kind: type[nn.Module]) -> bool:
    """Whether a class is one of torch.ao.nn.quantized, or made from one, and not a float one."""
    packages = (base for base in kind.__mro__ if base.__module__.startswith("torch.ao.nn."))
    made_from = next(packages, None)
    return (
        made_from is not None
        and "quantized" in made_from.__module__.split(".")
        and made_from.__name__ not in _FLOAT_CLASSES
    )


def layout_hint(inputs: Sequence[torch.Tensor]) -> str:
    """A sentence for each image whose channels seem to be its last axis, or nothing."""
    hints = []
    for value in inputs:
        if value.ndim != 4 or value.shape[1] in _IMAGE_CHANNELS:
            continue
        _, height, width, channels = value.shape
        if channels in _IMAGE_CHANNELS:
            hints.append(
                f" The input {tuple(value.shape)} looks channels-last; torch wants (1, C, H, W): "
                f"pass x.permute(0, 3, 1, 2), on the command line --input "
                f"{channels}x{height}x{width} rather than {height}x{width}x{channels}."
            )
    return "".join(hints)


def check_tensor(name: str, value: torch.Tensor) -> None:
    """Raise TraceError unless `value` has a shape and real numbers."""
    if is_lazy(value):
        raise TraceError(
            f"{name} has no shape yet: a lazy module gets it at its first call. Call the model "
            "once on an example input before."
        )
    if value.is_complex():
        raise TraceError(
            f"{name} holds complex numbers ({value.dtype}), which no accelerator here has. Write "
            "the real and imaginary parts as channels."
        )


def _checked_inputs(example_input: Inputs) -> tuple[torch.Tensor, ...]:
    if isinstance(example_input, Mapping):
        raise TraceError(
            "an example input must be a tensor or a tuple of tensors in the order of forward(), "
            f"but got a mapping of {sorted(map(str, example_input))}."
        )
    inputs = (example_input,) if isinstance(example_input, torch.Tensor) else tuple(example_input)
    for value in inputs:
        if not isinstance(value, torch.Tensor):
            raise TraceError(f"an example input must be a tensor, but got {type(value).__name__}.")
        if value.ndim < 2 or value.shape[0] != 1:
            raise TraceError(
                f"an example input has batch 1 in front, but its shape is {tuple(value.shape)}. "
                "Latency is estimated for one inference; pass x[:1]."
            )
        check_tensor("an example input", value)
    return inputs


def tensors_in(result: object) -> Iterator[torch.Tensor]:
    """The tensors of what a model returned: alone or in dicts, lists, tuples and dataclasses."""
    if isinstance(result, torch.Tensor):
        yield result
    elif isinstance(result, Mapping):
        for value in result.values():
            yield from tensors_in(value)
    elif isinstance(result, (list, tuple)):
        for value in result:
            yield from tensors_in(value)
    elif hasattr(type(result), "__dataclass_fields__"):
        yield from tensors_in(vars(result))
