"""One network to judge an estimator on: its kind, its name, how to build it and what goes in."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from torch import nn

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Specimen:
    """`build` is for `torch.device("meta")`; `shapes` has one entry an input, batch 1 in front."""

    kind: str
    name: str
    build: Callable[[], nn.Module]
    shapes: tuple[Shape, ...]


def specimen(kind: str, what: str, build: Callable[[], nn.Module], *shapes: Shape) -> Specimen:
    """A specimen whose name has its kind, `what` it is and the sizes that go in."""
    sizes = " and ".join("x".join(map(str, shape[1:])) for shape in shapes)
    return Specimen(kind=kind, name=f"{kind}: {what}, {sizes}", build=build, shapes=shapes)


def together(*tables: Iterable[Specimen]) -> Sequence[Specimen]:
    """All specimens of `tables` in their order."""
    return [one for table in tables for one in table]
