"""The searches that are compared, each made for a task and a seed."""

from collections.abc import Callable, Mapping
from functools import partial

from nas_ray import EvolutionarySearch
from nas_ray.evolution.baselines import (
    LocalSearch,
    Nsga2,
    RandomSearch,
    RegularisedEvolution,
    TopMacs,
)
from nas_ray.evolution.searches import Search
from searching.tasks import Task, known

Method = Callable[[Task, int], Search]


def cascade(task: Task, seed: int) -> Search:
    """Evolution with the surrogate and the zero-shot scores."""
    return EvolutionarySearch(
        task.table.space,
        objectives=task.objectives,
        constraints=task.constraints,
        costs=partial(known, task),
        scores=task.table.scores,
        seed=seed,
    )


def without_scores(task: Task, seed: int) -> Search:
    """The surrogate knows choices and costs alone; MACs stand in for the scores at first."""
    return EvolutionarySearch(
        task.table.space,
        objectives=task.objectives,
        constraints=task.constraints,
        costs=partial(known, task),
        seed=seed,
    )


def without_surrogate(task: Task, seed: int) -> Search:
    """Plain constrained evolution."""
    return EvolutionarySearch(
        task.table.space,
        objectives=task.objectives,
        constraints=task.constraints,
        costs=partial(known, task),
        surrogate=False,
        seed=seed,
    )


def _baseline(kind: Callable[..., Search]) -> Method:
    return lambda task, seed: kind(
        task.table.space,
        objectives=task.objectives,
        constraints=task.constraints,
        costs=partial(known, task),
        seed=seed,
    )


METHODS: Mapping[str, Method] = {
    "cascade": cascade,
    "without zero-shot": without_scores,
    "without surrogate": without_surrogate,
    "top_flops": _baseline(TopMacs),
    "nsga2 (optuna)": _baseline(Nsga2),
    "regularised evolution": _baseline(RegularisedEvolution),
    "local search": _baseline(LocalSearch),
    "random": _baseline(RandomSearch),
}
