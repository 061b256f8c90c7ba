"""One ATen call, and what it is to an accelerator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Call:
    """One ATen call: shapes of the activations and constants it reads and of what it returns.

    `named` are its keyword arguments.
    """

    arguments: Sequence[Any]
    activations: tuple[Shape, ...]
    constants: tuple[Shape, ...]
    result: Shape
    named: Mapping[str, Any] = field(default_factory=dict)

    def argument(self, place: int, name: str, default: Any = None) -> Any:
        """Return the argument at `place`, or the one called `name`."""
        if place < len(self.arguments):
            return self.arguments[place]
        return self.named.get(name, default)


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """What a call is to an accelerator: its kind and the attributes `Operator` has for it."""

    kind: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
