"""Feasible candidates that wait to be trained, and which of them come next."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nas_ray.errors import SearchError
from nas_ray.evolution.screen import Candidate
from nas_ray.space import Config

#: How many of those that a ranking likes best go on waiting, and how many of the newest. By rank
#: alone nothing new would get in where the surrogate is wrong; by age alone the good are lost.
BEST = 96
NEWEST = 160


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Who is trained `next`, in that order, and who is `dropped`: places among those who wait."""

    next: Sequence[int] = ()
    dropped: Sequence[int] = ()


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

    def add(self, keyed: Sequence[tuple[str, Candidate]]) -> None:
        """Let more wait, with their keys; who waits already keeps its place."""
        for key, candidate in keyed:
            self._candidates.setdefault(key, candidate)

    def replace(self, candidate: Candidate) -> None:
        """Know more of one who waits."""
        self._candidates[self._key(candidate.config)] = candidate

    def discard(self, key: str) -> None:
        """Let one wait no longer."""
        self._candidates.pop(key, None)

    def surplus(self, best_first: Sequence[int] | None = None) -> list[int]:
        """The places of those that are too many: neither the newest nor among the first ranked.

        Without a ranking the newest stay.
        """
        count = len(self)
        if best_first is None:
            return list(range(max(0, count - BEST - NEWEST)))
        best = set(best_first[:BEST])
        return [place for place in range(max(0, count - NEWEST)) if place not in best]

    def follow(self, plan: Plan) -> None:
        """Keep to a plan. Raises SearchError where it is of other candidates than those here."""
        keys = list(self._candidates)
        if any(not 0 <= place < len(keys) for place in (*plan.next, *plan.dropped)):
            raise SearchError(f"{plan} names more candidates than the {len(keys)} that wait.")
        self._plan = [keys[place] for place in plan.next]
        for place in plan.dropped:
            del self._candidates[keys[place]]

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
