"""Tables of a small search, worked out by hand. Constraint: latency_ms <= 2.

trial  status     accuracy  latency_ms  peak_memory_bytes
0      completed  0.90      2.50        102400   baseline, breaks the constraint
1      completed  0.80      1.00         51200   front
2      completed  0.88      1.50         76800   front
3      completed  0.85      1.75         76800   trial 2 is better in both
4      stopped    0.95      0.50         76800   at epoch 1 of 2
5      failed     -         0.25         76800
6      completed  0.99      2.25         76800   breaks the constraint
"""

from pathlib import Path

import numpy as np
import pytest

from nas_ray.errors import RecordError, SearchError
from nas_ray.objective import Constraint, Objective
from nas_ray.record import Record
from nas_ray.report import (
    Funnel,
    SearchResult,
    baseline_row,
    constraints_of,
    front_table,
    funnel,
    objectives_of,
    trials_table,
)

ACCURACY, LATENCY = (
    {"metric": "accuracy", "direction": "max"},
    {"metric": "latency_ms", "direction": "min"},
)
MEMORY = {"metric": "peak_memory_bytes", "direction": "min"}
AT_MOST_2_MS = {"metric": "latency_ms", "upper": 2.0, "lower": None}
BASELINE = {"block": "ibn", "expansion": 4, "channels": 32}
ERROR = "Traceback (most recent call last):\n  File <train>\nValueError: <script>alert(1)</script>"


def opened(folder: Path, objectives=(ACCURACY, LATENCY), constraints=(AT_MOST_2_MS,)) -> Record:
    header = {
        "nas_ray": "0.1.0",
        "space": {
            "name": "cells",
            "choices": {
                "block": {"kind": "Categorical", "options": ["ibn", "plain"], "when": {}},
                "expansion": {"kind": "Ordinal", "options": [2, 4], "when": {"block": ["ibn"]}},
                "channels": {"kind": "Channels", "options": [16, 32], "when": {}},
            },
        },
        "baseline": BASELINE,
        "device": "ethos-u85-2048",
        "device_note": "compiler estimates",
        "objectives": list(objectives),
        "constraints": list(constraints),
        "seed": 7,
        "max_epochs": 2,
    }
    return Record.open(folder, header)


def start(record: Record, number: int, latency_ms: float, memory: int = 76800, **fields) -> None:
    event = {"event": "start", "trial": number, "origin": "evolution", "scores": {}}
    event["config"] = {"block": "plain", "channels": 32}
    event["costs"] = {"latency_ms": latency_ms, "peak_memory_bytes": memory}
    record.append({**event, **fields})


def train(record: Record, number: int, *accuracies: float) -> None:
    for epoch, accuracy in enumerate(accuracies, start=1):
        event = {"event": "result", "trial": number, "epoch": epoch}
        checkpoint = f"checkpoints/{number}/{epoch}"
        record.append({**event, "metrics": {"accuracy": accuracy}, "checkpoint": checkpoint})


def end(record: Record, number: int, status: str, error: str = "") -> None:
    record.append({"event": "end", "trial": number, "status": status, "error": error})


def example(folder: Path, **header) -> Record:
    record = opened(folder, **header)
    counts = {"costed": 100, "feasible": 40, "scored": 20, "survivors": []}
    record.append({"event": "batch", "draws": 100, **counts})
    broken = {"build raised ValueError": 3, "build returned str": 2}
    record.append({"event": "batch", "draws": 160, **counts, "costed": 60, "unbuildable": broken})
    start(record, 0, 2.5, 102400, origin="baseline", config=BASELINE)
    start(record, 1, 1.0, 51200)
    for number, latency_ms in ((2, 1.5), (3, 1.75), (4, 0.5), (5, 0.25), (6, 2.25)):
        start(record, number, latency_ms)
    for number, accuracy in ((0, 0.90), (1, 0.80), (2, 0.88), (3, 0.85), (6, 0.99)):
        train(record, number, accuracy / 2, accuracy)
        end(record, number, "completed")
    train(record, 4, 0.95)
    end(record, 4, "stopped")
    end(record, 5, "failed", ERROR)
    record.append({"event": "test", "trial": 2, "metrics": {"test_accuracy": 0.86}})
    return record


def test_every_trial_is_a_row_with_every_metric_as_a_column(tmp_path):
    table = trials_table(example(tmp_path))
    assert list(table.columns) == [
        *("trial", "origin", "status", "epoch"),
        *("accuracy", "latency_ms", "peak_memory_bytes", "test_accuracy"),
        *("checkpoint", "config"),
    ]
    assert list(table["epoch"]) == [2, 2, 2, 2, 1, 0, 2]
    assert list(table["status"].iloc[[0, 4, 5]]) == ["completed", "stopped", "failed"]
    np.testing.assert_equal(
        table["accuracy"].to_numpy(), [0.90, 0.80, 0.88, 0.85, 0.95, np.nan, 0.99]
    )
    assert table["checkpoint"][2] == str(tmp_path / "checkpoints/2/2")
    assert table["checkpoint"][5] == ""
    assert table["config"][0] == BASELINE


def test_a_test_metric_named_as_another_one_does_not_replace_it(tmp_path):
    record = example(tmp_path)
    record.append({"event": "test", "trial": 1, "metrics": {"accuracy": 0.7, "f1": 0.6}})
    row = trials_table(record).iloc[1]
    assert (row["accuracy"], row["test_accuracy"], row["f1"]) == (0.80, 0.7, 0.6)


def test_the_front_is_what_nothing_feasible_dominates_by_latency(tmp_path):
    front = front_table(example(tmp_path))
    assert list(front["trial"]) == [1, 2]
    expected = {
        "latency_ms_relative_change": [-0.6, -0.4],  # (1 - 2.5) / 2.5, (1.5 - 2.5) / 2.5
        "accuracy_relative_change": [-1 / 9, -1 / 45],  # (0.80 - 0.90) / 0.90, (0.88 - 0.90) / 0.90
        "peak_memory_bytes_relative_change": [-0.5, -0.25],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(front[name], values, rtol=1e-12)


@pytest.mark.parametrize(
    ("header", "members"),
    [
        pytest.param({"constraints": ()}, [1, 2, 6], id="without-constraint"),
        pytest.param({"objectives": (ACCURACY,)}, [2], id="one-objective"),
        pytest.param({"objectives": (LATENCY, MEMORY)}, [1], id="two-minimised"),
        pytest.param({"objectives": (ACCURACY, LATENCY, MEMORY)}, [1, 2], id="three-objectives"),
        pytest.param(
            {"constraints": ({"metric": "accuracy", "upper": None, "lower": 0.89},)},
            [6],
            id="baseline-feasible-but-dominated",
        ),
        pytest.param(
            {"constraints": ({"metric": "latency_ms", "upper": 0.1, "lower": None},)},
            [],
            id="nothing-feasible",
        ),
    ],
)
def test_the_front_follows_objectives_and_constraints(tmp_path, header, members):
    front = front_table(example(tmp_path, **header))
    assert list(front["trial"]) == members


def test_the_baseline_is_a_member_of_the_front_when_nothing_beats_it(tmp_path):
    record = opened(tmp_path, constraints=())
    start(record, 0, 2.5, origin="baseline")
    train(record, 0, 0.9)
    end(record, 0, "completed")
    (row,) = front_table(record).to_dict("records")
    assert (row["trial"], row["accuracy_relative_change"]) == (0, 0.0)


def test_equal_networks_are_all_on_the_front(tmp_path):
    record = opened(tmp_path)
    for number in (0, 1):
        start(record, number, 1.0)
        train(record, number, 0.9)
        end(record, number, "completed")
    assert list(front_table(record)["trial"]) == [0, 1]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_trial_without_a_finite_objective_is_not_on_the_front(tmp_path, bad):
    record = example(tmp_path)
    start(record, 7, 0.1)
    train(record, 7, bad)
    end(record, 7, "completed")
    start(record, 8, 0.1)
    end(record, 8, "completed")  # without ever reporting
    assert list(front_table(record)["trial"]) == [1, 2]


@pytest.mark.parametrize("status", ["running", "failed"])
def test_an_untrained_baseline_is_compared_by_its_costs_alone(tmp_path, status):
    record = opened(tmp_path)
    start(record, 0, 2.0, origin="baseline")
    train(record, 0, 0.1)
    if status == "failed":
        end(record, 0, "failed", "killed")
    start(record, 1, 1.0)
    train(record, 1, 0.9)
    end(record, 1, "completed")
    (row,) = front_table(record).to_dict("records")
    assert row["latency_ms_relative_change"] == -0.5
    assert np.isnan(row["accuracy_relative_change"])
    assert baseline_row(record)["status"] == status


def test_the_funnel_counts_every_stage(tmp_path):
    assert funnel(example(tmp_path)) == Funnel(
        costed=160,
        unbuildable=5,
        feasible=80,
        scored=40,
        trained=7,
        completed=5,
        stopped_early=1,
        failed=1,
        running=0,
    )


def test_settings_come_back_as_objects(tmp_path):
    record = opened(tmp_path)
    assert objectives_of(record) == (Objective("accuracy", "max"), Objective("latency_ms", "min"))
    assert constraints_of(record) == (Constraint("latency_ms", upper=2.0),)


def test_a_record_without_objectives_is_refused(tmp_path):
    with pytest.raises(RecordError, match="must name at least one objective"):
        trials_table(Record.open(tmp_path, {"seed": 0}))


def test_tables_of_a_search_that_has_not_begun_are_empty_with_all_columns(tmp_path):
    record = opened(tmp_path)
    for table in (trials_table(record), front_table(record)):
        assert len(table) == 0
        assert {"trial", "accuracy", "latency_ms", "checkpoint", "config"} <= set(table.columns)
    assert baseline_row(record) is None
    assert funnel(record).trained == 0


# SearchResult


@pytest.mark.parametrize(
    ("metric", "bounds", "trial"),
    [
        ("accuracy", {}, 2),  # 6 and the baseline break the constraint, 4 was stopped
        ("accuracy", {"latency_ms": 1.2}, 1),
        ("accuracy", {"latency_ms": 1.5}, 2),  # a bound may be met exactly
        ("latency_ms", {}, 1),
        ("latency_ms", {"accuracy": 0.81}, 2),  # what is maximised is bounded from below
        ("peak_memory_bytes", {}, 1),
        ("test_accuracy", {}, 2),
        ("accuracy", {"test_accuracy": 0.5}, 2),
    ],
)
def test_best_is_the_best_completed_trial_within_the_bounds(tmp_path, metric, bounds, trial):
    row = SearchResult(example(tmp_path)).best(metric, **bounds)
    assert row["trial"] == trial
    assert row["config"] == {"block": "plain", "channels": 32}
    assert row["checkpoint"] == str(tmp_path / f"checkpoints/{trial}/2")


def test_best_prefers_the_front_among_equals(tmp_path):
    record = example(tmp_path)
    start(record, 7, 1.25)
    train(record, 7, 0.88)
    end(record, 7, "completed")
    assert SearchResult(record).best("accuracy")["trial"] == 7


def test_best_names_the_nearest_metric(tmp_path):
    result = SearchResult(example(tmp_path))
    for call in (
        lambda: result.best("acuracy"),
        lambda: result.best("latency_ms", acuracy=0.5),
    ):
        with pytest.raises(SearchError, match="'acuracy'; did you mean 'accuracy'"):
            call()


def test_best_names_the_nearest_trial_when_nothing_qualifies(tmp_path):
    with pytest.raises(SearchError, match=r"meets latency_ms <= 0.5: the nearest is trial 1 with"):
        SearchResult(example(tmp_path)).best("accuracy", latency_ms=0.5)


def test_best_says_how_far_the_trials_are_when_none_has_completed(tmp_path):
    record = opened(tmp_path)
    with pytest.raises(SearchError, match="none started"):
        SearchResult(record).best("accuracy")
    start(record, 0, 1.0)
    with pytest.raises(SearchError, match="1 running"):
        SearchResult(record).best("accuracy")


def test_a_result_shows_the_tables_of_its_record(tmp_path):
    record = example(tmp_path)
    result = SearchResult(record)
    assert list(result.front["trial"]) == [1, 2]
    assert len(result.trials) == 7
    assert result.baseline["config"] == BASELINE
