"""The surrogate: what it says of known networks, of failures, and on which scale.

Notation: `n` known networks, `q` candidates, `K` metrics; values are minimised.
"""

import numpy as np
import pytest

from nas_ray import Categorical, SearchSpace
from nas_ray.evolution.encoding import OptionColumns
from nas_ray.evolution.screen import Candidate
from nas_ray.evolution.surrogate import GAUSSIAN_SHARE, Known, Surrogate, tuned
from nas_ray.evolution.winsorised import winsorised

SPACE = SearchSpace(name="letters", choices={f"place{n}": Categorical(*"abc") for n in range(5)})
#: Lengths for choices, counts, costs and scores, which do not matter here, and little noise.
WEIGHTS = np.array([0.3, 0.01, 0.01, 0.01, 0.01, 1e-6])


def candidates(seed: int, count: int) -> list[Candidate]:
    rng = np.random.default_rng(seed)
    return [Candidate(config=SPACE.sample(rng)) for _ in range(count)]


def worth(candidate: Candidate) -> dict[str, float]:
    places = list(candidate.config.values())
    return {"loss": float(places.count("c")), "error": -float(places.count("a"))}


def knowing(some, **fields) -> list[Known]:
    return [Known(candidate=c, values=worth(c), **fields) for c in some]


def surrogate_of(known, metrics=("loss", "error")) -> Surrogate:
    return Surrogate(OptionColumns(SPACE), known, metrics, dict.fromkeys(metrics, WEIGHTS))


def test_the_known_are_expected_to_be_what_they_are_metric_by_metric():
    some = candidates(0, 40)
    means = surrogate_of(knowing(some)).mean(some)
    for k, metric in enumerate(("loss", "error")):
        expected, _ = winsorised(np.array([worth(c)[metric] for c in some]))
        np.testing.assert_allclose(means[:, k], expected, atol=0.01)


@pytest.mark.parametrize("seed", range(8))
def test_a_draw_of_either_kind_follows_each_metric(seed):
    """By the generator's first number it is the Gaussian process's or the forest's."""
    asked = candidates(1, 60)
    surrogate = surrogate_of(knowing(candidates(0, 80)))
    (drawn,) = surrogate.draws(asked, 1, np.random.default_rng(seed))
    assert drawn.shape == (60, 2)
    for k, metric in enumerate(("loss", "error")):
        assert np.corrcoef(drawn[:, k], [worth(c)[metric] for c in asked])[0, 1] > 0.7


@pytest.mark.parametrize(
    ("value", "expected"),
    # Mean 3 and deviation 2^0.5, nothing held; on a line between neighbours, 1 beyond the ends.
    [(3.0, 0.0), (5.0, 2**0.5), (2.5, -(0.5**1.5)), (9.0, 2**0.5 + 1), (-7.0, -(2**0.5) - 1)],
    ids=["mean", "worst", "between", "above_all", "below_all"],
)
def test_where_a_value_is_on_the_scale_of_the_known(value, expected):
    known = [
        Known(candidate=c, values={"loss": float(n)})
        for n, c in enumerate(candidates(0, 5), start=1)
    ]
    assert surrogate_of(known, ["loss"]).scores_of("loss", [value]) == pytest.approx([expected])


def test_failed_networks_have_no_value_and_do_not_change_those_of_others():
    some, others = candidates(0, 30), candidates(1, 10)
    failed = [Known(candidate=c, values={}, failed=True) for c in candidates(2, 10)]
    with_failed = surrogate_of([*failed, *knowing(some)]).mean(others)
    np.testing.assert_allclose(with_failed, surrogate_of(knowing(some)).mean(others))


def test_what_fails_is_what_is_like_the_failed():
    def known(candidate):
        failed = candidate.config["place2"] == "b"
        return Known(candidate=candidate, values=worth(candidate), failed=failed)

    surrogate, asked = surrogate_of([known(c) for c in candidates(0, 120)]), candidates(1, 60)
    failing = surrogate.failing(asked, np.random.default_rng(0))
    expected = [c.config["place2"] == "b" for c in asked]
    assert (failing == expected).mean() > 0.9


def test_where_nothing_failed_nothing_is_expected_to():
    surrogate = surrogate_of(knowing(candidates(0, 20)))
    assert not surrogate.failing(candidates(1, 9), np.random.default_rng(0)).any()


def test_the_doubted_count_for_less_and_are_named():
    some, (odd,) = candidates(0, 30), candidates(7, 1)
    expected = []
    for doubt in (0.0, 0.5, 5.0):
        one = Known(candidate=odd, values={"loss": -4.0}, doubt=doubt, partial=True)
        surrogate = surrogate_of([*knowing(some), one], ["loss"])
        assert surrogate.doubtful == [odd]
        expected.append(surrogate.mean([odd])[0, 0])
    # Its value is far better than any other; the more it is doubted, the less it is believed.
    assert expected == sorted(expected)
    assert expected[-1] > expected[0] + 1


def test_a_variance_is_in_the_unit_of_its_metric():
    """With it a value is believed less, whatever the unit that both are told in."""
    some, (odd,) = candidates(0, 30), candidates(7, 1)

    def said(variance, unit=1.0):
        one = Known(
            candidate=odd,
            values={"loss": -4.0 * unit},
            variances={"loss": variance * unit**2},
            partial=True,
        )
        others = [Known(candidate=c, values={"loss": worth(c)["loss"] * unit}) for c in some]
        return surrogate_of([*others, one], ["loss"]).mean([odd])[0, 0]

    assert said(0.0) + 0.5 < said(4.0)
    assert said(4.0, unit=1000.0) == pytest.approx(said(4.0))


def test_the_forest_believes_the_doubted_less_as_well():
    some, (odd,) = candidates(0, 30), candidates(7, 1)
    forests = [n for n in range(120) if np.random.default_rng(n).random() >= GAUSSIAN_SHARE]

    def said(doubt):
        one = Known(candidate=odd, values={"loss": -4.0}, doubt=doubt, partial=True)
        surrogate = surrogate_of([*knowing(some), one], ["loss"])
        return np.mean([surrogate.draws([odd], 1, np.random.default_rng(n))[0] for n in forests])

    assert said(9.0) > said(0.0) + 0.5


def test_weights_are_tuned_for_each_metric_to_what_matters_for_it():
    """One metric is a cost, seen through a logarithm; the other is what the options are."""
    rng, known = np.random.default_rng(0), []
    for candidate in candidates(0, 60):
        macs = float(np.exp(rng.normal()))
        costed = Candidate(config=candidate.config, costs={"macs": macs})
        values = {"loss": np.log(macs), "error": worth(candidate)["error"]}
        known.append(Known(candidate=costed, values=values))
    weights = tuned(OptionColumns(SPACE), known, ["loss", "error"], np.random.default_rng(0))
    choices, counts, costs = range(3)
    assert weights["loss"][costs] > 3 * weights["loss"][[choices, counts]].max()
    assert weights["error"][counts] > 3 * weights["error"][costs]
