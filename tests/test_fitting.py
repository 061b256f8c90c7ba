"""A fit: what it recovers of a law, how it is kept, and when what was kept is of no use."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from plain_device import PLAIN

from nas_ray.errors import DeviceError
from nas_ray.estimate.fitting import FOLDS, fit, held_out_errors, packed, unpacked
from nas_ray.estimate.hardware import read_hardware
from nas_ray.estimate.operator_table import operator_table
from nas_ray.estimate.samples import Measured
from nas_ray.graph.operators import VIEW_KINDS
from nas_ray.measure.networks import random_network
from nas_ray.measure.sampling import sample_subgraphs

FACTOR = 8
ROWS = 160


def operator_ms(graph, operator):
    """A law that no one is told: the slower of arithmetic and traffic, and 100 ns to start.

    5e8 MACs and 2.4e7 bytes in a millisecond.
    """
    if operator.kind in VIEW_KINDS:
        return 0.0
    moved = sum(graph.tensors[i].elements for i in (*operator.inputs, *operator.outputs))
    return 1e-4 + max(operator.macs / 5e8, (moved + operator.weight_elements) / 2.4e7)


def measured_of(graph):
    shares = tuple(operator_ms(graph, operator) for operator in graph.operators)
    return Measured(graph=graph, latency_ms=sum(shares), operators_ms=shares)


def without_operators(measured):
    return [replace(one, operators_ms=()) for one in measured]


@pytest.fixture(scope="module")
def hardware(tmp_path_factory):
    path = tmp_path_factory.mktemp("plain") / "device.toml"
    path.write_text(f"{PLAIN}backend = 'none'\n", encoding="utf-8")
    return read_hardware(path)


@pytest.fixture(scope="module")
def measured():
    rng = np.random.default_rng(7)
    networks = [random_network(rng, FACTOR) for _ in range(10)]
    graphs = [*sample_subgraphs(ROWS + 50, rng, FACTOR), *networks]
    return [measured_of(graph) for graph in graphs]


@pytest.fixture(scope="module")
def seen(measured):
    """Subgraphs and networks; the rest is held out."""
    return [*measured[:ROWS], *measured[-10:]]


@pytest.fixture(scope="module")
def new(measured):
    return measured[ROWS:-10]


@pytest.fixture(scope="module")
def whole(seen, hardware):
    return fit(seen, hardware)


@pytest.fixture(scope="module")
def totals(seen, hardware):
    """Fitted to the same rows, but nobody says what an operator takes."""
    return fit(without_operators(seen), hardware)


def errors(found, rows):
    predicted = found.model.predict_ms([one.graph for one in rows])[0]
    return np.abs(predicted / [one.latency_ms for one in rows] - 1)


def test_a_law_is_recovered_on_subgraphs_it_was_not_fitted_on(whole, new):
    assert np.median(errors(whole, new)) < 0.05


def test_a_law_of_operators_is_recovered_from_what_subgraphs_take(totals, new):
    """Nobody says what an operator takes; a part of each is guessed, and guessed again."""
    assert np.median(errors(totals, new)) < 0.10


def test_an_operator_is_known_from_sums_of_several(totals, new):
    """Of subgraphs with three operators or more, which were only ever seen together."""
    several = [one for one in new if sum(ms > 0 for ms in one.operators_ms) >= 3]
    found = totals.model.operators_ms(operator_table([one.graph for one in several]))
    true = np.array([ms for one in several for ms in one.operators_ms if ms > 0])
    error = np.abs(found / true - 1)
    assert len(true) > 50
    assert np.median(error) < 0.25


def test_knowing_operators_is_better_than_knowing_sums(whole, totals, new):
    assert errors(whole, new).mean() < errors(totals, new).mean()


def test_the_stated_accuracy_is_that_on_unseen_rows(whole, seen, new):
    """Cross-validated on three quarters, so a little worse than a model that saw all."""
    assert whole.accuracy.subgraphs == len(seen)
    assert 0.5 * errors(whole, new).mean() < whole.accuracy.mape < 2.5 * errors(whole, new).mean()
    assert whole.accuracy.mape > 2 * errors(whole, seen).mean()


def test_held_out_errors_are_what_the_accuracy_is_made_of(whole, seen, hardware):
    """In the order of the rows that were given, which is not the order they are fitted in."""
    order = np.random.default_rng(0).permutation(len(seen))
    found = held_out_errors([seen[n] for n in order], hardware)
    assert found.mean() == pytest.approx(whole.accuracy.mape, rel=1e-12)
    assert (found <= 0.1).mean() == pytest.approx(whole.accuracy.within_10_percent, rel=1e-12)
    given = np.zeros(len(seen))
    given[order] = found
    # A network is a sum of many operators, whose errors are partly each other's opposite.
    assert np.median(given[ROWS:]) < np.quantile(given[:ROWS], 0.9)


def test_the_same_rows_in_another_order_are_the_same_fit(whole, seen, hardware):
    """To the last byte, or two workers that measure out of order would leave two devices."""
    order = np.random.default_rng(1).permutation(len(seen))
    again = fit([seen[n] for n in order], hardware)
    assert packed(again, "key") == packed(whole, "key")


def test_what_was_kept_predicts_the_same(whole, measured, hardware):
    back = unpacked(packed(whole, "key"), "key", hardware)
    assert back.accuracy == whole.accuracy
    graphs = [one.graph for one in measured]
    for ours, theirs in zip(
        back.model.predict_ms(graphs), whole.model.predict_ms(graphs), strict=True
    ):
        assert ours.tolist() == theirs.tolist()
    latency_ms, outside = back.model.predict_ms(graphs)
    margins = [one.calibration.margin_ms(latency_ms, outside) for one in (back, whole)]
    assert margins[0].tolist() == margins[1].tolist()
    upper = [one.calibration.upper_ms(latency_ms, margins[0][:, None]) for one in (back, whole)]
    assert upper[0].tolist() == upper[1].tolist()
    assert packed(back, "key") == packed(whole, "key")


def test_a_fit_to_another_table_is_none(whole, hardware):
    data = packed(whole, "key")
    assert unpacked(data, "other", hardware) is None
    assert unpacked(data, "", hardware) is None
    assert unpacked(data, None, hardware) is not None  # no table at hand to compare


def test_a_fit_to_other_features_is_none(whole, hardware, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("nas_ray.estimate.fitting.VERSION", -1)
        data = packed(whole, "key")
        assert unpacked(data, "key", hardware) is not None
    assert unpacked(data, "key", hardware) is None


DAMAGE = {
    "empty": lambda data: b"",
    "cut_short": lambda data: data[: len(data) // 2],
    "no_zip": lambda data: b"not a file of arrays",
    "changed_inside": lambda data: data[:400] + bytes(200) + data[600:],
    "one_array": lambda data: b"\x93NUMPY" + data,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_none(whole, hardware, damage):
    assert unpacked(damage(packed(whole, "key")), "key", hardware) is None


@pytest.mark.parametrize("rows", [0, 29])
@pytest.mark.parametrize("call", [fit, held_out_errors], ids=["fit", "held_out_errors"])
def test_a_table_too_small_to_hold_a_part_out_is_refused(seen, hardware, call, rows):
    with pytest.raises(DeviceError, match=f"at least 30 measured subgraphs, but .* has {rows}. "):
        call(seen[:rows], hardware)


def test_a_row_is_estimated_by_a_fit_that_had_not_seen_it(seen, hardware):
    """A wrong latency moves the estimates of other folds, never that of its own row."""
    few = seen[:60]
    wrong = [replace(few[0], latency_ms=9 * few[0].latency_ms, operators_ms=()), *few[1:]]
    right = [replace(few[0], operators_ms=()), *few[1:]]
    estimate = partial(held_out_errors, hardware=hardware)
    first, second = estimate(right), estimate(wrong)
    # The errors are |estimate / latency - 1| of one estimate, on either side of the latency.
    candidates = [(1 + sign * first[0]) / 9 for sign in (1, -1)]
    assert any(second[0] == pytest.approx(abs(one - 1), rel=1e-9) for one in candidates)
    assert FOLDS > 1
    assert first[1:].tolist() != second[1:].tolist()
