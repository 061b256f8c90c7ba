"""A search space in Ray Tune's own terms."""

from typing import Any

from ray import tune

from nas_ray.space import SearchSpace


def domains(space: SearchSpace) -> dict[str, Any]:
    """`param_space` for a `tune.Tuner`: every choice an independent `tune.choice`.

    Ray Tune has no conditional domains: a choice that is not in use is drawn too, and
    `space.canonical(config)` drops it.
    """
    return {name: tune.choice(list(choice.options)) for name, choice in space.choices.items()}
