"""What a search is given, checked before anything is done with it."""

from collections.abc import Sequence
from typing import Any

from nas_ray.device import Device
from nas_ray.errors import SearchError
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
