"""What a search is given, checked before anything is done with it."""

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from nas_ray.device import Device
from nas_ray.errors import SearchError, nearest
from nas_ray.objective import Constraint, Objective
from nas_ray.space import SearchSpace


def require_arguments(space: Any, objectives: Any, constraints: Any, costs: Any) -> None:
    """Raise SearchError for an argument that is of another kind than a search takes."""
    if not isinstance(space, SearchSpace):
        way = "Call the function that makes it" if callable(space) else "Make one"
        raise SearchError(f"a search needs a SearchSpace, but got {space!r}. {way}.")
    _require_all("objectives", objectives, Objective, 'Objective("accuracy", "max")')
    _require_all("constraints", constraints, Constraint, 'Constraint("latency_ms", upper=2.0)')
    if not objectives:
        raise SearchError("a search needs at least one objective, but got none.")
    if not (costs is None or isinstance(costs, Device) or callable(costs)):
        raise SearchError(
            "`costs` is a Device, a function from a config to its costs, or None, but got "
            f"{costs!r}. Load a device by its name: nas_ray.load_device(...)."
        )


def _require_all(name: str, given: Any, kind: type, example: str) -> None:
    if not isinstance(given, Sequence) or not all(isinstance(one, kind) for one in given):
        raise SearchError(
            f"`{name}` is a list of {kind.__name__}, such as [{example}], but got {given!r}."
        )


def require_told(
    config: Mapping[str, Any],
    metrics: Mapping[str, float],
    objectives: Sequence[Objective],
    constraints: Sequence[Constraint],
) -> None:
    """Raise SearchError where an objective or a bound quantity was not told, or not as a number."""
    roles = {**{c.quantity: "constraint" for c in constraints},
             **{o.metric: "objective" for o in objectives}}  # fmt: skip
    for name, role in roles.items():
        if metrics.get(name) is None:
            raise SearchError(f"{role} {name!r} was not told; {nearest(name, metrics)}")
        if not isinstance(metrics[name], Real):
            raise SearchError(
                f"{role} {name!r} must be a number, but got {metrics[name]!r} for "
                f"{config}. Convert it with float(...)."
            )
        if not math.isfinite(metrics[name]):
            raise SearchError(
                f"{role} {name!r} must be finite, but got {metrics[name]} for "
                f"{config}. Tell a failed evaluation with tell_failed(config)."
            )
