"""What each trial is given, how many train at once, and how often a lost one is tried again."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import ray
from ray import tune

from nas_ray.errors import SearchError


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What each trial is given; a share of a GPU, such as 0.25, packs several onto one.

    At most `max_concurrent` trials train at once: by default as many as the cluster holds, and on a
    cluster that grows one more, so that it has a reason to. A trial whose worker died, or was
    silent for `silent_s` seconds and was ended, goes on from its last checkpoint, up to `retries`
    times. What a network raises is its own fault and is not tried again.
    """

    cpus_per_trial: int = 1
    gpus_per_trial: float = 0.0
    max_concurrent: int | None = None
    retries: int = 3
    silent_s: float | None = None

    def __post_init__(self) -> None:
        for name, least in (("cpus_per_trial", 1), ("gpus_per_trial", 0), ("retries", 0)):
            if getattr(self, name) < least:
                raise SearchError(
                    f"{name} must be at least {least}, but got {name}={getattr(self, name)}."
                )
        if self.max_concurrent is not None and self.max_concurrent < 1:
            raise SearchError(
                f"max_concurrent must be at least 1, but got max_concurrent={self.max_concurrent}."
            )
        if self.silent_s is not None and not self.silent_s > 0:
            raise SearchError(f"silent_s must be above 0, but got silent_s={self.silent_s}.")

    def given_to(self, trainable: Any) -> Any:
        """`trainable`, so that Ray Tune gives each of its trials what is promised."""
        return tune.with_resources(
            trainable, {"cpu": self.cpus_per_trial, "gpu": self.gpus_per_trial}
        )

    @property
    def _wanted(self) -> dict[str, float]:
        wanted = {"CPU": float(self.cpus_per_trial), "GPU": self.gpus_per_trial}
        return {name: amount for name, amount in wanted.items() if amount}

    def check(self, *, can_grow: bool) -> None:
        """Raise SearchError where no trial fits on this machine; on a cluster warn, as it may grow.

        A trial lives on one node: what counts is the largest of them.
        """
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        if any(self._fits(node) for node in nodes):
            return
        wanted = " and ".join(f"{amount:g} {name}" for name, amount in self._wanted.items())
        if can_grow:
            warnings.warn(
                f"a trial was promised {wanted}, and no node of the cluster has that yet: the "
                "search waits until one comes. If none ever will, stop it and ask for less.",
                UserWarning,
                stacklevel=2,
            )
        else:
            (here,) = nodes
            has = " and ".join(f"{here.get(name, 0):g} {name}" for name in self._wanted)
            raise SearchError(
                f"a trial was promised {wanted}, but this machine has {has}: no trial could ever "
                "start. Ask for less, or run on a cluster."
            )

    def _fits(self, node: Mapping[str, float]) -> bool:
        return all(amount <= node.get(name, 0) for name, amount in self._wanted.items())

    def concurrent(self, *, can_grow: bool) -> int | Callable[[], int]:
        """How many trials may train at once; where the cluster can grow, a function that looks."""
        return self.max_concurrent or (self._fitting_and_one if can_grow else self._fitting())

    def _fitting(self) -> int:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        return max(1, sum(self._how_often(node) for node in nodes))

    def _how_often(self, node: Mapping[str, float]) -> int:
        fits = min(node.get(name, 0) / amount for name, amount in self._wanted.items())
        return int(fits + 1e-9)

    def _fitting_and_one(self) -> int:
        # An autoscaler adds nodes for what waits, and only for that.
        return self._fitting() + 1
