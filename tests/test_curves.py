"""Where cut-off curves would have ended: lines by hand and their laws."""

import pytest

from nas_ray.evolution.curves import Endings
from nas_ray.evolution.observation import Observation


def finished(then: float, end: float, epoch: int = 2) -> Observation:
    """A network trained in full whose accuracy was `then` after `epoch`, and `end` at the end."""
    curve = {epoch: {"accuracy": then}, 9: {"accuracy": end}}
    return Observation(config={}, metrics={"accuracy": end}, curve=curve)


def stopped(value: float, epoch: int = 2) -> Observation:
    curve = {n: {"accuracy": value} for n in range(1, epoch + 1)}
    return Observation(config={}, metrics={"accuracy": value}, final=False, curve=curve)


def end_of(pairs, value: float, epoch: int = 2):
    return Endings([finished(*pair) for pair in pairs]).of(stopped(value, epoch), "accuracy")


def test_on_an_exact_line_the_end_is_on_it_for_sure():
    # End = 0.5 + 2 x then.
    ending = end_of([(x, 0.5 + 2 * x) for x in (0.1, 0.2, 0.3, 0.4, 0.5)], 0.6)
    assert ending.value == pytest.approx(1.7)
    assert ending.variance == pytest.approx(0.0, abs=1e-12)


def test_a_line_and_its_variance_by_hand():
    """Means 0 and 0.4; squared deviations of `then` sum to 10."""
    ending = end_of([(-2, -2), (-1, 0), (0, 0), (1, 0), (2, 4)], 3.0)
    # Products with `end` sum to 4 + 0 + 0 + 0 + 8 = 12: slope 1.2.
    assert ending.value == pytest.approx(0.4 + 1.2 * 3)
    # Residuals 0, 0.8, -0.4, -1.6, 1.2: squares sum to 4.8, over 3.
    assert ending.variance == pytest.approx(1.6)


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([], 0.3),
        ([(0.2, 0.6)], 0.7),
        # Rises of 0.4, 0.2, 0.3 and 0.1: their mean is 0.25.
        ([(0.2, 0.6), (0.3, 0.5), (0.1, 0.4), (0.4, 0.5)], 0.55),
    ],
    ids=["none", "one", "four"],
)
def test_fewer_than_five_say_how_far_values_rise_but_not_how_surely(pairs, expected):
    ending = end_of(pairs, 0.3)
    assert ending.value == pytest.approx(expected)
    assert ending.variance is None


def test_who_leads_early_is_never_expected_to_trail():
    falling = [(x, 1 - x) for x in (0.1, 0.2, 0.3, 0.4, 0.5)]
    # The mean of the ends, 0.7, whatever the value.
    for value in (0.0, 0.9):
        ending = end_of(falling, value)
        assert ending.value == pytest.approx(0.7)
        # Squares sum to 0.1, over 5 - 2.
        assert ending.variance == pytest.approx(0.1 / 3)


def test_networks_all_alike_then_say_the_mean_of_their_ends():
    ending = end_of([(0.1, end) for end in (0.2, 0.4, 0.6, 0.8, 1.0)], 0.9)
    assert ending.value == pytest.approx(0.6)


def test_networks_that_all_end_alike_leave_no_variance():
    ending = end_of([(x, 0.8) for x in (0.1, 0.2, 0.3, 0.4, 0.5)], 0.9)
    assert ending.value == pytest.approx(0.8)
    assert ending.variance == 0.0


def test_only_what_was_reported_after_the_same_epoch_counts():
    finals = [finished(x, 2 * x) for x in (0.1, 0.2, 0.3, 0.4, 0.5)]
    finals += [finished(x, 7 * x, epoch=3) for x in (0.1, 0.2, 0.3, 0.4, 0.5)]
    endings = Endings(finals)
    assert endings.of(stopped(0.6, epoch=2), "accuracy").value == pytest.approx(1.2)
    assert endings.of(stopped(0.6, epoch=3), "accuracy").value == pytest.approx(4.2)
    # Nobody reported after the first epoch.
    assert endings.of(stopped(0.6, epoch=1), "accuracy").value == pytest.approx(0.6)


def test_a_metric_that_is_no_part_of_the_curve_stays_what_it_is():
    endings = Endings([finished(x, 2 * x) for x in (0.1, 0.2, 0.3, 0.4, 0.5)])
    cut = Observation(config={}, metrics={"energy_mj": 4.0}, final=False, curve={2: {}})
    ending = endings.of(cut, "energy_mj")
    assert (ending.value, ending.variance) == (4.0, None)
