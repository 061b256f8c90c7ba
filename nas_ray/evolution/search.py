"""`EvolutionarySearch`: ask for the next network, tell what it did. Knows no Ray.

State is plain JSON. Random numbers come from the seed, from how many draws and choices there were
so far and from how much is known, so a search restored from its state goes on exactly as it would
have.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from nas_ray.errors import InfeasibleError, SearchError, SpaceError
from nas_ray.evolution.arguments import require_arguments, require_told
from nas_ray.evolution.costed import CostedCandidates
from nas_ray.evolution.costing import Costs, cost_candidates
from nas_ray.evolution.history import History
from nas_ray.evolution.learner import Learner
from nas_ray.evolution.observation import Observation, observation
from nas_ray.evolution.planning import INITIAL, Planner
from nas_ray.evolution.proposal import POPULATION, best_first, propose
from nas_ray.evolution.screen import Candidate, violation
from nas_ray.evolution.waiting import Plan, Waiting
from nas_ray.objective import Constraint, Objective
from nas_ray.pareto import Points
from nas_ray.space import Config, SearchSpace

#: Candidates drawn by one `ask`, and how often it draws before it says that nothing fits.
BATCH = 64
ROUNDS = 60
#: Candidates of one `ask` that the zero-shot scores are computed for, where there are any.
SCORED = 64
#: How many of the best known networks children are bred from where a surrogate chooses among the
#: children. Without one the tournaments have to select, and they are held among fewer.
PARENTS = 64

Scores = Callable[[Config], Mapping[str, float]]
Curve = Mapping[int, Mapping[str, float]]


class EvolutionarySearch:
    """Multi-objective, constrained, asynchronous evolution over a search space.

    Candidates are bred from the best that is known. Their costs are known before training and
    gate: `ask` never returns a config whose costs break a constraint. `scores`, if given, maps a
    config to the zero-shot scores of its untrained network. `told` are the quantities that `tell`
    will report beside the objectives and costs, where a constraint is on one. With `surrogate`, a
    model learned from what was told says which of the candidates to train; without it the first
    feasible one is.

    Any number of asked configs may be pending; tells may come in any order. No network is returned
    twice.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint] = (),
        costs: Costs = None,
        scores: Scores | None = None,
        told: Sequence[str] = (),
        surrogate: bool = True,
        seed: int = 0,
    ) -> None:
        require_arguments(space, objectives, constraints, costs)
        if seed < 0:
            raise SearchError(f"`seed >= 0` must hold, but got seed={seed}.")
        self.space = space
        self.objectives = tuple(objectives)
        self.constraints = tuple(constraints)
        self.costs = costs
        self.scores = scores
        self.learns = surrogate
        self._population = PARENTS if surrogate else POPULATION
        self.seed = seed
        self._draws = 0
        self._chosen = 0
        self._history = History(self.objectives, self.constraints)
        learner = Learner(space, self._history, seed)
        self._planner = Planner(self._history, learner, self.objectives, self.constraints, seed)
        self.told = tuple(told)
        known_later = [*(o.metric for o in self.objectives), *self.told]
        self._costed = CostedCandidates(space, known_later, self.constraints)
        self._pending: dict[str, Candidate] = {}
        self._waiting = Waiting(space.key)

    # Ask and tell

    def ask(self) -> Config:
        """The next config to evaluate; it is pending until it is told.

        Raises StopIteration when no further feasible network could be found (in a small space: when
        every one has been asked for), and InfeasibleError when none was ever found.
        """
        if self.planned is not None:
            return self.admit(self.planned)
        for _ in range(ROUNDS):
            configs = self.candidates(BATCH)
            costed = self.costed(configs)
            self.offer([c for c in costed if violation(c, self.constraints) == 0])
            self._score_waiting()
            self.follow(self.plan())
            if self.planned is not None:
                return self.admit(self.planned)
            if not configs:
                break
        if len(self._history) or self._pending:
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
            told=self.told,
            surrogate=False,
            seed=self.seed,
        )
        (baseline,) = probe.costed([self.space.baseline])
        if baseline.error:
            raise SpaceError(f"the baseline cannot be built: {baseline.error}")
        if violation(baseline, self.constraints) > 0:
            probe.ask()

    def tell(
        self, config: Mapping[str, Any], metrics: Mapping[str, float], curve: Curve | None = None
    ) -> None:
        """Record what a config did. Costs known from before need not be repeated.

        `curve` are its metrics by epoch, if it was trained by epochs. Raises SearchError where an
        objective is missing or not finite.
        """
        self._record(config, metrics, curve or {}, final=True)

    def tell_stopped(
        self, config: Mapping[str, Any], metrics: Mapping[str, float], curve: Curve | None = None
    ) -> None:
        """Record a config that was stopped early: a parent perhaps, but never on the front.

        By the curves of networks trained in full the surrogate expects where it would have ended.
        """
        self._record(config, metrics, curve or {}, final=False)

    def tell_failed(self, config: Mapping[str, Any]) -> None:
        """Record a config that could not be evaluated: never asked for again, never a parent."""
        key = self.space.key(config)
        known = self._pending.pop(key, None)
        self._take(
            key,
            Observation(
                config=self.space.canonical(config),
                metrics={},
                final=False,
                failed=True,
                costs=known.costs if known else {},
                scores=known.scores if known else {},
            ),
        )

    def tell_elsewhere(self, observations: Sequence[Observation]) -> None:
        """Record what another search found out, as hints: its networks may be asked for here."""
        for one in observations:
            self._history.add(self._place(one), one)

    def _place(self, one: Observation) -> str:
        key = self.space.key(one.config)
        # Beside the network itself, so that it is not known here.
        return f"elsewhere {key}" if one.elsewhere else key

    def _record(
        self, config: Mapping[str, Any], metrics: Mapping[str, float], curve: Curve, *, final: bool
    ) -> None:
        key = self.space.key(config)
        known = self._known(config)
        merged = {**known.costs, **metrics}
        require_told(config, merged, self.objectives, self.constraints)
        self._pending.pop(key, None)
        self._take(
            key,
            Observation(
                config=self.space.canonical(config),
                metrics=_floats(merged),
                final=final,
                costs=_floats({name: merged[name] for name in known.costs}),
                scores=known.scores,
                curve={int(epoch): _floats(values) for epoch, values in curve.items()},
            ),
        )

    def _known(self, config: Mapping[str, Any]) -> Candidate:
        """What was known of a config before it was trained, whether it was asked for or not."""
        key = self.space.key(config)
        if key in self._pending:
            return self._pending[key]
        known = self._history.get(key)
        if known is not None:
            # Not what was told of it: as a cost, that would be a feature of this network alone.
            return Candidate(config=known.config, costs=known.costs, scores=known.scores)
        (candidate,) = cost_candidates(self.space, self.costs, [self.space.canonical(config)])
        return candidate

    def costs_of(self, config: Mapping[str, Any]) -> Mapping[str, float]:
        """What a config costs; estimated only where it is neither pending nor told."""
        return self._known(config).costs

    def release(self, config: Mapping[str, Any]) -> None:
        """Let a pending config go untold: it may be asked for again."""
        self._pending.pop(self.space.key(config), None)

    def _take(self, key: str, observation: Observation) -> None:
        self._waiting.discard(key)
        self._history.add(key, observation)

    # The parts of ask, for those who cost and score elsewhere

    def candidates(self, count: int) -> list[Config]:
        """Up to `count` new configs bred from the archive; nothing is pending yet.

        Where few of the first ones are feasible, those nearest to it are the parents.
        """
        rng = np.random.default_rng([self.seed, self._draws])
        self._draws += 1
        parents, points = self._parents()
        return propose(
            self.space,
            parents,
            points,
            self._is_waiting_or_known,
            count,
            rng,
            population=self._population,
        )

    @property
    def draws(self) -> int:
        """How often candidates were drawn; with the seed it fixes the next draw."""
        return self._draws

    @property
    def choices(self) -> int:
        """How many networks were handed out; with the seed and what is known it fixes a plan."""
        return self._chosen

    def skip_draws(self, draws: int) -> None:
        """Go on as if candidates had been drawn `draws` times already."""
        self._draws = max(self._draws, draws)

    def is_known(self, key: str) -> bool:
        """Whether a network (by its key) is observed, pending, or known to be infeasible."""
        return key in self._history or key in self._pending or key in self._costed

    def _is_waiting_or_known(self, key: str) -> bool:
        return key in self._waiting or self.is_known(key)

    def _parents(self) -> tuple[list[Config], Points]:
        good = np.flatnonzero(self._history.feasible)
        if len(good) >= INITIAL:
            best = good[best_first(self._history.points[good], self._population)]
            return [self._history[n].config for n in best], self._history.points[best]
        return self._costed.parents()

    def costed(self, configs: Sequence[Config]) -> list[Candidate]:
        """`configs` with their costs; one that cannot be built carries the reason instead."""
        found = cost_candidates(self.space, self.costs, configs)
        self.remember(found)
        return found

    def remember(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Keep costs found elsewhere: infeasible networks are not proposed again.

        Returned are those of `candidates` that are kept, for `recall`.

        Raises SearchError for a constraint on something that is neither a cost nor an objective.
        """
        return self._costed.add(candidates)

    def recall(
        self, kept: Sequence[Candidate], *, built: int, feasible: int, unbuildable: str = ""
    ) -> None:
        """Remember costed candidates by those that `remember` kept and how many there were."""
        self._costed.recall(kept, built=built, feasible=feasible, unbuildable=unbuildable)

    def infeasible(self) -> InfeasibleError:
        """The error that says which bound nothing meets, and how near the nearest came."""
        return self._costed.infeasible()

    def offer(self, candidates: Sequence[Candidate]) -> None:
        """Let feasible candidates wait to be chosen."""
        keyed = [(self.space.key(candidate.config), candidate) for candidate in candidates]
        self._waiting.add([(key, one) for key, one in keyed if not self.is_known(key)])

    def best(
        self, candidates: Sequence[Candidate], count: int, rng: np.random.Generator
    ) -> list[Candidate]:
        """The `count` candidates most worth training by some draws of what is expected of them.

        In their own order where there are no more than that.
        """
        return self._planner.best(candidates, list(self._pending.values()), count, rng)

    @property
    def planned(self) -> Candidate | None:
        """The waiting candidate to train next; None where a plan is due."""
        return self._waiting.planned

    def plan(self, at_least: int = 1) -> Plan:
        """Which waiting candidates to train next, by what is known now; nobody where none waits.

        One, or `at_least` so many where a choice takes long beside what it is a choice of. It
        changes nothing: `follow` it.
        """
        if not self.waiting or not self.learns:
            surplus = self._waiting.surplus()
            return Plan(next=[len(surplus)] if self.waiting else [], dropped=surplus)
        pending = list(self._pending.values())
        return self._planner.plan(self._waiting, pending, self._chosen, at_least)

    def follow(self, plan: Plan) -> None:
        """Keep to a plan: of this search, or of one whose archive was the same."""
        self._waiting.follow(plan)

    def _score_waiting(self) -> None:
        """Compute the zero-shot scores of those waiting candidates that are most worth it."""
        if self.scores is None or not self.learns:
            return
        rng = np.random.default_rng([self.seed, self._draws, 1])
        unscored = [c for c in self._waiting.candidates if not c.scores]
        for candidate in self.best(unscored, SCORED, rng):
            scores = _floats(self.scores(candidate.config))
            self._waiting.replace(replace(candidate, scores=scores))

    def admit(self, candidate: Candidate) -> Config:
        """Make a candidate pending and return its config."""
        key = self.space.key(candidate.config)
        self._waiting.discard(key)
        self._pending[key] = candidate
        self._chosen += 1
        return candidate.config

    # What is known

    @property
    def waiting(self) -> int:
        """How many candidates wait to be chosen."""
        return len(self._waiting)

    @property
    def has_pending(self) -> bool:
        """Whether a config was asked for and not told yet."""
        return bool(self._pending)

    @property
    def observations(self) -> tuple[Observation, ...]:
        """Everything told so far."""
        return self._history.observations

    def front(self) -> list[Observation]:
        """The feasible, fully evaluated networks that no other dominates."""
        return self._history.front()

    def is_on_front(self, config: Mapping[str, Any]) -> bool:
        """Whether the network of a config is on the front."""
        return self._history.is_on_front(self.space.key(config))

    # State

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides what comes next, as JSON."""
        return {
            "draws": self._draws,
            "chosen": self._chosen,
            "observed": [asdict(o) for o in self.observations],
            "pending": [c.plain() for c in self._pending.values()],
            "waiting": self._waiting.state_dict(),
            "costed": self._costed.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`, made by `state_dict` of a search over the same space.

        Raises SpaceError for configs that are not of this space.
        """
        key = self.space.key
        self._draws, self._chosen = int(state["draws"]), int(state["chosen"])
        self._history.clear()
        for fields in state["observed"]:
            known = observation(fields)
            self._history.add(self._place(known), known)
        self._pending = {key(c["config"]): Candidate(**c) for c in state["pending"]}
        self._waiting.load_state_dict(state["waiting"])
        self._costed.load_state_dict(state["costed"])


def _floats(values: Mapping[str, float]) -> dict[str, float]:
    """Numbers as JSON has them, if they come from numpy or torch."""
    return {str(name): float(value) for name, value in values.items()}
