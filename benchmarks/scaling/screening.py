"""How fast candidates are costed on one core, and how scoring scales with workers."""

import time
from statistics import median
from typing import Any

import numpy as np

import nas_ray
from nas_ray import EvolutionarySearch, Objective
from nas_ray.tune.screening import Screening
from search_spaces import classification

DEVICE = "ethos-u85-2048"


def costing(candidates: int) -> dict[str, Any]:
    """Seconds to breed nothing and cost `candidates` random configs by a device's estimates."""
    device, space = nas_ray.load_device(DEVICE), classification.space()
    rng = np.random.default_rng(0)
    configs = [space.sample(rng) for _ in range(candidates)]
    device.estimate_configs(space, configs[:64])  # the table of the space is learned once
    begun = time.perf_counter()
    device.estimate_configs(space, configs)
    return {"candidates": candidates, "seconds": time.perf_counter() - begun}


def scoring(networks: int, runs: int) -> dict[str, Any]:
    """Seconds of a pass that scores `networks`, by one task at a time and by two."""
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for workers in seconds:
        _pass(networks, workers)  # workers import torch once
    for _ in range(runs):
        for workers, times in seconds.items():
            times.append(_pass(networks, workers))
    return {
        "networks": networks,
        "seconds": {str(workers): times for workers, times in seconds.items()},
        "speed_up": median(seconds[1]) / median(seconds[2]),
    }


def _pass(networks: int, workers: int) -> float:
    search = EvolutionarySearch(
        classification.space(),
        objectives=[Objective("accuracy", "max"), Objective("latency_ms", "min")],
        costs=nas_ray.load_device(DEVICE),
        surrogate=False,
        seed=1,
    )
    screen = nas_ray.Screen(pool=networks, scored=networks, kept=networks)
    screening = Screening(search, screen, workers)
    begun = time.perf_counter()
    screening.begin()
    while (found := screening.advance(timeout_s=1.0)) is None:
        pass
    if found.batch.scored < networks / 2:
        raise RuntimeError(f"only {found.batch.scored} of {networks} networks were scored.")
    return time.perf_counter() - begun
