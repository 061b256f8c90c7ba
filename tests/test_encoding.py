"""What the surrogate sees of candidates: columns by hand, group by group."""

import numpy as np
import pytest

from nas_ray import Categorical, Ordinal, SearchSpace
from nas_ray.evolution.encoding import Encoding, OptionColumns, shared_options
from nas_ray.evolution.screen import Candidate

CHOSEN, COUNTED, COSTS, SCORES = range(4)


def stage() -> SearchSpace:
    """A block, a depth in three steps, and an expansion only one block has."""
    return SearchSpace(
        name="stage",
        choices={
            "block": Categorical("conv", "ibn"),
            "depth": Ordinal(1, 2, 4),
            "expansion": Ordinal(2, 6, when={"block": ("ibn",)}),
        },
    )


def cell() -> SearchSpace:
    """Three edges of the same kinds; the last one is not always used. A width of its own."""
    kinds = ("skip", "conv", "pool")
    return SearchSpace(
        name="cell",
        choices={
            "edge0": Categorical(*kinds),
            "edge1": Categorical(*kinds),
            "edge2": Categorical(*kinds, when={"edge0": ("conv",)}),
            "width": Ordinal(8, 16),
        },
    )


def group_of(space: SearchSpace, group: int, *configs) -> list[list[float]]:
    candidates = [Candidate(config=config) for config in configs]
    return Encoding(OptionColumns(space), candidates).groups(candidates)[group].tolist()


def numbers(group: int, among, asked=None) -> np.ndarray:
    """The columns of candidates with the costs (or scores) `asked`, on the scale of `among`."""
    field = "costs" if group == COSTS else "scores"
    space = SearchSpace(name="one", choices={"a": Ordinal(1, 2)})
    first, second = (
        [Candidate(config={"a": 1}, **{field: row}) for row in rows]
        for rows in (among, among if asked is None else asked)
    )
    return Encoding(OptionColumns(space), first).groups(second)[group]


def test_an_option_has_a_column_and_an_ordered_choice_its_place_and_whether_it_is_used():
    assert group_of(
        stage(),
        CHOSEN,
        {"block": "conv", "depth": 1},
        {"block": "ibn", "depth": 2, "expansion": 6},
        {"block": "ibn", "depth": 4, "expansion": 2},
    ) == [
        # conv, ibn; the place of the depth, used; the place of the expansion, used
        [1, 0, 0.0, 1, 0, 0],
        [0, 1, 0.5, 1, 1, 1],
        [0, 1, 1.0, 1, 0, 1],
    ]


def test_a_categorical_choice_that_is_not_used_has_none_of_its_options():
    (row,) = group_of(cell(), CHOSEN, {"edge0": "skip", "edge1": "pool", "width": 16})
    assert row == [1, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1]


def test_an_ordered_choice_of_one_option_is_at_its_beginning():
    space = SearchSpace(name="one", choices={"a": Ordinal(7)})
    assert group_of(space, CHOSEN, {"a": 7}) == [[0, 1]]


def test_options_that_several_choices_have_are_counted():
    assert group_of(
        cell(),
        COUNTED,
        {"edge0": "skip", "edge1": "skip", "width": 8},
        {"edge0": "conv", "edge1": "pool", "edge2": "conv", "width": 8},
    ) == [[2, 0, 0], [0, 2, 1]]


def test_choices_count_together_only_where_their_options_are_the_same():
    kinds = ("skip", "conv", "pool")
    assert shared_options(cell()) == {kinds: ["edge0", "edge1", "edge2"]}
    assert shared_options(stage()) == {}


def test_where_nothing_is_shared_known_or_scored_a_group_has_no_columns():
    space = stage()
    candidates = [Candidate(config=space.baseline)] * 3
    shapes = [
        group.shape for group in Encoding(OptionColumns(space), candidates).groups(candidates)
    ]
    assert shapes == [(3, 6), (3, 0), (3, 0), (3, 0), (3, 0)]


@pytest.mark.parametrize("group", [COSTS, SCORES], ids=["costs", "scores"])
class TestNumbers:
    def test_positive_ones_are_standardised_logarithms(self, group):
        # Logarithms 0, 1 and 2 (to any base) have mean 1 and variance 2/3.
        found = numbers(group, [{"a": 1.0}, {"a": 10.0}, {"a": 100.0}])
        np.testing.assert_allclose(found[:, 0], np.array([-1, 0, 1]) / (2 / 3) ** 0.5, atol=1e-12)

    def test_the_unit_of_positive_ones_makes_no_difference(self, group):
        rows = [{"a": 0.2}, {"a": 3.0}, {"a": 0.7}]
        thousandfold = [{"a": 1000 * row["a"]} for row in rows]
        np.testing.assert_allclose(numbers(group, thousandfold), numbers(group, rows), atol=1e-9)

    def test_others_are_standardised_as_they_are(self, group):
        # Mean 0 and variance 2/3.
        found = numbers(group, [{"a": -1.0}, {"a": 0.0}, {"a": 1.0}])
        np.testing.assert_allclose(found[:, 0], np.array([-1, 0, 1]) / (2 / 3) ** 0.5)

    def test_a_missing_one_counts_as_the_mean(self, group):
        found = numbers(group, [{"a": -1.0, "b": 1.0}, {"a": 1.0, "b": 2.0}, {"b": 4.0}])
        # Mean 0 and variance 1 of the two known; b is there for all.
        assert found[:, 0].tolist() == [-1, 1, 0]

    def test_a_nan_is_as_one_that_is_missing(self, group):
        rows = [{"a": -1.0}, {"a": 1.0}]
        np.testing.assert_array_equal(
            numbers(group, [*rows, {"a": np.nan}]), numbers(group, [*rows, {}])
        )

    def test_an_infinite_one_is_four_deviations_out_and_moves_no_other(self, group):
        found = numbers(group, [{"a": -1.0}, {"a": 1.0}, {"a": -np.inf}, {"a": np.inf}])
        assert found[:, 0].tolist() == [-1, 1, -4, 4]

    def test_one_far_out_is_four_deviations_out(self, group):
        asked = numbers(group, [{"a": -1.0}, {"a": 1.0}], [{"a": 3.0}, {"a": 50.0}])
        assert asked[:, 0].tolist() == [3, 4]

    def test_one_of_0_among_positive_ones_is_infinitely_far_below_them(self, group):
        asked = numbers(group, [{"a": 1.0}, {"a": 10.0}], [{"a": 0.0}, {"a": -5.0}])
        assert asked[:, 0].tolist() == [-4, -4]

    def test_one_that_is_the_same_everywhere_says_nothing(self, group):
        assert numbers(group, [{"a": 5.0}, {"a": 5.0}]).tolist() == [[0.0], [0.0]]

    def test_one_that_nobody_knew_makes_no_column(self, group):
        asked = numbers(group, [{"a": -1.0}, {"a": 1.0}], [{"a": 1.0, "new": 7.0}])
        assert asked.tolist() == [[1.0]]

    def test_one_that_is_never_finite_is_no_warning_and_never_a_nan(self, group):
        found = numbers(group, [{"a": np.nan}, {"a": -np.inf}], [{"a": 1.0}, {}])
        assert np.isfinite(found).all()

    def test_the_order_in_which_they_are_named_makes_no_difference(self, group):
        one = numbers(group, [{"a": 1.0, "b": 2.0}, {"a": 2.0, "b": 9.0}])
        other = numbers(group, [{"b": 2.0, "a": 1.0}, {"b": 9.0, "a": 2.0}])
        np.testing.assert_array_equal(one, other)


def test_how_far_costs_are_to_be_trusted_is_nothing_to_learn_from():
    rows = [{"latency_ms": 1.0, "outside_share": n / 2, "host_operators": n} for n in (0.0, 1.0)]
    assert numbers(COSTS, rows).tolist() == [[0.0], [0.0]]


def test_descriptors_of_the_graph_are_a_group_apart_from_the_scores():
    space = SearchSpace(name="one", choices={"a": Ordinal(1, 2)})
    rows = [{"swap": 1.0, "mean_path": 4.0}, {"swap": 1.0, "mean_path": 16.0}]
    candidates = [Candidate(config={"a": 1}, scores=row) for row in rows]
    groups = Encoding(OptionColumns(space), candidates).groups(candidates)
    assert groups[SCORES].tolist() == [[0.0], [0.0]]
    assert groups[SCORES + 1].tolist() == pytest.approx(np.array([[-1.0], [1.0]]))
