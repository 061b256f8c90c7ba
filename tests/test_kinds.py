"""The judge's networks: enough of them, each another one, all of them inside the vocabulary."""

import warnings

import pytest
import torch

from benchmarks.kinds import SPECIMENS
from nas_ray.graph import UnknownOperatorWarning, signature, trace


def traced(specimen):
    with warnings.catch_warnings(), torch.device("meta"):
        warnings.simplefilter("error", UnknownOperatorWarning)
        return trace(specimen.build(), tuple(torch.empty(shape) for shape in specimen.shapes))


@pytest.fixture(scope="module")
def graphs():
    return {specimen.name: traced(specimen) for specimen in SPECIMENS}


def test_there_are_enough_of_every_kind():
    kinds = [specimen.kind for specimen in SPECIMENS]
    assert len(kinds) >= 120
    assert len(set(kinds)) >= 30


def test_names_are_unique_and_begin_with_the_kind():
    names = [specimen.name for specimen in SPECIMENS]
    assert len(set(names)) == len(names)
    assert all(s.name.startswith(f"{s.kind}: ") for s in SPECIMENS)


def test_all_of_them_are_traced_without_an_unknown_operator(graphs):
    assert set(graphs) == {specimen.name for specimen in SPECIMENS}


def test_no_two_of_them_are_the_same_work(graphs):
    """A network that stands there twice would count twice."""
    keys = [signature(graph) for graph in graphs.values()]
    assert len(set(keys)) == len(keys)


def test_they_are_small(graphs):
    """Tiny to middling: together they must compile in minutes."""
    assert max(graph.macs for graph in graphs.values()) < 500_000_000
