"""Optuna studies: a search as their sampler, and the record of a search as one. Knows no Ray."""

from nas_ray.studies.sampler import CascadeSampler

__all__ = ["CascadeSampler"]
