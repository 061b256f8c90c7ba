"""What a record says of its search: enough to refuse another search's folder, and to report."""

import math
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from nas_ray.device import Device
from nas_ray.evolution.search import EvolutionarySearch
from nas_ray.objective import Constraint


def header(search: EvolutionarySearch, device: Device, *, max_epochs: int) -> dict[str, Any]:
    """The settings of a search as JSON. Two searches with equal headers may share a folder."""
    return {
        "nas_ray": version("nas-ray"),
        "space": search.space.describe(),
        "baseline": search.space.baseline,
        "device": device.name,
        "device_note": device.hardware.numbers,
        "objectives": [{"metric": o.metric, "direction": o.direction} for o in search.objectives],
        "constraints": [_bounds(constraint) for constraint in search.constraints],
        "seed": search.seed,
        "max_epochs": max_epochs,
    }


def _bounds(constraint: Constraint) -> Mapping[str, Any]:
    return {
        "metric": constraint.metric,
        "upper": constraint.upper if math.isfinite(constraint.upper) else None,
        "lower": constraint.lower if math.isfinite(constraint.lower) else None,
    }
