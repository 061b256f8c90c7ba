"""All zero-shot scores of a network. Adding one is a file with a function, and a line here.

Beside them are descriptors of its graph: neither more nor less of them is better, so nothing is
ranked by them, but they tell a surrogate which networks are alike.
"""

from collections.abc import Callable, Iterable, Mapping

from torch import Tensor, nn

from nas_ray.errors import ScoreError, nearest
from nas_ray.zero_shot.complexity import complexity_of
from nas_ray.zero_shot.depth import depth_of
from nas_ray.zero_shot.effective_macs import effective_macs_of
from nas_ray.zero_shot.expressivity import expressivity_of
from nas_ray.zero_shot.gradient_norm import gradient_norm_of
from nas_ray.zero_shot.mean_path import mean_path_of
from nas_ray.zero_shot.naswot import naswot_of
from nas_ray.zero_shot.passes import Passes
from nas_ray.zero_shot.progressivity import progressivity_of
from nas_ray.zero_shot.receptive_field import receptive_field_of
from nas_ray.zero_shot.shortest_path import shortest_path_of
from nas_ray.zero_shot.swap import swap_of
from nas_ray.zero_shot.synflow import synflow_of
from nas_ray.zero_shot.trainability import trainability_of
from nas_ray.zero_shot.zen import zen_of
from nas_ray.zero_shot.zico import zico_of

#: What each score makes of the passes it needs; higher is better.
SCORES: Mapping[str, Callable[[Passes], float]] = {
    "naswot": naswot_of,
    "swap": swap_of,
    "synflow": synflow_of,
    "gradient_norm": gradient_norm_of,
    "zico": zico_of,
    "zen": zen_of,
    "expressivity": expressivity_of,
    "progressivity": progressivity_of,
    "trainability": trainability_of,
    "complexity": complexity_of,
    "depth": depth_of,
    "effective_macs": effective_macs_of,
}

#: What describes a network for a surrogate, of the pass that most scores need as well.
DESCRIPTORS: Mapping[str, Callable[[Passes], float]] = {
    "shortest_path": shortest_path_of,
    "mean_path": mean_path_of,
    "receptive_field": receptive_field_of,
}

#: The scores whose log-ranks are summed by default: see docs/zero_shot.md for how they were chosen.
DEFAULT_SCORES = ("swap", "expressivity", "trainability", "effective_macs")


def score(model: nn.Module, batch: Tensor, names: Iterable[str] = SCORES) -> dict[str, float]:
    """The zero-shot scores of the untrained `model` by name, all or those in `names`.

    Descriptors may be among the names. `batch` is `(N, ...)` of floating point with N >= 4, random
    numbers or data without labels; scores compare at one shape only. Batch and model are on one
    device. The same model and batch score the same every time, and model and global RNG are left as
    they were. Only the passes that `names` need are run, and each of them once.
    Raises ScoreError where one of the scores does not exist or cannot be computed.
    """
    passes = Passes(model, batch)
    return {name: _known(name)(passes) for name in names}


def _known(name: str) -> Callable[[Passes], float]:
    known = {**SCORES, **DESCRIPTORS}
    if name not in known:
        raise ScoreError(f"there is no zero-shot score {name!r}: {nearest(name, known)}")
    return known[name]
