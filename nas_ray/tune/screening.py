"""The pre-filter as Ray tasks: thousands of candidates costed and scored while trials train.

Tasks, not trials: a trial costs an actor and files. They ask for no CPU of their own, because the
idle cached worker of a reused trial keeps its CPU and tasks that wait for one would starve; how
many run at once is capped here instead.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import ray
import torch
from ray.exceptions import RayError
from torch import nn

from nas_ray import zero_shot
from nas_ray.evolution.costing import Costs, cost_candidates
from nas_ray.evolution.screen import Candidate, Screen, violation, worth_scoring, worth_training
from nas_ray.evolution.search import EvolutionarySearch
from nas_ray.record import Batch
from nas_ray.space import Config, SearchSpace

#: Candidates a task: small enough to spread, large enough that starting a task does not count.
COSTED_PER_TASK = 64
SCORED_PER_TASK = 8
SCORING_BATCH = 16
#: Seconds of a pass for costing here what takes less time than handing it out.
COSTED_HERE_S = 0.02
#: Passes without a feasible candidate before the constraints are said to be out of reach.
EMPTY_PASSES = 8
#: What is computed of every network that is scored.
_COMPUTED = {
    **{name: zero_shot.SCORES[name] for name in zero_shot.DEFAULT_SCORES},
    **zero_shot.DESCRIPTORS,
}


# Over all nodes: without a CPU to ask for, Ray would run every task where the search itself runs.
@ray.remote(num_cpus=0, scheduling_strategy="SPREAD")
def _cost(space: SearchSpace, costs: Costs, configs: Sequence[Config]) -> list[Candidate]:
    torch.set_num_threads(1)
    return cost_candidates(space, costs, configs)


@ray.remote(num_cpus=0, scheduling_strategy="SPREAD")
def _score(space: SearchSpace, candidates: Sequence[Candidate], seed: int) -> list[Candidate]:
    torch.set_num_threads(1)
    return [score_candidate(space, candidate, seed) for candidate in candidates]


def score_candidate(space: SearchSpace, candidate: Candidate, seed: int) -> Candidate:
    """`candidate` with scores and descriptors of its untrained network on random inputs.

    Weights and inputs come from `seed`, so a candidate scores the same wherever it is scored. A
    score that cannot be computed is left out and ranks lowest; a network that cannot even run may
    still be trained, so that what it raises is told as the failure of a trial.
    """
    scores: dict[str, float] = {}
    # A network may raise anything; what it says then is heard when it is trained.
    with suppress(Exception):
        network, inputs = _untrained(space, candidate.config, seed)
        passes = zero_shot.Passes(network, inputs)
        for name, computed in _COMPUTED.items():
            with suppress(Exception):
                scores[name] = computed(passes)
    return replace(candidate, scores=scores)


def _untrained(space: SearchSpace, config: Config, seed: int) -> tuple[nn.Module, torch.Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = space.build(config)
        shape = space.example_input(config).shape
        return network, torch.randn(SCORING_BATCH, *shape[1:])


class Screening:
    """Passes of the pre-filter: draw, cost, gate, score, select. Nothing here blocks but `advance`.

    What a pass draws depends on the seed, the number of draws and the archive when it began; what
    it scores, with a surrogate, on what is known once all are costed. Neither depends on which task
    came back first. At most `max_tasks` run at once. `batches` are the passes of an earlier run.
    """

    def __init__(
        self,
        search: EvolutionarySearch,
        screen: Screen,
        max_tasks: int,
        batches: Sequence[Batch] = (),
    ) -> None:
        self._search = search
        self._screen = screen
        #: How many tasks run at once.
        self.max_tasks = max_tasks
        self._steps: Generator[list[Any], None, Pass] | None = None
        filled = [n for n, batch in enumerate(batches, start=1) if batch.survivors]
        self._empty_passes = len(batches) - max(filled, default=0)
        self._told_before = batches[-1].told if batches else -1
        #: Whether no candidate is left that could be trained.
        self.exhausted = False
        self._costs_are_cheap = True

    def __getstate__(self) -> dict[str, Any]:
        # Ray Tune pickles the searcher; a pass under way cannot be and is drawn again.
        return {**self.__dict__, "_steps": None}

    @property
    def under_way(self) -> bool:
        """Whether a pass has begun and not ended."""
        return self._steps is not None

    def begin(self) -> None:
        """Begin a pass from the archive as it is now, unless one is under way.

        After a pass that let nothing through, the next one waits until a trial has told something.
        """
        told = len(self._search.observations)
        waits = self._empty_passes > 0 and told == self._told_before and self._search.has_pending
        if self._steps is None and not self.exhausted and not waits:
            self._told_before = told
            configs = self._search.candidates(self._screen.pool)
            self._steps = self._pass(self._search.draws - 1, told, configs)

    def advance(self, timeout_s: float) -> "Pass | None":
        """Push the pass on, waiting for a task at most `timeout_s`; what it found once it ends.

        Raises InfeasibleError where several passes found nothing that meets the constraints and
        nothing was found before.
        """
        if self._steps is None:
            return None
        try:
            running = next(self._steps)
        except StopIteration as end:
            self._steps = None
            found: Pass = end.value
            self._note(found)
            return found
        if timeout_s > 0:
            ray.wait(running, timeout=timeout_s)
        return None

    def _note(self, found: "Pass") -> None:
        self._empty_passes = 0 if found.survivors else self._empty_passes + 1
        if found.batch.costed and self._empty_passes < EMPTY_PASSES:
            return
        asked = self._search.observations or self._search.has_pending
        if not asked and not found.survivors:
            raise self._search.infeasible()
        self.exhausted = True

    def _pass(
        self, draws: int, told: int, configs: list[Config]
    ) -> Generator[list[Any], None, "Pass"]:
        rng = np.random.default_rng([self._search.seed, draws, 1])
        costed = self._costed_here(configs)
        space, costs = ray.put(self._search.space), ray.put(self._search.costs)
        costed += yield from self._spread(
            configs[len(costed) :],
            COSTED_PER_TASK,
            lambda chunk: _cost.remote(space, costs, chunk),
            lambda config, error: Candidate(config=config, error=_lost(error)),
        )
        infeasible = self._search.remember(costed)
        feasible = [c for c in costed if violation(c, self._search.constraints) == 0]
        chosen = self._worth_scoring(feasible, rng)
        scored = chosen
        if self._screen.scored:
            scored = yield from self._spread(
                chosen,
                SCORED_PER_TASK,
                lambda chunk: _score.remote(space, chunk, self._search.seed),
                lambda candidate, _: candidate,
            )
        survivors = self._worth_training(scored, rng)
        batch = Batch(
            draws=draws,
            costed=len(costed),
            feasible=len(feasible),
            scored=sum(bool(c.scores) for c in scored),
            unbuildable=dict(Counter(c.error for c in costed if c.error)),
            told=told,
            infeasible=tuple(c.plain() for c in infeasible),
        )
        return Pass(batch=batch, survivors=tuple(survivors))

    def _costed_here(self, configs: Sequence[Config]) -> list[Candidate]:
        """The first of `configs` with their costs: all, or as many as show that it takes long.

        Then none of the next pass. The first task of a search waits for its worker to import what
        it needs, which is longer than trivial trials take. What a function of the user's does to
        its process it does here to the search, as it does where the baseline is costed.
        """
        done: list[Candidate] = []
        ends = time.monotonic() + COSTED_HERE_S
        while self._costs_are_cheap and len(done) < len(configs):
            some = configs[len(done) : 2 * len(done) + 1]
            try:
                done += cost_candidates(self._search.space, self._search.costs, some)
            except Exception:  # noqa: BLE001 - a function of the user's; the task says what it raised
                self._costs_are_cheap = False
            self._costs_are_cheap &= time.monotonic() < ends
        return done

    def _worth_scoring(
        self, feasible: Sequence[Candidate], rng: np.random.Generator
    ) -> list[Candidate]:
        count = self._screen.scored or self._screen.pool
        if self._search.learns:
            return self._search.best(feasible, count, rng)
        return worth_scoring(feasible, self._screen.scored or self._screen.kept, rng)

    def _worth_training(
        self, scored: Sequence[Candidate], rng: np.random.Generator
    ) -> Sequence[Candidate]:
        """With a surrogate all of them: it chooses when a worker is free, by what is known then."""
        if self._search.learns:
            return scored
        return worth_training(scored, self._search.objectives, self._screen, rng)

    def _spread(
        self,
        items: Sequence[Any],
        size: int,
        submit: Callable[[Sequence[Any]], Any],
        lost: Callable[[Any, RayError], Candidate],
    ) -> Generator[list[Any], None, list[Candidate]]:
        """Results of `submit` over chunks of `items`, in order; yields the tasks it waits for.

        A task that dies is done again one item at a time; `lost` stands in for the one that kills.
        """
        chunks = [items[i : i + size] for i in range(0, len(items), size)]
        waiting: deque[tuple[tuple[int, ...], Sequence[Any]]] = deque(
            ((n,), chunk) for n, chunk in enumerate(chunks)
        )
        running: dict[Any, tuple[tuple[int, ...], Sequence[Any]]] = {}
        results: dict[tuple[int, ...], list[Candidate]] = {}
        while waiting or running:
            while waiting and len(running) < self.max_tasks:
                position, chunk = waiting.popleft()
                running[submit(chunk)] = (position, chunk)
            done, _ = ray.wait(list(running), num_returns=len(running), timeout=0)
            for task in done:
                position, chunk = running.pop(task)
                try:
                    results[position] = ray.get(task)
                except RayError as error:
                    if len(chunk) == 1:
                        results[position] = [lost(chunk[0], error)]
                    else:
                        waiting.extend(((*position, n), [one]) for n, one in enumerate(chunk))
            if not done:
                yield list(running)
        return [candidate for position in sorted(results) for candidate in results[position]]


def _lost(error: RayError) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return f"its cost could not be estimated, the task failed: {lines[-1].strip()}"


@dataclass(frozen=True, kw_only=True)
class Pass:
    """What one pass did, in numbers, and the candidates it let through, best first."""

    batch: Batch
    survivors: tuple[Candidate, ...]
