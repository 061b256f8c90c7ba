"""The typed choices a search space is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from nas_ray.errors import SpaceError

Value = str | int | float | bool
#: Which values of which earlier choices put a choice to use; all must hold.
Condition = Mapping[str, tuple[Value, ...]]


@dataclass(frozen=True, init=False)
class Categorical:
    """One of several options without an order: `Categorical("ibn", "fused_ibn")`."""

    options: tuple[Value, ...]
    when: Condition = field(default_factory=dict)

    def __init__(self, *options: Value, when: Condition | None = None) -> None:
        _require_distinct("Categorical", options)
        object.__setattr__(self, "options", options)
        object.__setattr__(self, "when", dict(when or {}))


@dataclass(frozen=True, init=False)
class Ordinal:
    """One of several rising numbers, `Ordinal(0.5, 0.75, 1.0)`; mutations prefer neighbours."""

    options: tuple[Value, ...]
    when: Condition = field(default_factory=dict)

    def __init__(self, *values: float, when: Condition | None = None) -> None:
        _require_distinct("Ordinal", values)
        if not all(isinstance(value, (int, float)) for value in values):
            raise SpaceError(f"the values of an Ordinal must be numbers, but got {values}.")
        if list(values) != sorted(values):
            raise SpaceError(f"the values of an Ordinal must rise, but got {values}.")
        object.__setattr__(self, "options", values)
        object.__setattr__(self, "when", dict(when or {}))


@dataclass(frozen=True, init=False)
class Channels:
    """A channel count from `low` to `high` in steps of `multiple`, the accelerator's favourite.

    `multiple` is the parallelism factor: counts between its multiples cost what the next one costs.
    """

    options: tuple[int, ...]
    multiple: int
    when: Condition = field(default_factory=dict)

    def __init__(
        self, low: int, high: int, *, multiple: int, when: Condition | None = None
    ) -> None:
        if not (0 < low <= high and multiple > 0 and low % multiple == high % multiple == 0):
            raise SpaceError(
                "Channels needs 0 < low <= high, both multiples of `multiple`, but got "
                f"low={low}, high={high}, multiple={multiple}."
            )
        object.__setattr__(self, "options", tuple(range(low, high + 1, multiple)))
        object.__setattr__(self, "multiple", multiple)
        object.__setattr__(self, "when", dict(when or {}))


Choice = Categorical | Ordinal | Channels


def _require_distinct(kind: str, options: tuple[Value, ...]) -> None:
    if not all(isinstance(option, (str, int, float, bool)) for option in options):
        raise SpaceError(f"options of {kind} must be str, int, float or bool, but got {options}.")
    if not options or len(set(options)) != len(options):
        raise SpaceError(f"{kind} needs at least one option, all different, but got {options}.")
