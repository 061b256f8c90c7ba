"""How accuracy grows with the table, and what each part of the method is worth."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice

import numpy as np
import torch

from estimating.cases import DRAWN, Case
from estimating.compiler import Compiler, Known
from estimating.figures import Figures, accuracy
from estimating.fits import Predict, Table, macs_only, regression, without_prior
from nas_ray.graph import Graph, signature, subgraphs, trace
from nas_ray.graph.operators import VIEW_KINDS
from nas_ray.profiling.starting import Networks, starting_samples
from search_spaces import classification

ROWS = (200, 500, 1500, 3000)
#: Networks, and subgraphs, whose operators are compiled one by one.
_ALONE = 40
_SEED_OF_TABLES = 0
#: A table is told to begin with a stream of samples by so many of its first rows.
_FIRST = 100


def learning_curve(table: Table, sets: Mapping[str, Known]) -> list[Figures]:
    """Accuracy of regressions on the first rows of the table, in the order of the file."""
    total = len(table.rows)
    return [
        {"rows": n, **_on_each(regression(table.some(range(n))), sets)}
        for n in (*(n for n in ROWS if n < total), total)
    ]


def ablation(table: Table, sets: Mapping[str, Known], compiler: Compiler, seed: int) -> Figures:
    """Accuracy by method, and why a method was `left_out`."""
    methods: list[Figures] = []
    left_out: dict[str, str] = {}

    def add(name: str, rows: int | None, found: Figures) -> None:
        methods.append({"method": name, "rows": rows, **found})

    def add_some(name: str, places: list[int]) -> None:
        """The rows at `places`, and beside them as many of all: fewer rows alone cost accuracy."""
        add(name, len(places), _on_each(regression(table.some(places)), sets))
        rng = np.random.default_rng([seed, len(places)])
        as_many = sorted(rng.permutation(len(table.rows))[: len(places)].tolist())
        add("  as many rows of all", len(places), _on_each(regression(table.some(as_many)), sets))

    add("regression on all rows", len(table.rows), _on_each(regression(table), sets))
    add("MACs only", len(table.rows), _on_each(macs_only(table), sets))
    add("compiler, operators one by one", None, _one_by_one(sets, compiler))
    if table.has_shares:
        add("no roofline prior", len(table.rows), _on_each(without_prior(table), sets))
    else:
        left_out["no roofline prior"] = "the table does not say what each operator takes"
    alone = [n for n, one in enumerate(table.measured) if len(subgraphs(one.graph)) == 1]
    if len(alone) < len(table.rows):
        add_some("isolated subgraphs only", alone)
    else:
        left_out["isolated subgraphs only"] = "the table has no whole networks"
    starting = _starting(table)
    if starting is None:
        left_out["no adaptive rows"] = "the table does not begin with today's starting samples"
    elif len(starting) == len(table.rows):
        left_out["no adaptive rows"] = "the table has none"
    else:
        add_some("no adaptive rows", starting)
    return {"methods": methods, "left_out": left_out}


def _on_each(predict: Predict, sets: Mapping[str, Known]) -> Figures:
    return {
        name: accuracy(predict([case.graph for case in known.cases]), known.latency_ms)
        for name, known in sets.items()
    }


def _one_by_one(sets: Mapping[str, Known], compiler: Compiler) -> Figures:
    """The sum of the operators of a graph, each compiled alone, for the first of each drawn set."""
    found: Figures = {}
    for name, known in ((name, sets[name]) for name in DRAWN):
        estimates, truths = [], []
        for case, truth_ms in islice(zip(known.cases, known.latency_ms, strict=True), _ALONE):
            operators = list(_operators(case.graph))
            answers = compiler.answers(operators)
            if not answers.refused:
                estimates.append(sum(answers.latency_ms))
                truths.append(truth_ms)
        found[name] = accuracy(estimates, truths)
    return found


def _operators(graph: Graph) -> Iterator[Case]:
    for operator in graph.operators:
        if operator.kind not in VIEW_KINDS:
            part = replace(graph.part([operator], operator.name), unknown=()).alone()
            yield Case(name=operator.name, graph=part, key=signature(part))


def _starting(table: Table) -> list[int] | None:
    """Places of the rows that are no adaptive ones, or None where it cannot be told."""
    factor = table.hardware.parallelism_factor
    keys = [row.signature for row in table.rows]
    first = set(keys[:_FIRST])
    for networks in (_classification(factor), None):
        begun = set(islice(starting_samples(_SEED_OF_TABLES, factor, networks), _FIRST))
        # One in ten may have been lost to the compiler.
        if len(first & begun) >= 0.9 * len(first):
            stream = starting_samples(_SEED_OF_TABLES, factor, networks)
            fresh = set(islice(stream, len(keys)))
            return [n for n, key in enumerate(keys) if key in fresh]
    return None


def _classification(factor: int) -> Networks:
    space = classification.space(channel_multiple=factor)

    def draw(rng: np.random.Generator) -> Graph:
        config = space.sample(rng)
        with torch.device("meta"):
            return trace(space.build(config), space.example_input(config))

    return Networks(name="classification", draw=draw)
