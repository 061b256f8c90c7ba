"""Random whole networks: what a block costs among its neighbours.

Styles are those of published networks; sizes are drawn, and none is a published network.
"""

from nas_ray.measure.networks.drawing import random_network
from nas_ray.measure.networks.frequencies import CLASSIC, OTHER_STYLES, STYLES, Styles

__all__ = ["CLASSIC", "OTHER_STYLES", "STYLES", "Styles", "random_network"]
