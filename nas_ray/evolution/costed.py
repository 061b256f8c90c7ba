"""What is remembered of costed candidates: which are infeasible, which of those the nearest."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nas_ray.errors import InfeasibleError, SearchError, nearest
from nas_ray.evolution.proposal import WALKABLE_SIZE
from nas_ray.evolution.screen import Candidate, violation
from nas_ray.objective import Constraint
from nas_ray.pareto import Points
from nas_ray.space import Config, SearchSpace

#: Infeasible candidates kept to breed from while few are feasible.
_NEAREST = 32
#: The share of feasible candidates below which the first ones are bred towards feasibility.
_FEW_FEASIBLE = 0.2


class CostedCandidates:
    """Infeasible networks of `space`: those nearest to the constraints, and in small spaces all.

    `known_later` are the names of what training tells; a constraint on one of them waits.
    """

    def __init__(
        self,
        space: SearchSpace,
        known_later: Sequence[str],
        constraints: Sequence[Constraint],
    ) -> None:
        self._space = space
        self._known_later = known_later
        self._constraints = tuple(constraints)
        self._infeasible: dict[str, None] = {}
        self._nearest: dict[str, Candidate] = {}
        self._unbuildable = ""
        self._built = 0
        self._feasible = 0

    def add(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Remember what was costed; returned are the infeasible ones that are kept.

        Raises SearchError for a constraint on something that is no cost and is not known later.
        """
        for candidate in candidates:
            if candidate.costs and not self._built:
                self._check_constraints(candidate.costs)
            if candidate.error:
                self._unbuildable = self._unbuildable or candidate.error
            else:
                self._built += 1
                self._feasible += self._excess(candidate) == 0
        return self._keep(candidates)

    def recall(
        self, kept: Sequence[Candidate], *, built: int, feasible: int, unbuildable: str
    ) -> None:
        """Remember what `add` was given, by what it returned and how many there were."""
        self._unbuildable = self._unbuildable or unbuildable
        self._built += built
        self._feasible += feasible
        self._keep(kept)

    def _keep(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        infeasible = [candidate for candidate in candidates if self._excess(candidate) > 0]
        keyed = [(self._space.key(candidate.config), candidate) for candidate in infeasible]
        for key, candidate in keyed:
            self._keep_one(key, candidate)
        by_excess = sorted(self._nearest.items(), key=lambda item: self._excess(item[1]))
        self._nearest = dict(by_excess[:_NEAREST])
        return [candidate for key, candidate in keyed if key in self]

    def _keep_one(self, key: str, candidate: Candidate) -> None:
        excess = self._excess(candidate)
        # In spaces small enough to be used up, so that the search ends when they are.
        if self._space.size <= WALKABLE_SIZE:
            self._infeasible[key] = None
        if excess < math.inf:
            self._nearest[key] = candidate

    def _excess(self, candidate: Candidate) -> float:
        return violation(candidate, self._constraints)

    def __contains__(self, key: str) -> bool:
        """Whether a network, by its key, is known to be infeasible."""
        return key in self._infeasible or key in self._nearest

    def parents(self) -> tuple[list[Config], Points]:
        """Configs to breed towards feasibility from, with how far they are: `(N, 1)`.

        None where enough of what was costed is feasible anyway.
        """
        if self._feasible >= _FEW_FEASIBLE * self._built:
            return [], np.empty((0, 1))
        near = list(self._nearest.values())
        return [c.config for c in near], np.array([[self._excess(c)] for c in near])

    def _check_constraints(self, costs: Mapping[str, float]) -> None:
        """Raise SearchError for a constraint on a quantity that nothing reports."""
        known = {*costs, *self._known_later}
        for constraint in self._constraints:
            if constraint.quantity not in known:
                raise SearchError(
                    f"a constraint must be on a cost or an objective, but `{constraint}` is on "
                    f"{constraint.quantity!r}, which nothing reports; "
                    f"{nearest(constraint.quantity, known)}"
                )

    def infeasible(self) -> InfeasibleError:
        """The error that says which bound nothing meets, and how near the nearest came."""
        if not self._nearest:
            reason = self._unbuildable or "no candidate was left"
            return InfeasibleError(f"no network of {self._space.name!r} can be built: {reason}")
        nearest_one = min(self._nearest.values(), key=self._excess)
        wanted = " and ".join(str(c) for c in self._constraints)
        reached = ", ".join(
            f"{c.quantity} = {nearest_one.costs[c.quantity]:.4g}"
            for c in self._constraints
            if c.quantity in nearest_one.costs
        )
        return InfeasibleError(
            f"no network of {self._space.name!r} was found that meets {wanted}: the nearest of "
            f"{self._built} tried has {reached}. Loosen the bound or add smaller choices."
        )

    def state_dict(self) -> dict[str, Any]:
        """All of it, as JSON."""
        return {
            "infeasible": list(self._infeasible),
            "nearest": [candidate.plain() for candidate in self._nearest.values()],
            "unbuildable": self._unbuildable,
            "built": self._built,
            "feasible": self._feasible,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self._infeasible = dict.fromkeys(state["infeasible"])
        nearest_ones = [Candidate(**c) for c in state["nearest"]]
        self._nearest = {self._space.key(c.config): c for c in nearest_ones}
        self._unbuildable = state["unbuildable"]
        self._built, self._feasible = int(state["built"]), int(state["feasible"])
