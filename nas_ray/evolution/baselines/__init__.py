"""What every new search has to beat, each behind the same `ask` and `tell`. Knows no Ray."""

from nas_ray.evolution.baselines.local_search import LocalSearch
from nas_ray.evolution.baselines.nsga2 import Nsga2
from nas_ray.evolution.baselines.random_search import RandomSearch
from nas_ray.evolution.baselines.regularised_evolution import RegularisedEvolution
from nas_ray.evolution.baselines.top_macs import TopMacs

__all__ = ["LocalSearch", "Nsga2", "RandomSearch", "RegularisedEvolution", "TopMacs"]
