"""What a record says was searched, back as objects."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nas_ray.errors import RecordError
from nas_ray.objective import Constraint, Objective
from nas_ray.record import Record


def objectives_of(record: Record) -> tuple[Objective, ...]:
    """The objectives of the search, at least one. Raises RecordError where the record has none."""
    found = _settings(record, "objectives")
    if not found:
        raise RecordError(
            f"the record in {record.name} must name at least one objective to be reported, "
            "but it has none. Write them to its header as {'metric': ..., 'direction': ...}."
        )
    return tuple(Objective(one["metric"], one["direction"]) for one in found)


def constraints_of(record: Record) -> tuple[Constraint, ...]:
    """The constraints of the search; a bound that is null in the record is infinite."""
    return tuple(
        Constraint(
            one["metric"],
            upper=math.inf if one.get("upper") is None else one["upper"],
            lower=-math.inf if one.get("lower") is None else one["lower"],
        )
        for one in _settings(record, "constraints")
    )


def _settings(record: Record, name: str) -> Sequence[Mapping[str, Any]]:
    found: Sequence[Mapping[str, Any]] = record.header.get(name) or []
    for one in found:
        if "metric" not in one:
            raise RecordError(
                f"the {name} of the record in {record.name} must each name a metric, but one is "
                f"{one!r}."
            )
    return found


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What was searched, as far as the record says; empty where it says nothing."""

    space: str
    choices: Mapping[str, Mapping[str, Any]]
    baseline: Mapping[str, Any]
    device: str
    device_note: str
    seed: int | None
    max_epochs: int | None


def settings_of(record: Record) -> Settings:
    """The settings in the header of `record`, besides objectives and constraints."""
    space = record.header.get("space") or {}
    return Settings(
        space=space.get("name", ""),
        choices=space.get("choices", {}),
        baseline=record.header.get("baseline") or {},
        device=record.header.get("device") or "",
        device_note=record.header.get("device_note") or "",
        seed=record.header.get("seed"),
        max_epochs=record.header.get("max_epochs"),
    )
