"""Objectives and constraints: direction and bounds."""

import math

import pytest

from nas_ray import Constraint, Objective
from nas_ray.errors import SearchError


def test_less_is_better_once_an_objective_is_minimised():
    accuracy, latency = Objective("accuracy", "max"), Objective("latency_ms", "min")
    assert accuracy.minimised(0.9) < accuracy.minimised(0.8)
    assert latency.minimised(1.0) < latency.minimised(2.0)


def test_a_direction_is_min_or_max():
    with pytest.raises(SearchError, match="'accuracy' must be 'min' or 'max', but got 'up'"):
        Objective("accuracy", "up")


@pytest.mark.parametrize(
    ("constraint", "value", "violation"),
    [
        (Constraint("latency_ms", upper=2.0), 1.5, 0.0),
        (Constraint("latency_ms", upper=2.0), 2.0, 0.0),
        (Constraint("latency_ms", upper=2.0), 2.5, 0.5),
        (Constraint("accuracy", lower=0.9), 0.75, 0.15),
        (Constraint("x", lower=1.0, upper=1.0), 1.0, 0.0),
        (Constraint("latency_ms", upper=2.0), math.inf, math.inf),
        (Constraint("latency_ms", upper=2.0), math.nan, math.inf),
        (Constraint("latency_ms", upper=2.0), -math.inf, 0.0),
    ],
    ids=["inside", "at_the_bound", "above", "below", "point", "infinite", "nan", "minus_infinite"],
)
def test_violation_is_the_distance_to_the_bound(constraint, value, violation):
    assert constraint.violation(value) == pytest.approx(violation)


@pytest.mark.parametrize(
    "bounds",
    [{"lower": 2.0, "upper": 1.0}, {"upper": math.nan}, {"lower": math.nan}, {"upper": "1"}, {}],
    ids=["crossed", "nan_upper", "nan_lower", "text", "no_bound"],
)
def test_a_constraint_without_a_sound_bound_is_refused(bounds):
    with pytest.raises(SearchError, match="latency_ms"):
        Constraint("latency_ms", **bounds)


@pytest.mark.parametrize(
    ("constraint", "text"),
    [
        (Constraint("latency_ms", upper=2.0), "latency_ms <= 2"),
        (Constraint("accuracy", lower=0.9), "0.9 <= accuracy"),
        (Constraint("macs", lower=1.0, upper=3.0), "1 <= macs <= 3"),
    ],
)
def test_a_constraint_reads_as_an_inequality(constraint, text):
    assert str(constraint) == text


def test_a_confidence_bounds_the_upper_end_of_the_interval():
    constraint = Constraint("latency_ms", upper=1.0, confidence=0.95)
    assert constraint.quantity == "latency_ms_upper"
    assert str(constraint) == "latency_ms_upper <= 1"
    assert Constraint("latency_ms", upper=1.0).quantity == "latency_ms"


@pytest.mark.parametrize(
    ("metric", "bounds", "match"),
    [
        ("latency_ms", {"upper": 1.0, "confidence": 0.9}, "must be 0.95.* but got 0.9"),
        ("macs", {"upper": 1.0, "confidence": 0.95}, "for 'latency_ms'.* for 'macs'"),
        ("latency_ms", {"lower": 1.0, "confidence": 0.95}, "belongs to an upper bound"),
    ],
)
def test_another_confidence_is_refused(metric, bounds, match):
    with pytest.raises(SearchError, match=match):
        Constraint(metric, **bounds)
