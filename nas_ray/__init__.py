"""Hardware-aware neural-architecture search as a Ray Tune plug-in.

The names below are the public contract; each is imported when it is first used, so that reading a
record does not load torch and estimating a network does not load Ray.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas_ray import zero_shot
    from nas_ray.choice import Categorical, Channels, Ordinal
    from nas_ray.device import Device, list_devices, load_device
    from nas_ray.errors import NasRayError
    from nas_ray.estimate.cost import Cost
    from nas_ray.evolution import Archive, EvolutionarySearch, Screen
    from nas_ray.objective import Constraint, Objective
    from nas_ray.report import SearchResult
    from nas_ray.space import SearchSpace
    from nas_ray.studies import CascadeSampler, as_study
    from nas_ray.tune import CascadeScheduler, CascadeSearch, LightningTrial, Resources, search

_HOME = {
    "Archive": "nas_ray.evolution",
    "Categorical": "nas_ray.choice",
    "CascadeSampler": "nas_ray.studies",
    "CascadeScheduler": "nas_ray.tune",
    "CascadeSearch": "nas_ray.tune",
    "Channels": "nas_ray.choice",
    "Constraint": "nas_ray.objective",
    "Cost": "nas_ray.estimate.cost",
    "Device": "nas_ray.device",
    "EvolutionarySearch": "nas_ray.evolution",
    "LightningTrial": "nas_ray.tune",
    "NasRayError": "nas_ray.errors",
    "Objective": "nas_ray.objective",
    "Ordinal": "nas_ray.choice",
    "Resources": "nas_ray.tune",
    "Screen": "nas_ray.evolution",
    "SearchResult": "nas_ray.report",
    "SearchSpace": "nas_ray.space",
    "as_study": "nas_ray.studies",
    "list_devices": "nas_ray.device",
    "load_device": "nas_ray.device",
    "search": "nas_ray.tune",
}

__all__ = [
    "Archive",
    "CascadeSampler",
    "CascadeScheduler",
    "CascadeSearch",
    "Categorical",
    "Channels",
    "Constraint",
    "Cost",
    "Device",
    "EvolutionarySearch",
    "LightningTrial",
    "NasRayError",
    "Objective",
    "Ordinal",
    "Resources",
    "Screen",
    "SearchResult",
    "SearchSpace",
    "as_study",
    "list_devices",
    "load_device",
    "search",
    "zero_shot",
]


def __getattr__(name: str) -> Any:
    if name == "zero_shot":
        return import_module("nas_ray.zero_shot")
    if name not in _HOME:
        raise AttributeError(f"module 'nas_ray' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
