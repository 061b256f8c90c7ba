"""`EvolutionarySearch`: ask for the next network, tell what it did. Knows no Ray.

State is plain JSON. Random numbers come from `(seed, how many draws so far)`, so a search restored
from its state goes on exactly as it would have.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas_ray.errors import InfeasibleError, SearchError, SpaceError, nearest
from nas_ray.evolution.costing import Costs, cost_candidates
from nas_ray.evolution.proposal import propose
from nas_ray.evolution.screen import Candidate, violation
from nas_ray.objective import Constraint, Objective
from nas_ray.pareto import Points, non_dominated
from nas_ray.space import Config, SearchSpace

#: Candidates costed at once by `ask`, and how often it tries before it says that nothing fits.
BATCH = 16
ROUNDS = 60
#: Finished networks before children are bred from them.
INITIAL = 8
#: The share of feasible candidates below which the first ones are bred towards feasibility too.
RANDOM_WHILE_FEASIBLE = 0.2


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What is known of one network: its reported metrics, costs included.

    `final` is False for one that was stopped early: good enough to breed from, not for the front.
    """

    config: Config
    metrics: Mapping[str, float]
    final: bool = True
    failed: bool = False


class EvolutionarySearch:
    """Multi-objective, constrained, asynchronous evolution over a search space.

    Costs are known before training and gate: `ask` never returns a config whose costs break a
    constraint. Any number of asked configs may be pending; tells may come in any order. No network
    is returned twice.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint] = (),
        costs: Costs = None,
        seed: int = 0,
    ) -> None:
        if not objectives:
            raise SearchError("a search needs at least one objective, but got none.")
        if seed < 0:
            raise SearchError(f"`seed >= 0` must hold, but got seed={seed}.")
        self.space = space
        self.objectives = tuple(objectives)
        self.constraints = tuple(constraints)
        self.costs = costs
        self.seed = seed
        self._draws = 0
        self._observed: dict[str, Observation] = {}
        self._pending: dict[str, Candidate] = {}
        self._costed: dict[str, Candidate] = {}

    # Ask and tell

    def ask(self) -> Config:
        """The next config to evaluate; it is pending until it is told.

        Raises StopIteration when no further feasible network could be found (in a small space: when
        every one has been asked for), and InfeasibleError when none was ever found.
        """
        for _ in range(ROUNDS):
            configs = self.candidates(BATCH if self.costs is not None else 1)
            if not configs:
                break
            for candidate in self.costed(configs):
                if violation(candidate, self.constraints) == 0:
                    return self.admit(candidate)
        if self._observed or self._pending:
            raise StopIteration
        raise self.infeasible()

    def check_feasible(self) -> None:
        """Make sure, before anything is trained, that some network can be built and is feasible.

        Raises SpaceError where the baseline cannot be built, SearchError for a constraint on what
        nothing reports, InfeasibleError with the nearest value found where nothing meets the
        constraints. Draws of its own: what `ask` proposes does not depend on this check.
        """
        probe = EvolutionarySearch(
            self.space,
            objectives=self.objectives,
            constraints=self.constraints,
            costs=self.costs,
            seed=self.seed,
        )
        (baseline,) = probe.costed([self.space.baseline])
        if baseline.error:
            raise SpaceError(f"the baseline cannot be built: {baseline.error}")
        if violation(baseline, self.constraints) > 0:
            probe.ask()

    def tell(self, config: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        """Record what a config did. Costs known from before need not be repeated.

        Raises SearchError where an objective is missing or not finite.
        """
        self._record(config, metrics, final=True)

    def tell_stopped(self, config: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        """Record a config that was stopped early: a parent perhaps, but never on the front."""
        self._record(config, metrics, final=False)

    def tell_failed(self, config: Mapping[str, Any]) -> None:
        """Record a config that could not be evaluated: never asked for again, never a parent."""
        key = self.space.key(config)
        self._pending.pop(key, None)
        self._observed[key] = Observation(
            config=self.space.canonical(config), metrics={}, final=False, failed=True
        )

    def _record(
        self, config: Mapping[str, Any], metrics: Mapping[str, float], *, final: bool
    ) -> None:
        key = self.space.key(config)
        known = self._pending.get(key) or self._costed.get(key)
        merged = {**(known.costs if known else {}), **metrics}
        wanted = {c.quantity: "constraint" for c in self.constraints}
        for name, role in {**wanted, **{o.metric: "objective" for o in self.objectives}}.items():
            if merged.get(name) is None:
                raise SearchError(f"{role} {name!r} was not told; {nearest(name, merged)}")
            if not math.isfinite(merged[name]):
                raise SearchError(
                    f"{role} {name!r} must be finite, but got {merged[name]} for "
                    f"{config}. Tell a failed evaluation with tell_failed(config)."
                )
        self._pending.pop(key, None)
        self._observed[key] = Observation(
            config=self.space.canonical(config),
            metrics={name: float(value) for name, value in merged.items()},  # JSON, if of numpy
            final=final,
        )

    # The parts of ask, for those who cost and score elsewhere

    def candidates(self, count: int) -> list[Config]:
        """Up to `count` new configs bred from the archive; nothing is pending yet.

        Where few of the first ones are feasible, those nearest to it are the parents.
        """
        rng = np.random.default_rng([self.seed, self._draws])
        self._draws += 1
        parents, points = self._parents()
        return propose(self.space, parents, points, self.is_known, count, rng)

    @property
    def draws(self) -> int:
        """How often candidates were drawn; with the seed it fixes the next draw."""
        return self._draws

    def skip_draws(self, draws: int) -> None:
        """Go on as if candidates had been drawn `draws` times already."""
        self._draws = max(self._draws, draws)

    def is_known(self, key: str) -> bool:
        """Whether a network (by its key) is observed, pending, or known to be infeasible."""
        if key in self._observed or key in self._pending:
            return True
        costed = self._costed.get(key)
        return costed is not None and violation(costed, self.constraints) > 0

    def _parents(self) -> tuple[list[Config], Points]:
        good = [o for o in self._observed.values() if not o.failed and self.is_feasible(o)]
        if len(good) >= INITIAL:
            return [o.config for o in good], self._points(good)
        excess = [(violation(c, self.constraints), c.config) for c in self._costed.values()]
        feasible = sum(e == 0 for e, _ in excess)
        if feasible >= RANDOM_WHILE_FEASIBLE * len(excess):
            return [], np.empty((0, 1))
        near = sorted((e for e in excess if math.isfinite(e[0])), key=lambda e: e[0])[: 2 * BATCH]
        return [config for _, config in near], np.array([[e] for e, _ in near]).reshape(-1, 1)

    def costed(self, configs: Sequence[Config]) -> list[Candidate]:
        """`configs` with their costs; one that cannot be built carries the reason instead."""
        found = cost_candidates(self.space, self.costs, configs)
        self.remember(found)
        return found

    def remember(self, candidates: Sequence[Candidate]) -> None:
        """Keep costs found elsewhere: infeasible networks are not proposed again.

        Raises SearchError for a constraint on something that is neither a cost nor an objective.
        """
        for candidate in candidates:
            # Once: the first that has costs, since one that cannot be built has none.
            if candidate.costs and not any(known.costs for known in self._costed.values()):
                self.check_constraints(candidate.costs)
            self._costed[self.space.key(candidate.config)] = candidate

    def check_constraints(self, costs: Mapping[str, float]) -> None:
        """Raise SearchError for a constraint on a quantity that nothing reports."""
        known = {*costs, *(objective.metric for objective in self.objectives)}
        for constraint in self.constraints:
            if constraint.quantity not in known:
                raise SearchError(
                    f"a constraint must be on a cost or an objective, but `{constraint}` is on "
                    f"{constraint.quantity!r}, which nothing reports; "
                    f"{nearest(constraint.quantity, known)}"
                )

    def admit(self, candidate: Candidate) -> Config:
        """Make a candidate pending and return its config."""
        self._pending[self.space.key(candidate.config)] = candidate
        return candidate.config

    def infeasible(self) -> InfeasibleError:
        """The error that says which bound nothing meets, and how near the nearest came."""
        buildable = [c for c in self._costed.values() if not c.error]
        if not buildable:
            reason = next((c.error for c in self._costed.values()), "no candidate was left")
            return InfeasibleError(f"no network of {self.space.name!r} can be built: {reason}")
        nearest_one = min(buildable, key=lambda c: violation(c, self.constraints))
        wanted = " and ".join(str(c) for c in self.constraints)
        reached = ", ".join(
            f"{c.quantity} = {nearest_one.costs[c.quantity]:.4g}"
            for c in self.constraints
            if c.quantity in nearest_one.costs
        )
        return InfeasibleError(
            f"no network of {self.space.name!r} was found that meets {wanted}: the nearest of "
            f"{len(buildable)} tried has {reached}. Loosen the bound or add smaller choices."
        )

    # What is known

    def is_feasible(self, observation: Observation) -> bool:
        """Whether everything told of a network keeps to the constraints."""
        return all(
            constraint.violation(observation.metrics.get(constraint.quantity, math.nan)) == 0
            for constraint in self.constraints
        )

    def _points(self, observations: Sequence[Observation]) -> Points:
        rows = [[o.minimised(x.metrics[o.metric]) for o in self.objectives] for x in observations]
        return np.array(rows, dtype=float).reshape(len(rows), len(self.objectives))

    @property
    def has_pending(self) -> bool:
        """Whether a config was asked for and not told yet."""
        return bool(self._pending)

    @property
    def observations(self) -> tuple[Observation, ...]:
        """Everything told so far."""
        return tuple(self._observed.values())

    def front(self) -> list[Observation]:
        """The feasible, fully evaluated networks that no other dominates."""
        final = [o for o in self._observed.values() if o.final and self.is_feasible(o)]
        if not final:
            return []
        keep = non_dominated(self._points(final))
        return [o for o, kept in zip(final, keep, strict=True) if kept]

    # State

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides what comes next, as JSON."""
        return {
            "draws": self._draws,
            "observed": [
                {
                    "config": o.config,
                    "metrics": dict(o.metrics),
                    "final": o.final,
                    "failed": o.failed,
                }
                for o in self._observed.values()
            ],
            "pending": [_plain(c) for c in self._pending.values()],
            "costed": [_plain(c) for c in self._costed.values()],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`, made by `state_dict` of a search over the same space.

        Raises SpaceError for configs that are not of this space.
        """
        key = self.space.key
        self._draws = int(state["draws"])
        self._observed = {key(o["config"]): Observation(**o) for o in state["observed"]}
        self._pending = {key(c["config"]): Candidate(**c) for c in state["pending"]}
        self._costed = {key(c["config"]): Candidate(**c) for c in state["costed"]}


def _plain(candidate: Candidate) -> dict[str, Any]:
    return {
        "config": candidate.config,
        "costs": dict(candidate.costs),
        "scores": dict(candidate.scores),
        "error": candidate.error,
    }
