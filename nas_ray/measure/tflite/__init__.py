"""Write a traced graph as an int8 `.tflite` model with random weights: what a compiler reads.

One file a group of operator kinds; `model` puts them together.
"""

from nas_ray.measure.tflite.model import TfliteModel, to_tflite

__all__ = ["TfliteModel", "to_tflite"]
