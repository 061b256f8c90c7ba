"""Feasible candidates that wait to be trained, and which of them come next."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nas_ray.evolution.screen import Candidate
from nas_ray.space import Config

#: How many wait; the newest stay.
POOL = 256


class Waiting:
    """Candidates by `key`, oldest first; a plan names those that are trained next, in its order."""

    def __init__(self, key: Callable[[Config], str]) -> None:
        self._key = key
        self._candidates: dict[str, Candidate] = {}
        self._plan: list[str] = []

    def __len__(self) -> int:
        return len(self._candidates)

    def __contains__(self, key: str) -> bool:
        return key in self._candidates

    @property
    def candidates(self) -> list[Candidate]:
        """Who waits, oldest first."""
        return list(self._candidates.values())

    def add(self, candidates: Sequence[Candidate]) -> None:
        """Let more wait; who waits already keeps its place, of too many the oldest go."""
        for candidate in candidates:
            self._candidates.setdefault(self._key(candidate.config), candidate)
        for key in list(self._candidates)[: max(0, len(self._candidates) - POOL)]:
            del self._candidates[key]

    def replace(self, candidate: Candidate) -> None:
        """Know more of one who waits."""
        self._candidates[self._key(candidate.config)] = candidate

    def discard(self, key: str) -> None:
        """Let one wait no longer."""
        self._candidates.pop(key, None)

    def plan(self, candidates: Sequence[Candidate]) -> None:
        """Who comes next, in this order."""
        self._plan = [self._key(candidate.config) for candidate in candidates]

    @property
    def planned(self) -> Candidate | None:
        """The first of the plan that still waits; None where a new plan is due."""
        return next((self._candidates[key] for key in self._plan if key in self), None)

    def state_dict(self) -> dict[str, Any]:
        """Who waits and what was planned, as JSON."""
        return {"pool": [c.plain() for c in self.candidates], "plan": list(self._plan)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self._candidates = {self._key(c["config"]): Candidate(**c) for c in state["pool"]}
        self._plan = list(state["plan"])
