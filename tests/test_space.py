"""Search spaces: typed choices, conditions, canonical form, counting, moves, foreign forms."""

import numpy as np
import optuna
import pytest
import torch
from toy_spaces import conditional

from nas_ray import Categorical, Channels, Ordinal, SearchSpace
from nas_ray.errors import NasRayError, SpaceError


def random_space(seed: int) -> SearchSpace:
    """Up to seven choices of two or three options, each with up to two earlier parents."""
    rng = np.random.default_rng(seed)
    choices: dict[str, Categorical] = {}
    for n in range(rng.integers(1, 8)):
        parents = rng.permutation(list(choices))[: rng.integers(0, 3)]
        when = {}
        for parent in parents:
            options = choices[parent].options
            when[str(parent)] = options[: rng.integers(1, len(options) + 1)]
        choices[f"choice{n}"] = Categorical(*"abc"[: rng.integers(1, 4)], when=when)
    return SearchSpace(name="random", choices=choices)


# Choices


def test_channels_are_the_multiples_from_low_to_high():
    assert Channels(16, 64, multiple=16).options == (16, 32, 48, 64)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Categorical, "at least one option, all different, but got"),
        (lambda: Categorical("a", "a"), "all different"),
        (lambda: Categorical(("a",)), "must be str, int, float or bool"),
        (lambda: Ordinal(2, 1), r"must rise, but got \(2, 1\)"),
        (lambda: Channels(16, 8, multiple=8), "low=16, high=8, multiple=8"),
        (lambda: Channels(10, 32, multiple=16), "low=10, high=32, multiple=16"),
        (lambda: Channels(0, 32, multiple=16), "0 < low"),
        (lambda: Channels(16, 32, multiple=0), "multiple=0"),
    ],
    ids=["none", "twice", "no_json", "falling", "upside_down", "off_grid", "zero", "no_step"],
)
def test_a_choice_that_breaks_its_rule_is_refused_with_the_value(make, message):
    with pytest.raises(SpaceError, match=message):
        make()


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({}, "needs at least one choice"),
        ({"b": Categorical("x", when={"a": ("y",)}), "a": Categorical("y")}, "a choice before it"),
        ({"block": Categorical("x"), "k": Ordinal(3, when={"blok": ("x",)})}, "mean 'block'"),
        ({"a": Categorical("x"), "b": Ordinal(3, when={"a": ("z",)})}, "none of its options"),
    ],
    ids=["empty", "later_parent", "mistyped_parent", "unknown_value"],
)
def test_a_space_whose_conditions_cannot_hold_is_refused(choices, message):
    with pytest.raises(SpaceError, match=message):
        SearchSpace(name="broken", choices=choices)


def test_every_error_of_a_space_is_caught_as_the_package_s_own():
    assert issubclass(SpaceError, NasRayError)


# Configs and their canonical form


def test_canonical_drops_what_is_not_in_use_and_keeps_the_order_of_the_space():
    config = {"resolution": 32, "channels": 16, "expansion": 2, "block": "ibn", "depth": 0}
    assert list(conditional().canonical(config).items()) == [("depth", 0), ("resolution", 32)]


def test_canonical_drops_through_a_chain_of_conditions():
    config = {"depth": 1, "block": "conv", "expansion": 6, "channels": 32, "resolution": 48}
    used = conditional().canonical(config)
    assert list(used) == ["depth", "block", "channels", "resolution"]


def test_configs_of_one_network_have_one_key_and_others_another():
    space = conditional()
    first = {"depth": 0, "resolution": 32, "block": "ibn"}
    second = {"resolution": 32, "depth": 0, "channels": 64}
    assert space.key(first) == space.key(second)
    assert space.key(first) != space.key({"depth": 0, "resolution": 48})


def test_every_key_is_different_over_all_configs():
    space = conditional()
    assert len({space.key(config) for config in space.configs()}) == space.size


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chanels": 16}, "no choice 'chanels'; did you mean 'channels'"),
        ({"channels": 24}, r"'channels' .* one of \(16, 32, 48, 64\), but got 24"),
        ({"depth": True}, "but got True"),
        ({"depth": None}, "but got None"),
    ],
    ids=["mistyped_name", "off_grid", "bool_is_no_number", "none"],
)
def test_a_config_that_breaks_a_rule_is_refused_with_the_way_out(change, message):
    space = conditional()
    config = {"depth": 1, "block": "conv", "channels": 16, "resolution": 32}
    with pytest.raises(SpaceError, match=message):
        space.canonical({**config, **change})


def test_a_missing_choice_is_named_with_its_options():
    with pytest.raises(SpaceError, match=r"must give 'resolution' \(one of \(32, 48\)\)"):
        conditional().canonical({"depth": 0})


def test_an_equal_number_of_another_type_becomes_the_option_itself():
    """JSON or pandas turn 32 into 32.0; both are one config, with one key."""
    space = conditional()
    assert space.key({"depth": 0.0, "resolution": 32.0}) == space.key(
        {"depth": 0, "resolution": 32}
    )


def test_the_baseline_is_the_first_option_of_every_choice_unless_given():
    choices = {"a": Ordinal(1, 2), "b": Categorical("x", "y")}
    assert SearchSpace(name="s", choices=choices).baseline == {"a": 1, "b": "x"}
    given = SearchSpace(name="s", choices=choices, baseline={"a": 2, "b": "y"})
    assert given.baseline == {"a": 2, "b": "y"}
    with pytest.raises(SpaceError, match="must be one of"):
        SearchSpace(name="s", choices=choices, baseline={"a": 3, "b": "y"})


# A canonical form of one's own


def sorted_branches(config):
    """Two branches are summed, so their order is nothing; two empty ones have no width."""
    first, second = sorted([config["first"], config["second"]])
    both = {**config, "first": first, "second": second}
    return {**both, "width": 8} if first == second == "none" else both


def branches(canonical_form=sorted_branches, **others) -> SearchSpace:
    """Count by hand: 6 unordered pairs of 3 kinds, 5 of them in 4 widths, at 2 resolutions."""
    kinds = ("conv", "none", "pool")
    return SearchSpace(
        name="branches",
        choices={
            "first": Categorical(*kinds),
            "second": Categorical(*kinds),
            "width": Ordinal(8, 16, 32, 64),
            "resolution": Ordinal(32, 48),
            **others,
        },
        canonical_form=canonical_form,
    )


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"first": "pool", "second": "conv"}, {"first": "conv", "second": "pool"}, True),
        ({"first": "none", "second": "none"}, {"first": "none", "second": "none"}, True),
        ({"first": "pool", "second": "conv"}, {"first": "pool", "second": "pool"}, False),
    ],
    ids=["mirrored", "width_of_nothing", "another"],
)
def test_networks_that_are_the_same_have_one_key(one, other, same):
    space = branches()
    # Only of two empty branches does the width make no difference.
    width = 64 if one == other else 16
    keys = [
        space.key({"width": 16, "resolution": 32, **one}),
        space.key({"width": width, "resolution": 32, **other}),
    ]
    assert (keys[0] == keys[1]) == same


def test_a_canonical_form_is_counted_and_walked_by_network():
    space = branches()
    walked = [space.key(config) for config in space.configs()]
    assert space.size == len(walked) == len(set(walked)) == (5 * 4 + 1) * 2
    every = branches(canonical_form=None).configs()
    assert {space.key(config) for config in every} == set(walked)


def test_a_canonical_form_of_a_space_too_large_to_walk_leaves_the_number_of_configs():
    """72 configs of the branches in 7 x 7 x 7 x 7 others are more than 100,000."""
    others = {f"other{n}": Ordinal(*range(7)) for n in range(4)}
    assert branches(**others).size == 72 * 7**4


def test_the_baseline_is_canonical():
    choices = branches().choices
    baseline = {"first": "pool", "second": "none", "width": 8, "resolution": 32}
    space = SearchSpace(
        name="b", choices=choices, baseline=baseline, canonical_form=sorted_branches
    )
    assert space.baseline == {**baseline, "first": "none", "second": "pool"}


def test_samples_mutations_and_crossovers_are_of_the_canonical_form():
    space, rng = branches(), np.random.default_rng(0)
    forms = {space.key(config): config for config in space.configs()}
    for _ in range(100):
        first, second = space.sample(rng), space.sample(rng)
        for config in (
            first,
            space.mutate(first, rng, edits=2),
            space.crossover(first, second, rng),
            space.suggest(optuna.trial.FixedTrial({**first})),
        ):
            assert forms[space.key(config)] == config


def test_what_is_built_is_the_canonical_form():
    built = []

    def build(config):
        built.append(config)
        return torch.nn.Identity()

    space = SearchSpace(
        name="b", choices=branches().choices, build=build, canonical_form=sorted_branches
    )
    space.build({"first": "pool", "second": "conv", "width": 8, "resolution": 32})
    assert built == [{"first": "conv", "second": "pool", "width": 8, "resolution": 32}]


def test_a_canonical_form_may_change_the_config_it_is_given_and_nobody_sees_it():
    def in_place(config):
        config.update(sorted_branches(config))
        return config

    space = branches(in_place)
    before = {"first": "pool", "second": "conv", "width": 8, "resolution": 32}
    given = dict(before)
    assert space.canonical(given) == {**before, "first": "conv", "second": "pool"}
    assert given == before
    # Walking compares each config with its form.
    assert list(space.configs()) == list(branches().configs())


@pytest.mark.parametrize(
    "change", [{"third": "none"}, {"width": 7}], ids=["unknown_name", "no_option"]
)
def test_a_canonical_form_that_is_no_config_of_the_space_is_refused_with_what_it_returned(change):
    ((name, value),) = change.items()
    with pytest.raises(SpaceError, match=rf"canonical_form of space .* '{name}': {value!r}"):
        branches(lambda config: {**config, **change})


def test_a_canonical_form_sees_only_choices_in_use_and_its_order_does_not_matter():
    seen = []

    def form(config):
        seen.append(dict(config))
        return dict(reversed(config.items()))

    space = SearchSpace(name="c", choices=conditional().choices, canonical_form=form)
    used = space.canonical({"resolution": 32, "depth": 0, "block": "ibn", "expansion": 2})
    assert list(used.items()) == [("depth", 0), ("resolution", 32)]
    assert seen[-1] == used


# How many


def test_size_by_hand():
    # resolution 2; depth 0: 1; depth 1 or 2: channels 4, times conv (1) or IBN with 3 expansions.
    assert conditional().size == 2 * (1 + 2 * 4 * (1 + 3))


@pytest.mark.parametrize("seed", range(200))
def test_size_equals_the_number_of_configs_walked(seed):
    space = random_space(seed)
    keys = [space.key(config) for config in space.configs()]
    assert space.size == len(keys) == len(set(keys))


def test_size_of_a_huge_space_is_counted_and_not_walked():
    choices = {f"edge{n}": Categorical(*range(5)) for n in range(60)}
    assert SearchSpace(name="huge", choices=choices).size == 5**60


# Moves


@pytest.mark.parametrize("seed", range(40))
def test_every_move_gives_a_canonical_config(seed):
    space, rng = random_space(seed), np.random.default_rng(seed)
    first, second = space.sample(rng), space.sample(rng)
    moved = space.mutate(first, rng, edits=2)
    crossed = space.crossover(first, second, rng)
    for config in (first, second, moved, crossed):
        assert space.canonical(config) == config


def test_samples_are_uniform_over_the_options_in_use():
    space, rng = conditional(), np.random.default_rng(0)
    depths = [space.sample(rng)["depth"] for _ in range(3000)]
    # Three options: 1000 expected, standard deviation 26.
    assert all(abs(depths.count(depth) - 1000) < 130 for depth in (0, 1, 2))


def test_sampling_repeats_with_the_seed():
    def draw() -> list:
        rng = np.random.default_rng(7)
        return [conditional().sample(rng) for _ in range(5)]

    assert draw() == draw()


@pytest.mark.parametrize("edits", [0, 1, 2, 9])
def test_a_mutation_always_differs_and_leaves_its_parent_alone(edits):
    space, rng = conditional(), np.random.default_rng(0)
    for _ in range(200):
        parent = space.sample(rng)
        before = dict(parent)
        assert space.key(space.mutate(parent, rng, edits)) != space.key(parent)
        assert parent == before


def test_a_mutation_in_a_space_of_one_network_returns_it():
    space = SearchSpace(name="one", choices={"a": Categorical("x")})
    assert space.mutate({"a": "x"}, np.random.default_rng(0)) == {"a": "x"}


def test_mutations_of_ordered_choices_mostly_move_to_a_neighbour():
    space = SearchSpace(name="line", choices={"a": Ordinal(*range(9))})
    rng = np.random.default_rng(0)
    steps = [abs(space.mutate({"a": 4}, rng)["a"] - 4) for _ in range(1000)]
    # Four in five are neighbours by rule, and a quarter of the rest by chance: 0.85.
    assert steps.count(1) / 1000 == pytest.approx(0.85, abs=0.05)


def test_a_crossover_takes_every_value_from_a_parent():
    space, rng = conditional(), np.random.default_rng(0)
    for _ in range(200):
        parents = (space.sample(rng), space.sample(rng))
        child = space.crossover(*parents, rng)
        for name, value in child.items():
            assert value in [parent[name] for parent in parents if name in parent]


def test_a_crossover_of_equal_parents_is_the_parent():
    space, rng = conditional(), np.random.default_rng(0)
    parent = space.sample(rng)
    assert space.crossover(parent, parent, rng) == parent


# What is built


def test_a_space_without_build_says_how_to_give_it_one():
    with pytest.raises(SpaceError, match=r"made without `build`; pass build=\.\.\."):
        conditional().build(conditional().baseline)


def test_a_build_that_fails_is_reported_with_the_config():
    def build(config):
        raise KeyError("width")

    space = SearchSpace(name="s", choices={"a": Ordinal(1, 2)}, build=build)
    with pytest.raises(SpaceError, match=r"raised KeyError: 'width', for \{'a': 2\}"):
        space.build({"a": 2})


def test_a_build_that_returns_no_module_is_refused():
    space = SearchSpace(name="s", choices={"a": Ordinal(1, 2)}, build=lambda config: 3)
    with pytest.raises(SpaceError, match=r"must return a torch\.nn\.Module, but it returned int"):
        space.build({"a": 2})


# Foreign forms


def test_a_plain_optuna_study_asks_for_configs_of_the_space():
    space = conditional()
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(50):
        trial = study.ask(space.to_optuna())
        assert space.canonical(trial.params)["resolution"] in (32, 48)
        study.tell(trial, 0.0)


def test_optuna_sees_the_grid_of_channels():
    channels = conditional().to_optuna()["channels"]
    assert channels == optuna.distributions.IntDistribution(16, 64, step=16)


def test_ray_tune_draws_legal_values():
    space = conditional()
    domains = space.to_tune()
    for _ in range(50):
        config = space.canonical({name: domain.sample() for name, domain in domains.items()})
        assert config["resolution"] in (32, 48)


def test_the_description_is_plain_json_that_tells_spaces_apart():
    description = conditional().describe()
    assert description["choices"]["expansion"] == {
        "kind": "Ordinal",
        "options": [2, 4, 6],
        "when": {"block": ["ibn"]},
    }
