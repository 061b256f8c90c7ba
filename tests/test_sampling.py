"""Random subgraphs: a sequence that its seed alone decides, of the blocks networks are made of."""

from itertools import islice

import numpy as np
import pytest

from nas_ray.graph import parse_signature, signature, subgraphs
from nas_ray.measure import sampling
from nas_ray.measure.sampling import WEIGHT_LIMIT, sample_subgraphs

COUNT = 300


def sampled(count=COUNT, seed=0, multiple=16):
    return list(sample_subgraphs(count, np.random.default_rng(seed), multiple))


@pytest.fixture(scope="module")
def graphs():
    return sampled()


@pytest.fixture(scope="module")
def keys(graphs):
    return [signature(graph) for graph in graphs]


@pytest.mark.parametrize("count", [0, 1, 17])
def test_as_many_as_asked_for(count):
    assert len(sampled(count)) == count


def test_all_are_different(keys):
    assert len(set(keys)) == COUNT


def test_one_seed_is_one_sequence_and_another_seed_another(keys):
    assert [signature(graph) for graph in sampled(40)] == keys[:40]
    assert not set(keys) & {signature(graph) for graph in sampled(40, seed=1)}


def test_a_longer_sequence_begins_with_a_shorter_one(keys):
    """Or a table could not be extended: `profile` skips the rows it already has."""
    longer = islice(sample_subgraphs(10 * COUNT, np.random.default_rng(0), 16), COUNT)
    assert [signature(graph) for graph in longer] == keys


def test_the_state_of_numpy_and_torch_elsewhere_does_not_matter(keys):
    np.random.seed(5)  # noqa: NPY002 - the global state is what must not matter
    assert [signature(graph) for graph in sampled(10)] == keys[:10]


def test_no_subgraph_is_above_the_weight_limit():
    assert max(graph.weight_elements for graph in sampled(500, seed=3)) <= WEIGHT_LIMIT


def test_a_lower_limit_leaves_the_light_ones_of_the_same_sequence(graphs, keys, monkeypatch):
    monkeypatch.setattr(sampling, "WEIGHT_LIMIT", 20_000)
    light = [k for k, graph in zip(keys, graphs, strict=True) if graph.weight_elements <= 20_000]
    assert 0 < len(light) < COUNT
    assert [signature(graph) for graph in sampled(len(light))] == light


def test_each_is_one_subgraph_that_its_signature_gives_back(graphs, keys):
    for graph, key in zip(graphs, keys, strict=True):
        assert signature(parse_signature(key)) == key
        assert len(subgraphs(graph)) == 1


def test_about_half_have_a_depthwise_convolution(graphs):
    """Plain 0.37, gated 0.04, separable 0.05 and signals 0.02 of the draws make 0.48.

    A little less of the subgraphs, because some other draws are cut in two; one standard
    deviation of 300 draws is 0.03.
    """
    kinds = [{operator.kind for operator in graph.operators} for graph in graphs]
    assert 0.36 < sum("depthwise_conv" in kind for kind in kinds) / COUNT < 0.56


@pytest.mark.parametrize("multiple", [8, 16, 32])
def test_half_of_the_channels_fill_the_accelerator(multiple):
    """60 % are rounded to the multiple; of the other 40 %, one in `multiple` is by chance."""
    channels = [graph.shape(graph.inputs[0])[1] for graph in sampled(300, multiple=multiple)]
    wide = [c for c in channels if c > 4]  # images have 1 to 4
    share = np.mean([c % multiple == 0 for c in wide])
    assert 0.5 < share < 0.75
