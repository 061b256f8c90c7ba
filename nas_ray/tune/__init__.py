"""The one room that knows Ray: searcher, scheduler, trainable, and `search` that wires them up."""

from nas_ray.tune.resources import Resources
from nas_ray.tune.run import search
from nas_ray.tune.scheduler import CascadeScheduler
from nas_ray.tune.searcher import CascadeSearch
from nas_ray.tune.trial import LightningTrial

__all__ = [
    "CascadeScheduler",
    "CascadeSearch",
    "LightningTrial",
    "Resources",
    "search",
]
