"""Random subgraphs: a sequence that its seed alone decides, of the blocks networks are made of."""

from itertools import islice

import numpy as np
import pytest
import torch

from nas_ray.graph import parse_signature, signature, subgraphs, trace
from nas_ray.measure import blocks, sampling
from nas_ray.measure.families import FAMILIES, MOBILE, OTHER_KINDS, mobile
from nas_ray.measure.networks import CLASSIC, random_network
from nas_ray.measure.networks.medleys import medley
from nas_ray.measure.sampling import WEIGHT_LIMIT, sample_subgraphs
from nas_ray.measure.sizes import Sizes

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
        assert graph == graph.alone()  # measured with nothing before or after it


def test_of_the_mobile_families_about_half_have_a_depthwise_convolution():
    """Plain 0.38, gated 0.025, separable 0.03 and signals 0.015 of the draws make 0.45.

    A little less of the subgraphs, because some other draws are cut in two; one standard
    deviation of 300 draws is 0.03.
    """
    graphs = sample_subgraphs(COUNT, np.random.default_rng(0), families=MOBILE)
    kinds = [{operator.kind for operator in graph.operators} for graph in graphs]
    assert 0.34 < sum("depthwise_conv" in kind for kind in kinds) / COUNT < 0.56


@pytest.mark.parametrize("multiple", [8, 16, 32])
def test_a_third_of_the_channels_fill_the_accelerator(multiple):
    """Of the 55 % that are not drawn at random altogether six in ten are rounded: 0.33.

    Of the rest one in `multiple` fills it by chance.
    """
    channels = [graph.shape(graph.inputs[0])[1] for graph in sampled(300, multiple=multiple)]
    wide = [c for c in channels if c > 4]  # images have 1 to 4
    share = np.mean([c % multiple == 0 for c in wide])
    assert 0.25 < share < 0.55


def test_the_heaviest_block_of_the_wide_family_is_within_the_limit():
    """240 * 1440 * 25 + 1440 * 240 weights."""
    with torch.device("meta"):
        block = blocks.inverted_bottleneck(
            240, 240, kernel=5, expansion=6, stride=1, activation="relu", fused=True
        )
        graph = trace(block, torch.empty(1, 240, 3, 3))
    assert graph.weight_elements == 8_985_600 <= WEIGHT_LIMIT


def test_heavy_blocks_are_rare(graphs):
    """A compiler takes a second or more above three million weights."""
    assert np.mean([graph.weight_elements > 3_000_000 for graph in graphs]) < 0.04


def test_families_are_drawn_with_probabilities():
    """Half of them are those of mobile networks."""
    for families in (FAMILIES, MOBILE, OTHER_KINDS):
        assert sum(families.values()) == pytest.approx(1.0)
    assert sum(FAMILIES[family] for family in MOBILE) == pytest.approx(0.5)
    assert FAMILIES.keys() == MOBILE.keys() | OTHER_KINDS.keys()


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_every_family_is_traced_without_an_unknown_operator(family):
    sizes = Sizes(rng=np.random.default_rng(1), channel_multiple=16)
    for _ in range(4):
        with torch.device("meta"):
            model, *shapes = family(sizes)
            graph = trace(model, tuple(torch.empty(shape) for shape in shapes))
        assert graph.unknown == ()


def test_the_wide_family_has_channels_images_and_expansions_of_any_size():
    sizes = Sizes(rng=np.random.default_rng(0), channel_multiple=16)
    wide = next(family for family in FAMILIES if family is mobile.wide_plain)
    with torch.device("meta"):
        drawn = [wide(sizes) for _ in range(400)]
    channels = [shape[1] for _, shape in drawn]
    sides = [shape[2] for _, shape in drawn]
    assert min(channels) <= 9 and max(channels) >= 220  # noqa: PT018 - one range
    assert min(sides) == 3 and max(sides) >= 105  # noqa: PT018
    # Log-uniform: as many below the geometric mean as above; one standard deviation is 0.025.
    assert np.mean(np.array(channels) < np.sqrt(8 * 241)) == pytest.approx(0.5, abs=0.1)


NETWORKS = 60


@pytest.fixture(scope="module")
def networks():
    rng = np.random.default_rng(0)
    return [random_network(rng, 16, styles=CLASSIC) for _ in range(NETWORKS)]


def test_random_networks_are_classifiers_of_blocks_that_are_known(networks):
    for graph in networks:
        assert graph.unknown == ()
        (image,), (scores,) = graph.inputs, graph.outputs
        _, colours, height, width = graph.shape(image)
        assert (colours in {1, 3}, height == width, 16 <= height <= 192) == (True, True, True)
        assert graph.shape(scores) in {(1, count) for count in (2, 10, 35, 100, 1000)}
        assert len(subgraphs(graph)) >= 4  # a stem, two stages, a head


def test_random_networks_are_light_enough_for_a_compiler(networks):
    assert max(graph.macs for graph in networks) <= 600_000_000
    assert max(graph.weight_elements for graph in networks) <= 6_000_000


STYLES = {
    "inverted_or_separable": lambda o: o.kind == "depthwise_conv",
    "residual": lambda o: o.kind == "add",
    "groups": lambda o: o.kind == "conv" and o.groups > 1,
    "fire": lambda o: o.kind == "concat",
    "gated": lambda o: o.kind == "mul",
}


@pytest.mark.parametrize("has", STYLES.values(), ids=STYLES)
def test_every_style_of_network_occurs(networks, has):
    """The rarest are 7 of 100: none of them in 60 draws has a chance of 1.3 %; seed 0 has all."""
    assert any(any(map(has, graph.operators)) for graph in networks)


def test_one_seed_is_one_network():
    first, again, other = (
        signature(random_network(np.random.default_rng(seed), 16)) for seed in (5, 5, 6)
    )
    assert first == again != other


def test_a_network_is_read_back_from_its_signature(networks):
    for key in map(signature, networks[:20]):
        assert signature(parse_signature(key)) == key


def test_a_medley_is_of_many_unrelated_blocks():
    """Each has inputs of its own, and no operator reads what another block has made."""
    rng = np.random.default_rng(3)
    for _ in range(5):
        graph = random_network(rng, 16, styles={medley: 1.0})
        assert len(graph.inputs) >= 4
        of_block = {i: {i} for i in graph.inputs}
        for operator in graph.operators:
            read = set().union(*(of_block.get(i, set()) for i in operator.inputs))
            of_block |= dict.fromkeys(operator.outputs, read)
        families = {frozenset(read) for i, read in of_block.items() if i in graph.outputs}
        assert len(families) >= 3
        assert signature(parse_signature(signature(graph))) == signature(graph)
