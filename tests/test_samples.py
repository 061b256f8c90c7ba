"""Rows of a table as operators with latencies, whatever their order."""

from dataclasses import replace

import numpy as np
import pytest

from nas_ray.estimate.operator_table import is_counted, operator_table
from nas_ray.estimate.samples import Measured, samples
from nas_ray.graph import signature, subgraphs
from nas_ray.measure.networks import random_network
from nas_ray.measure.sampling import sample_subgraphs


def measured_of(graph):
    """Operators take 1, 2, 3, ... ms, those that only rename nothing."""
    shares, n = [], 0
    for operator in graph.operators:
        n += is_counted(graph, operator)
        shares.append(float(n) if is_counted(graph, operator) else 0.0)
    return Measured(graph=graph, latency_ms=sum(shares), operators_ms=tuple(shares))


@pytest.fixture(scope="module")
def measured():
    rng = np.random.default_rng(0)
    networks = [random_network(rng, 16) for _ in range(6)]
    return [measured_of(graph) for graph in (*networks, *sample_subgraphs(40, rng))]


@pytest.fixture(scope="module")
def found(measured):
    return samples(measured)


def test_the_order_of_the_rows_makes_no_difference(measured, found):
    order = np.random.default_rng(1).permutation(len(measured))
    again = samples([measured[n] for n in order])
    for name in ("row", "operators_ms", "latency_ms", "fold"):
        assert getattr(again, name).tolist() == getattr(found, name).tolist()
    for name, column in found.table.columns.items():
        assert again.table[name].tolist() == column.tolist()


def test_order_leads_back_to_the_row_that_was_given(measured, found):
    assert sorted(found.order.tolist()) == list(range(len(measured)))
    given = np.zeros(len(measured))
    given[found.order] = found.latency_ms
    assert given.tolist() == [one.latency_ms for one in measured]


def test_operators_of_a_network_are_those_of_its_parts(measured, found):
    """Each operator once, in execution order, with its own latency: 1, 2, 3, ... in each row."""
    for place, n in enumerate(found.order):
        own = found.operators_ms[found.operator_row == place]
        assert own.tolist() == [float(k + 1) for k in range(len(own))]
        parts = subgraphs(measured[n].graph)
        assert (found.row == place).sum() == len(parts)
        expected = operator_table(parts)
        here = found.operator_row == place
        for name in ("kind", "channels", "macs", "weights", "read", "written"):
            assert found.table[name][here].tolist() == expected[name].tolist()


def test_operators_add_up_to_their_row(found):
    assert found.row_total(found.operators_ms).tolist() == found.latency_ms.tolist()


def test_parts_of_a_network_know_that_there_is_more(measured, found):
    """The first has something after it, the last before it, a subgraph alone neither."""
    for place, n in enumerate(found.order):
        here = found.row == place
        count = len(subgraphs(measured[n].graph))
        assert found.table.has_before[here].tolist() == [k > 0 for k in range(count)]
        assert found.table.has_after[here].tolist() == [k < count - 1 for k in range(count)]


def test_the_fold_of_a_row_is_its_own(measured, found):
    """Whatever else is in the table, and whatever was measured."""
    some = samples([replace(one, latency_ms=7.0, operators_ms=()) for one in measured[::3]])
    by_name = {signature(measured[n].graph): found.fold[k] for k, n in enumerate(found.order)}
    names = sorted(signature(one.graph) for one in measured[::3])
    assert some.fold.tolist() == [by_name[name] for name in names]


def test_what_was_not_measured_is_not_a_number(measured):
    first, second = measured[0], replace(measured[-1], operators_ms=())
    found = samples([first, second])
    place = found.order.tolist().index(1)
    assert np.isnan(found.operators_ms).tolist() == (found.operator_row == place).tolist()


def test_another_number_of_latencies_than_of_operators_is_refused(measured):
    one = measured[0]
    with pytest.raises(ValueError, match="zip"):
        samples([replace(one, operators_ms=one.operators_ms[:-1])])
