"""The classification space: every config builds, no two build the same, channels stay aligned."""

import pickle
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from nas_ray import SearchSpace
from nas_ray.errors import SpaceError
from nas_ray.graph import signature, trace
from search_spaces import classification

SEEDS = range(20)


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return classification.space()


def configs(space: SearchSpace, count: int):
    rng = np.random.default_rng(0)
    return [space.sample(rng) for _ in range(count)]


@pytest.mark.parametrize("seed", SEEDS)
def test_every_sample_builds_runs_and_traces_without_unknown_operators(space, seed):
    config = space.sample(np.random.default_rng(seed))
    network = space.build(config).eval()
    x = space.example_input(config)
    assert x.shape == (1, 1, config["resolution"], config["resolution"])
    assert network(x).shape == (1, 10)
    graph = trace(network, x)
    assert graph.unknown == ()
    assert "resize" not in [operator.kind for operator in graph.operators]


@pytest.mark.parametrize("multiple", [8, 16, 32])
def test_every_channel_count_is_a_multiple_after_the_depth_multiplier(multiple):
    space = classification.space(channel_multiple=multiple)
    for config in [space.baseline, *configs(space, 30)]:
        for module in space.build(config).modules():
            if isinstance(module, nn.Conv2d):
                assert module.out_channels % multiple == 0


def test_the_baseline_is_plain_ibn_at_depth_multiplier_1_and_full_resolution(space):
    assert space.baseline["depth_multiplier"] == 1.0
    assert space.baseline["resolution"] == 32
    blocks = {value for name, value in space.baseline.items() if name.endswith(".block")}
    assert blocks == {"ibn"}


def test_size_is_the_product_of_the_choices_where_the_last_stage_may_be_left_out(space):
    # resolution, depth multiplier, then depth x channels x kernel x expansion x block a stage.
    stage1, stage2, stage3 = (2 * 2 * 12, 3 * 3 * 12, 3 * 3 * 12)
    stage4 = 1 + 2 * 4 * 12
    assert space.size == 3 * 3 * stage1 * stage2 * stage3 * stage4


def test_size_equals_enumeration_where_it_can_be_walked(space):
    free = {"resolution", "depth_multiplier", "stage4.depth", "stage4.channels", "stage4.block"}
    reduced = SearchSpace(
        name="reduced", choices={n: c for n, c in space.choices.items() if n in free}
    )
    assert reduced.size == len({reduced.key(c) for c in reduced.configs()}) == 3 * 3 * (1 + 2 * 8)


@pytest.mark.parametrize("multiple", [8, 16, 32, 64])
def test_widths_and_depth_multipliers_never_build_the_same_network_twice(multiple):
    """All combinations of what the depth multiplier scales give different channel counts."""
    space = classification.space(channel_multiple=multiple)
    shapes: dict[tuple, str] = {}
    free = ("depth_multiplier", "stage1.channels", "stage2.channels", "stage3.channels")
    small = SearchSpace(name="widths", choices={n: space.choices[n] for n in free})
    fixed = {**space.baseline, "stage4.depth": 0, "resolution": 24}
    fixed |= {f"stage{stage}.depth": 1 for stage in (1, 2, 3)}
    for widths in small.configs():
        config = space.canonical(fixed | widths)
        with torch.device("meta"):
            network = space.build(config)
        channels = tuple(m.out_channels for m in network.modules() if isinstance(m, nn.Conv2d))
        assert channels not in shapes, f"{config} builds the network of {shapes.get(channels)}"
        shapes[channels] = str(config)
    assert len(shapes) == small.size


def test_different_configs_have_different_graphs(space):
    """Mutating one choice always changes what an accelerator would have to run."""
    rng = np.random.default_rng(0)
    for config in configs(space, 15):
        other = space.mutate(config, rng)
        first, second = (
            signature(trace(space.build(c), space.example_input(c))) for c in (config, other)
        )
        assert first != second, (config, other)


def test_a_stage_without_blocks_has_no_other_choices(space):
    config = {**configs(space, 1)[0], "stage4.depth": 0}
    config = space._completed(config, np.random.default_rng(0))
    assert [name for name in config if name.startswith("stage4.")] == ["stage4.depth"]
    assert not any(name.startswith("stage4") for name, _ in space.build(config).named_children())


def test_images_of_another_size_are_resized_bilinearly(space):
    network = space.build(space.baseline).eval()
    images = torch.rand(2, 1, 8, 8)
    resized = nn.functional.interpolate(images, (48, 48), mode="bilinear")
    torch.testing.assert_close(network(images), network(resized))


def test_colour_images_and_other_numbers_of_classes():
    space = classification.space(num_classes=3, in_channels=3, resolutions=(32,))
    network = space.build(space.baseline).eval()
    assert network(torch.zeros(2, 3, 20, 20)).shape == (2, 3)
    assert space.example_input(space.baseline).shape == (1, 3, 32, 32)


@pytest.mark.parametrize("resolutions", [(8, 32), ()], ids=["too_small", "none"])
def test_resolutions_that_four_halvings_leave_nothing_of_are_refused(resolutions):
    with pytest.raises(SpaceError, match=r"one or more of at least 16 pixels, but got \("):
        classification.space(resolutions=resolutions)


def test_the_space_pickles(space):
    copy = pickle.loads(pickle.dumps(space))  # noqa: S301 - our own bytes
    assert copy.describe() == space.describe()
    assert isinstance(copy.build(copy.baseline), nn.Module)


def test_building_does_not_warn(space):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        space.build(space.baseline)
