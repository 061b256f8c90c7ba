"""Small spaces that build nothing, and numbers for their configs, for tests of searches."""

import json

import numpy as np

from nas_ray import Categorical, Channels, Ordinal, SearchSpace


def twelve() -> SearchSpace:
    """3 x 2 x 2 networks."""
    return SearchSpace(
        name="twelve",
        choices={
            "depth": Ordinal(1, 2, 3),
            "block": Categorical("ibn", "fused_ibn"),
            "kernel": Ordinal(3, 5),
        },
    )


def dials(count: int = 8) -> SearchSpace:
    """Eleven steps for each of `count` dials."""
    return SearchSpace(
        name="dials", choices={f"dial{n}": Ordinal(*range(11)) for n in range(count)}
    )


def conditional() -> SearchSpace:
    """A stage that may be empty, its block, and the expansion that only an IBN has.

    66 networks: 2 without a stage, and 2 depths x (1 conv + 3 ibn) x 4 widths x 2 sizes.
    """
    return SearchSpace(
        name="conditional",
        choices={
            "depth": Ordinal(0, 1, 2),
            "block": Categorical("conv", "ibn", when={"depth": (1, 2)}),
            "expansion": Ordinal(2, 4, 6, when={"block": ("ibn",)}),
            "channels": Channels(16, 64, multiple=16, when={"depth": (1, 2)}),
            "resolution": Ordinal(32, 48),
        },
    )


def dial_latency(config) -> dict[str, float]:
    """Each step of a dial takes a millisecond."""
    return {"latency_ms": float(sum(config.values()))}


def accuracy_of(config) -> float:
    """A number in [0, 1) that only the config decides, and that is no function of its cost."""
    return float(np.random.default_rng(list(json.dumps(config).encode())).random())


def measured(config) -> dict[str, float]:
    """What training a config tells."""
    return {"accuracy": accuracy_of(config)}
