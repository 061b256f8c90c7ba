"""A fit: what it recovers of a law, how it is kept, and when what was kept is of no use."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from plain_device import PLAIN
from torch import nn

from nas_ray.errors import DeviceError
from nas_ray.estimate.fitted import packed, unpacked
from nas_ray.estimate.fitting import FOLDS_FOR_BOUNDS, fit, held_out_errors
from nas_ray.estimate.hardware import read_hardware
from nas_ray.estimate.latency import inputs, work_of
from nas_ray.estimate.operator_table import is_counted, operator_table
from nas_ray.estimate.regression import fit_latency
from nas_ray.estimate.samples import Measured, samples
from nas_ray.graph import subgraphs, trace
from nas_ray.measure.families import MOBILE
from nas_ray.measure.networks import CLASSIC, random_network
from nas_ray.measure.sampling import sample_subgraphs

FACTOR = 8
ROWS = 100


def operator_ms(graph, operator):
    """A law that no one is told: the slower of arithmetic and traffic, and 100 ns to start.

    5e8 MACs and 2.4e7 bytes in a millisecond.
    """
    if not is_counted(graph, operator):
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
    networks = [random_network(rng, FACTOR, styles=CLASSIC) for _ in range(10)]
    graphs = [*sample_subgraphs(ROWS + 50, rng, FACTOR, families=MOBILE), *networks]
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
def held_out(seen, hardware):
    """Given in another order, brought back into that of `seen`."""
    order = np.random.default_rng(0).permutation(len(seen))
    errors = np.zeros(len(seen))
    errors[order] = held_out_errors([seen[n] for n in order], hardware, FOLDS_FOR_BOUNDS)
    return errors


@pytest.fixture(scope="module")
def totals(seen, hardware):
    """The regression on the same rows, but nobody says what an operator takes."""
    return regression(without_operators(seen), hardware)


def regression(rows, hardware):
    """A fit without its margins, in a fifth of the time."""
    return fit_latency(samples(rows), hardware, np.ones(len(rows), dtype=bool))


def table_of(rows):
    return operator_table([one.graph for one in rows])


def predicted_ms(model, rows):
    """Of whole rows, networks too."""
    return model.graphs_ms(table_of(rows))[0]


def errors(model, rows):
    return np.abs(predicted_ms(model, rows) / [one.latency_ms for one in rows] - 1)


def test_a_law_is_recovered_on_subgraphs_it_was_not_fitted_on(whole, new):
    assert np.median(errors(whole.model, new)) < 0.05


def test_a_law_of_operators_is_recovered_from_what_subgraphs_take(totals, new):
    """Nobody says what an operator takes; a part of each is guessed, and guessed again."""
    assert np.median(errors(totals, new)) < 0.10


def test_an_operator_is_known_from_sums_of_several(totals, new):
    """Of subgraphs with three operators or more, which were only ever seen together."""
    several = [one for one in new if sum(ms > 0 for ms in one.operators_ms) >= 3]
    found = totals.operators_ms(table_of(several))
    true = np.array([ms for one in several for ms in one.operators_ms if ms > 0])
    error = np.abs(found / true - 1)
    assert len(true) > 50
    assert np.median(error) < 0.25


def test_knowing_operators_is_better_than_knowing_sums(whole, totals, new):
    assert errors(whole.model, new).mean() < errors(totals, new).mean()


def test_the_stated_accuracy_is_that_on_unseen_rows(whole, seen, new):
    """Cross-validated on three quarters, so a little worse than a model that saw all."""
    assert whole.accuracy.subgraphs == len(seen)
    assert (
        0.5 * errors(whole.model, new).mean()
        < whole.accuracy.mape
        < 2.5 * errors(whole.model, new).mean()
    )
    assert whole.accuracy.mape > 2 * errors(whole.model, seen).mean()


def test_more_rows_make_it_more_accurate(whole, seen, new, hardware):
    few = regression(seen[:30], hardware)
    assert errors(whole.model, new).mean() < 0.8 * errors(few, new).mean()


@pytest.fixture(scope="module")
def slow(seen, hardware):
    """Fitted to the same rows on a clock ten times slower."""
    rows = [
        replace(
            one,
            latency_ms=10 * one.latency_ms,
            operators_ms=tuple(10 * ms for ms in one.operators_ms),
        )
        for one in seen
    ]
    return regression(rows, hardware)


def test_a_slower_clock_scales_the_roofline_and_networks_within_what_they_are_off(
    whole, slow, new, hardware
):
    """The roofline is linear in the latencies, but for its floor of 1e-9 ms."""
    table = table_of(new)
    work = work_of(table, hardware)
    slow_ms, ms = (
        inputs(table, work, model.roofline, hardware)[1] for model in (slow, whole.model)
    )
    assert slow_ms == pytest.approx(10 * ms, rel=1e-5)
    ratio = predicted_ms(slow, new) / predicted_ms(whole.model, new)
    assert np.median(ratio) == pytest.approx(10, rel=0.01)
    assert np.abs(ratio / 10 - 1).mean() < errors(whole.model, new).mean()


def test_a_slower_clock_scales_every_latency(whole, slow, new):
    ratio = predicted_ms(slow, new) / predicted_ms(whole.model, new)
    assert np.median(ratio) == pytest.approx(10, rel=5e-3)
    assert ratio == pytest.approx(10 * np.ones(len(new)), rel=1e-6)


def test_a_subgraph_is_predicted_the_same_alone_and_among_others(whole, measured):
    """To the last bit, or a search would depend on which networks were looked at before."""
    alone = [predicted_ms(whole.model, [one])[0] for one in measured]
    assert alone == predicted_ms(whole.model, measured).tolist()


def test_nothing_asked_is_nothing_predicted(whole):
    latency_ms, outside = whole.model.graphs_ms(operator_table([]))
    assert latency_ms.shape == outside.shape == (0,)


def test_rows_of_the_table_are_inside(whole, seen):
    assert not whole.model.coverage.is_outside(samples(seen).table).any()


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv2d(16, 64, 3), (1, 16, 2000, 2000)),
        (nn.Conv2d(4096, 4096, 3), (1, 4096, 8, 8)),
        (nn.Conv2d(16, 16, 31, padding=15), (1, 16, 32, 32)),
        (nn.Softmax(dim=1), (1, 16, 8, 8)),
    ],
    ids=["larger_image", "more_channels", "larger_kernel", "operator_that_the_table_lacks"],
)
def test_what_the_table_holds_nothing_like_is_outside(whole, layer, shape):
    with torch.device("meta"):
        (graph,) = subgraphs(trace(layer.to("meta"), torch.empty(shape)))
    assert whole.model.graphs_ms(operator_table([graph]))[1].tolist() == [True]


def test_held_out_errors_are_what_the_accuracy_is_made_of(whole, held_out):
    assert held_out.mean() == pytest.approx(whole.accuracy.mape, rel=1e-12)
    assert (held_out <= 0.1).mean() == pytest.approx(whole.accuracy.within_10_percent, rel=1e-12)
    # A network is a sum of many operators, whose errors are partly each other's opposite.
    assert np.median(held_out[ROWS:]) < np.quantile(held_out[:ROWS], 0.9)


def test_the_same_rows_in_another_order_are_the_same_fit(whole, seen, hardware):
    """To the last byte, or two workers that measure out of order would leave two devices."""
    order = np.random.default_rng(1).permutation(len(seen))
    again = fit([seen[n] for n in order], hardware)
    assert packed(again, "key") == packed(whole, "key")


def test_what_was_kept_predicts_the_same(whole, measured, hardware):
    back = unpacked(packed(whole, "key"), "key", hardware)
    assert back.accuracy == whole.accuracy
    table = table_of(measured)
    latency_ms, outside = whole.model.graphs_ms(table)
    margins_ms = whole.calibration.margin_ms(table, latency_ms, outside)
    upper_ms = whole.calibration.upper_ms(latency_ms, margins_ms[:, None], 0 * latency_ms)
    again_ms, again_outside = back.model.graphs_ms(table)
    assert (again_ms.tolist(), again_outside.tolist()) == (latency_ms.tolist(), outside.tolist())
    again_margins_ms = back.calibration.margin_ms(table, again_ms, again_outside)
    assert again_margins_ms.tolist() == margins_ms.tolist()
    again_upper_ms = back.calibration.upper_ms(again_ms, again_margins_ms[:, None], 0 * again_ms)
    assert again_upper_ms.tolist() == upper_ms.tolist()
    assert packed(back, "key") == packed(whole, "key")


def test_a_fit_to_another_table_is_none(whole, hardware):
    data = packed(whole, "key")
    assert unpacked(data, "other", hardware) is None
    assert unpacked(data, "", hardware) is None
    assert unpacked(data, None, hardware) is not None  # no table at hand to compare


def test_a_fit_to_other_features_is_none(whole, hardware, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("nas_ray.estimate.fitted.VERSION", -1)
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


def test_a_row_is_estimated_by_a_fit_that_had_not_seen_it(held_out, seen, hardware):
    """A wrong latency moves the estimates of other folds, never that of its own row.

    Errors are in the order in which rows are given, or the first would not be that of the first.
    """
    wrong_ms = tuple(9 * ms for ms in seen[0].operators_ms)
    wrong = replace(seen[0], latency_ms=9 * seen[0].latency_ms, operators_ms=wrong_ms)
    found = held_out_errors([wrong, *seen[1:]], hardware, FOLDS_FOR_BOUNDS)
    # The errors are |estimate / latency - 1| of one estimate, on either side of the latency.
    candidates = [(1 + sign * held_out[0]) / 9 for sign in (1, -1)]
    assert any(found[0] == pytest.approx(abs(one - 1), rel=1e-9) for one in candidates)
    assert FOLDS_FOR_BOUNDS > 1
    assert found[1:].tolist() != held_out[1:].tolist()
