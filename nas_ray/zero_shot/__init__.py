"""Zero-shot scores: what an untrained network says about the accuracy it will have."""

from nas_ray.zero_shot.ensemble import log_rank
from nas_ray.zero_shot.passes import Passes
from nas_ray.zero_shot.scores import DEFAULT_SCORES, DESCRIPTORS, SCORES, score

__all__ = ["DEFAULT_SCORES", "DESCRIPTORS", "SCORES", "Passes", "log_rank", "score"]
