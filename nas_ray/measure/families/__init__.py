"""The kinds of subgraphs that are sampled, one file a group of them.

Each family is a function that draws its sizes and makes one small module with the shapes of its
inputs; `frequencies.py` says how often.
"""

from nas_ray.measure.families.frequencies import FAMILIES, MOBILE, OTHER_KINDS, Frequencies
from nas_ray.measure.families.sample import Sample

__all__ = ["FAMILIES", "MOBILE", "OTHER_KINDS", "Frequencies", "Sample"]
