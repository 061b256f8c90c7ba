"""Zero-shot scores: what an untrained network says about the accuracy it will have."""

from nas_ray.zero_shot.ensemble import log_rank
from nas_ray.zero_shot.scores import SCORES, score

__all__ = ["SCORES", "log_rank", "score"]
