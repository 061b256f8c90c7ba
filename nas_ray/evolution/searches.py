"""`Search`: what every search method offers, so that one loop runs them all."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from nas_ray.evolution.observation import Observation
from nas_ray.space import Config


class Search(Protocol):
    """Ask for the next network, tell what it did; any number may be pending, in any order."""

    def ask(self) -> Config:
        """The next config to evaluate, one that its costs allow; no network comes twice.

        Raises StopIteration when there is no further one, InfeasibleError when there never was.
        """
        ...

    def tell(self, config: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        """Record what a config did. Costs known from before need not be repeated."""
        ...

    def tell_failed(self, config: Mapping[str, Any]) -> None:
        """Record a config that could not be evaluated."""
        ...

    def front(self) -> Sequence[Observation]:
        """The feasible networks told so far that no other dominates."""
        ...
