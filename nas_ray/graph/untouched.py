"""Run a model without leaving a trace in it: its mode, and what it keeps for itself."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """`model` in eval mode; afterwards every attribute and buffer is the object it was.

    A model may build a grid or a table at its first call and keep it. Kept from a run without
    data, it would have none, and the next real call would fail.
    """
    saved = [(module, dict(vars(module)), dict(_buffers(module))) for module in model.modules()]
    try:
        for module, _, _ in saved:
            module.training = False
        yield
    finally:
        for module, attributes, buffers in saved:
            _restore(vars(module), attributes)
            _restore(_buffers(module), buffers)


def _buffers(module: nn.Module) -> dict[str, object]:
    found: dict[str, object] = vars(module)["_buffers"]
    return found


def _restore(live: dict[str, object], saved: dict[str, object]) -> None:
    live.clear()
    live.update(saved)
