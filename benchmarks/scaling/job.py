"""A search whose networks cost nothing to train: what is measured is everything around them."""

from typing import Any

import numpy as np
from ray import tune

import nas_ray
from nas_ray import Categorical, EvolutionarySearch, Objective, Ordinal, SearchSpace
from nas_ray.evolution import Archive
from nas_ray.record import Record

OBJECTIVES = (Objective("accuracy", "max"), Objective("latency_ms", "min"))
#: Candidates are costed by a function and not scored: nothing is built.
SCREEN = nas_ray.Screen(scored=0)


def space() -> SearchSpace:
    """Six stages of three choices each: about 10^12 networks."""
    choices: dict[str, Categorical | Ordinal] = {}
    for stage in range(6):
        choices[f"stage{stage}.block"] = Categorical("ibn", "fused_ibn", "conv")
        choices[f"stage{stage}.width"] = Ordinal(*range(16, 129, 16))
        choices[f"stage{stage}.depth"] = Ordinal(1, 2, 3, 4)
    return SearchSpace(name="stages", choices=choices)


def costs(config: dict[str, Any]) -> dict[str, float]:
    """Something like a latency and a number of MACs."""
    macs = sum(
        float(config[f"stage{n}.depth"]) * float(config[f"stage{n}.width"]) ** 2 for n in range(6)
    )
    fused = sum(config[f"stage{n}.block"] != "ibn" for n in range(6))
    return {"latency_ms": macs / 1e4 * (1 - fused / 20), "macs": macs * 1e3}


def accuracy(config: dict[str, Any]) -> float:
    """It rises with size, less and less, and there is something to find in the blocks."""
    size = np.log(costs(config)["macs"]) / 20
    fitting = np.mean([config[f"stage{n}.block"] == ("ibn" if n > 2 else "conv") for n in range(6)])
    return float(0.5 + size / 3 + fitting / 10)


def train(config: dict[str, Any]) -> None:
    """What Ray Tune runs: one report."""
    used = {name: value for name, value in config.items() if name.startswith("stage")}
    tune.report({"epoch": 1, "accuracy": accuracy(used), **costs(used)})


def archive(
    record: Record | None = None, *, surrogate: bool = True, max_epochs: int = 1
) -> Archive:
    """A new search over the space."""
    search = EvolutionarySearch(
        space(), objectives=OBJECTIVES, costs=costs, surrogate=surrogate, seed=0
    )
    return Archive(search, max_epochs=max_epochs, record=record)
