"""What a record says of its search: enough to refuse another search's folder, and to report."""

import hashlib
import math
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from nas_ray.device import Device
from nas_ray.evolution.search import EvolutionarySearch
from nas_ray.objective import Constraint


def header(
    search: EvolutionarySearch, device: Device, task: Any, data: Any, *, max_epochs: int
) -> dict[str, Any]:
    """The settings of a search as JSON. Two searches with equal headers may share a folder."""
    baseline = device.estimate_configs(search.space, [search.space.baseline]).iloc[0]
    return {
        "nas_ray": version("nas-ray"),
        "space": search.space.describe(),
        "baseline": search.space.baseline,
        # What a space says of itself does not tell how large its networks are.
        "baseline_macs": int(baseline["macs"]),
        "baseline_weight_bytes": int(baseline["weight_bytes"]),
        "task": _name(task),
        "data": _name(data),
        "device": device.name,
        "device_table": hashlib.sha256(device.packed_fit + device.packed_networks).hexdigest()[:16],
        "device_note": device.hardware.numbers,
        "objectives": [{"metric": o.metric, "direction": o.direction} for o in search.objectives],
        "constraints": [_bounds(constraint) for constraint in search.constraints],
        "seed": search.seed,
        "max_epochs": max_epochs,
    }


def _name(thing: Any) -> str:
    """Where a function or class is defined; of any other object, its class."""
    named = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{named.__module__}.{named.__qualname__}"


def _bounds(constraint: Constraint) -> Mapping[str, Any]:
    return {
        "metric": constraint.quantity,
        "upper": constraint.upper if math.isfinite(constraint.upper) else None,
        "lower": constraint.lower if math.isfinite(constraint.lower) else None,
    }
