"""Profile one's own accelerator: which subgraphs to measure, until estimates are good enough."""

from nas_ray.profiling.loop import Budget, ProfileReport, Progress, profile

__all__ = ["Budget", "ProfileReport", "Progress", "profile"]
