"""What is known of one network."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from nas_ray.evolution.screen import Candidate
from nas_ray.space import Config


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What is known of one network: its reported metrics, costs included.

    `costs` and `scores` are what was known before it was trained. `curve` are the metrics of its
    epochs, by epoch, where they were reported. `final` is False for one that was stopped early:
    good enough to breed from, not for the front. One from `elsewhere` was trained by another
    search: it says something of the network, which may be trained here as well.
    """

    config: Config
    metrics: Mapping[str, float]
    final: bool = True
    failed: bool = False
    elsewhere: bool = False
    costs: Mapping[str, float] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    curve: Mapping[int, Mapping[str, float]] = field(default_factory=dict)

    @property
    def epoch(self) -> int:
        """The last epoch reported; 0 where none was."""
        return max(self.curve, default=0)

    @cached_property
    def candidate(self) -> Candidate:
        """What was known of it before it was trained; what was told counts where nothing was."""
        return Candidate(
            config=self.config, costs={**self.metrics, **self.costs}, scores=self.scores
        )


def observation(fields: Mapping[str, Any]) -> Observation:
    """An observation from its fields as JSON has them, whose keys are text."""
    curve = {int(epoch): values for epoch, values in fields["curve"].items()}
    return Observation(**{**fields, "curve": curve})
