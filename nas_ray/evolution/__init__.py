"""Choose the next network: proposals, the pre-filter, the archive and the rungs. Knows no Ray."""

from nas_ray.evolution.archive import Archive
from nas_ray.evolution.observation import Observation
from nas_ray.evolution.rungs import Rungs
from nas_ray.evolution.screen import Candidate, Screen
from nas_ray.evolution.search import EvolutionarySearch

__all__ = ["Archive", "Candidate", "EvolutionarySearch", "Observation", "Rungs", "Screen"]
