"""The judge's rules: what is a flag, what is compared, what counts as far off."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from estimating.compiler import Truth
from estimating.judging import Judged, confusion, figures, is_wrong

TEN_MS = Truth(latency_ms=10.0, peak_memory_bytes=1000)


def network(latency_ms=10.0, truth=TEN_MS, outside_share=0.0, host_operators=0, name="a"):
    return Judged(
        name=name,
        kind="any",
        latency_ms=latency_ms,
        latency_ms_upper=1.2 * latency_ms,
        peak_memory_bytes=1000,
        outside_share=outside_share,
        host_operators=host_operators,
        truth=truth,
    )


@pytest.mark.parametrize(
    ("outside_share", "host_operators", "expected"),
    [(0.1, 0, False), (0.11, 0, True), (0.0, 1, True)],
    ids=["a tenth outside is no flag", "more than a tenth is", "one host operator is"],
)
def test_what_a_flag_is(outside_share, host_operators, expected):
    found = network(outside_share=outside_share, host_operators=host_operators)
    assert found.is_flagged is expected


@pytest.mark.parametrize(
    ("latency_ms", "outside_share", "expected"),
    [(12.6, 0.0, True), (7.4, 0.0, True), (12.4, 0.0, False), (100.0, 0.5, False)],
    ids=["a quarter too high", "a quarter too low", "near", "far, but flagged"],
)
def test_far_off_counts_only_without_a_flag(latency_ms, outside_share, expected):
    assert is_wrong(network(latency_ms, outside_share=outside_share)) is expected


def test_figures_by_hand():
    """Errors 0, 30 % and (flagged) 100 % of three compared; one unwritten, one on the host."""
    found = figures(
        [
            network(),
            network(13.0, name="far"),
            network(20.0, outside_share=1.0),
            network(truth=Truth(unwritten="no form")),
            network(99.0, truth=Truth(latency_ms=1.0, host_operators=2)),
        ]
    )
    assert (found["judged"], found["n"], found["unflagged"]) == (5, 3, 2)
    assert (found["unwritten"], found["on_host"], found["flagged"]) == (1, 1, 1)
    assert found["mape"] == pytest.approx((0.0 + 0.3 + 1.0) / 3)
    assert found["unflagged_mape"] == pytest.approx(0.15)
    assert found["unflagged_wrong"] == 0.5
    assert found["wrong"] == ["far"]
    assert found["median_width"] == pytest.approx(0.2)
    assert found["memory_within_10_percent"] == 1.0


def test_host_operators_are_confused_only_where_the_compiler_answered():
    on_host = Truth(latency_ms=1.0, host_operators=3)
    found = confusion(
        [
            network(),
            network(host_operators=1),
            network(truth=on_host, host_operators=1),
            network(truth=on_host, name="missed"),
            network(truth=Truth(refused="no answer"), host_operators=1),
        ]
    )
    counts = {key: found[key] for key in ("both", "only_ours", "only_compiler", "neither")}
    assert counts == {"both": 1, "only_ours": 1, "only_compiler": 1, "neither": 1}
    assert found["on_host_unflagged"] == ["missed"]
