"""Optuna studies: a search as their sampler, and the record of a search as one. Knows no Ray."""

from nas_ray.studies.live import LiveStudy
from nas_ray.studies.record_study import as_study
from nas_ray.studies.sampler import CascadeSampler

__all__ = ["CascadeSampler", "LiveStudy", "as_study"]
