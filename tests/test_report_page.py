"""Page, terminal and plots show the numbers of the record and nothing they should not."""

import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from test_report_tables import (
    ACCURACY,
    LATENCY,
    MEMORY,
    end,
    example,
    opened,
    start,
    train,
)

from nas_ray.errors import RecordError
from nas_ray.record import Record
from nas_ray.report import (
    SearchResult,
    curves_plot,
    front_plot,
    pareto_table,
    status_line,
    write_page,
)
from nas_ray.report.units import percent, quantity


def page(record: Record) -> str:
    target = record.folder / "report.html"
    write_page(record, target)
    return target.read_text(encoding="utf-8")


def terminal(record: Record) -> str:
    screen = io.StringIO()
    Console(width=100, file=screen).print(pareto_table(record))
    return screen.getvalue()


class Tags(HTMLParser):
    """Which tags are open, so that a page whose tags do not match is found."""

    VOID = ("meta",)

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.add(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def begun(folder: Path) -> Record:
    record = opened(folder)
    start(record, 0, 2.5, origin="baseline")
    return record


def failed_baseline(folder: Path) -> Record:
    record = begun(folder)
    end(record, 0, "failed", "")
    return record


def front_of_one(folder: Path) -> Record:
    record = opened(folder)
    start(record, 0, 1.0)
    train(record, 0, 0.9)
    end(record, 0, "completed")
    return record


RECORDS = {
    "example": example,
    "not-begun": opened,
    "begun": begun,
    "failed-baseline": failed_baseline,
    "front-of-one-without-baseline": front_of_one,
    "one-objective": lambda f: example(f, objectives=(ACCURACY,)),
    "one-cost": lambda f: example(f, objectives=(LATENCY,)),
    "two-minimised": lambda f: example(f, objectives=(LATENCY, MEMORY)),
    "three-objectives": lambda f: example(f, objectives=(ACCURACY, LATENCY, MEMORY)),
    "dollars": lambda f: example(f, constraints=({"metric": "$a_b$", "upper": 1, "lower": None},)),
}


@pytest.mark.parametrize("make", RECORDS.values(), ids=RECORDS.keys())
def test_every_kind_of_record_has_a_page_that_needs_nothing_else(tmp_path, make):
    record = make(tmp_path)
    text = page(record)
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert tags.seen.isdisjoint({"script", "link", "iframe", "img", "object", "base"})
    assert re.findall(r"https?:|//www|@import|url\((?!#)", text) == []
    identifiers = re.findall(r'\bid="([^"]*)"', text)
    assert len(identifiers) == len(set(identifiers))
    assert len(terminal(record)) > 0


def test_the_page_says_what_was_searched_and_found(tmp_path):
    text = page(example(tmp_path))
    for expected in (
        "cells, 3 choices",
        "ethos-u85-2048",
        "are estimates for ethos-u85-2048, made from a table of compiler estimates",
        "accuracy (max), latency_ms (min)",
        "latency_ms &lt;= 2",
        "<td>candidates costed</td><td>160</td>",
        "<td>of these without a network: their build failed</td><td>5</td>",
        "<td>of these within the constraints</td><td>80</td>",
        "<td>trained (with the baseline)</td><td>7</td>",
        "<td>on the front</td><td>2</td>",
        "<td>baseline</td><td>0.9000</td>",
        "<td>1.000 (-60 %)</td><td>50.00 (-50 %)</td>",
        "<td>1.500 (-40 %)</td><td>75.00 (-25 %)</td>",
        "<td>0.8800 (-2.2 %)</td><td>0.8600</td>",
        str(tmp_path / "checkpoints/2/2"),
        f"--epochs 2 --seed 7 --constraint &#x27;latency_ms&lt;=2.0&#x27; --storage {tmp_path}",
    ):
        assert expected in text


def test_choices_of_the_front_are_shown_where_they_differ(tmp_path):
    text = page(example(tmp_path))
    assert "<td>block</td><td>ibn</td><td>plain</td><td>plain</td>" in text
    assert "<td>expansion</td><td>4</td><td>–</td><td>–</td>" in text
    assert "<td>channels</td><td>32</td>" not in text


def test_what_comes_from_outside_is_escaped(tmp_path):
    record = example(tmp_path)
    start(record, 7, 0.9, config={"<b>name</b>": "<img src=x>"})
    train(record, 7, 0.99)
    end(record, 7, "completed")
    text = page(record)
    assert "<script" not in text
    assert "<summary>trial 5: ValueError: &lt;script&gt;alert(1)&lt;/script&gt;</summary>" in text
    assert "<td>&lt;b&gt;name&lt;/b&gt;</td><td>–</td><td>&lt;img src=x&gt;</td>" in text


def test_names_from_outside_are_no_markup_in_the_terminal(tmp_path):
    header = {"objectives": ({"metric": "[red]x[/]", "direction": "min"},)}
    assert "[red]x[/]" in terminal(opened(tmp_path, **header))


def test_nothing_of_the_environment_is_on_the_page(tmp_path, monkeypatch):
    monkeypatch.setenv("API_TOKEN", "s3cr3t-t0ken")
    assert "s3cr3t-t0ken" not in page(example(tmp_path))


def test_the_page_is_replaced_whole(tmp_path):
    record = example(tmp_path / "run")
    target = tmp_path / "new" / "report.html"
    for _ in range(2):
        SearchResult(record).report(target)
        assert [path.name for path in target.parent.iterdir()] == ["report.html"]


def test_a_page_that_cannot_be_written_leaves_nothing_behind(tmp_path):
    record = example(tmp_path / "run")
    (tmp_path / "taken").mkdir()
    with pytest.raises(RecordError, match="taken cannot be written"):
        write_page(record, tmp_path / "taken")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "taken"]
    with pytest.raises(RecordError, match="cannot be written"):
        write_page(record, record.folder / "journal.jsonl" / "report.html")


def test_the_terminal_shows_the_front_below_the_baseline_in_100_columns(tmp_path):
    lines = [line.split() for line in terminal(example(tmp_path)).splitlines()]
    rows = [line for line in lines if line[:1] in (["baseline"], ["1"], ["2"])]
    assert rows == [
        ["baseline", "0.9000", "–", "2.500", "100.0"],
        ["1", "0.8000", "(-11", "%)", "–", "1.000", "(-60", "%)", "50.00", "(-50", "%)"],
        ["2", "0.8800", "(-2.2", "%)", "0.8600", "1.500", "(-40", "%)", "75.00", "(-25", "%)"],
    ]


def test_a_head_takes_more_lines_before_a_value_does(tmp_path):
    """Six columns: their values fit beside each other, with heads on one line they would not."""
    record = opened(tmp_path)
    values = ((0.0039024, 4096, 11080, 0.8942), (0.0093174, 8192, 59904, 0.9554))
    for number, (latency, memory, weights, accuracy) in enumerate(values):
        costs = {"latency_ms": latency, "peak_memory_bytes": memory, "weight_bytes": weights}
        start(record, number, latency, costs=costs, origin="evolution" if number else "baseline")
        train(record, number, accuracy)
        end(record, number, "completed")
        record.append({"event": "test", "trial": number, "metrics": {"accuracy": 0.8667}})
    text = terminal(record)
    assert "0.009317 (+139 %)" in text
    assert "58.50 (+441 %)" in text


def guessing(folder: Path, *shares: float, host_operators: int = 0) -> Record:
    """Networks with these shares of their latency outside the table, all on the front.

    So many operators of the last one run on the host.
    """
    record = opened(folder)
    for number, share in enumerate(shares):
        costs = {"latency_ms": 1.0 + number / 10, "outside_share": share}
        costs["host_operators"] = host_operators if number == len(shares) - 1 else 0
        start(record, number, 1.0, costs=costs)
        train(record, number, 0.5 + number / 10)
        end(record, number, "completed")
    return record


def test_the_share_outside_the_table_has_a_column_and_a_line_where_there_is_any(tmp_path):
    record = guessing(tmp_path, 0.0, 0.375)
    assert re.search(r"latency +outside", terminal(record))
    rows = [line.split() for line in terminal(record).splitlines()]
    assert ["0", "0.5000", "1.000", "0.000"] in rows
    assert ["1", "0.6000", "1.100", "37.50"] in rows
    text = page(record)
    assert "<td>1.100</td><td>37.50</td>" in text
    assert (
        "<p>latency in good part a guess: 1 of 2 trained networks, 1 of 2 on the front (more than "
        "10 % of it outside the table, or operators on the host processor).</p>"
    ) in text


def test_operators_on_the_host_have_a_column_where_there_are_any(tmp_path):
    record = guessing(tmp_path, 0.0, 0.0, host_operators=2)
    rows = [line.split() for line in terminal(record).splitlines()]
    assert ["0", "0.5000", "1.000", "0"] in rows
    assert ["1", "0.6000", "1.100", "2"] in rows
    assert "1 of 2 trained networks" in page(record)


@pytest.mark.parametrize("make", [example, lambda folder: guessing(folder, 0.0)])
def test_where_no_latency_is_a_guess_nothing_is_said_of_it(tmp_path, make):
    """The example is a record as it was written before shares were known."""
    record = make(tmp_path)
    assert "outside" not in terminal(record)
    assert "outside" not in page(record)


def test_a_failed_baseline_says_so_and_still_has_its_costs(tmp_path):
    text = terminal(failed_baseline(tmp_path))
    assert "baseline (failed)" in text
    assert "2.500" in text


def test_the_status_line_counts(tmp_path):
    assert status_line(example(tmp_path)) == (
        "7 trials: 5 completed, 1 stopped early, 1 failed, 0 running | "
        "80 of 160 candidates feasible | front: 2"
    )


def test_the_front_plot_shows_each_kind_of_trial_in_its_place(tmp_path):
    (axes,) = front_plot(example(tmp_path)).axes
    drawn = {c.get_label(): c.get_offsets().tolist() for c in axes.collections}
    assert drawn["front"] == [[1.0, 0.80], [1.5, 0.88]]
    assert drawn["front, test accuracy"] == [[1.5, 0.86]]
    assert drawn["completed"] == [[1.75, 0.85], [2.25, 0.99]]
    assert drawn["baseline"] == [[2.5, 0.90]]
    assert [label for label in drawn if label.startswith("stopped early")]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("latency (ms)", "accuracy")
    (forbidden,) = [p for p in axes.patches if p.get_label() == "breaks latency_ms <= 2"]
    assert forbidden.get_x() == 2.0


def test_bytes_are_drawn_in_the_unit_of_the_axis(tmp_path):
    (axes,) = front_plot(example(tmp_path, objectives=(MEMORY, ACCURACY))).axes
    drawn = {c.get_label(): c.get_offsets().tolist() for c in axes.collections}
    assert drawn["baseline"] == [[100.0, 0.90]]
    assert axes.get_xlabel() == "peak memory (KiB)"


def test_the_curves_are_those_of_the_trials_that_reported(tmp_path):
    (axes,) = curves_plot(example(tmp_path)).axes
    ends = {line.get_label(): line.get_ydata()[-1] for line in axes.lines}
    assert ends["baseline"] == 0.90
    assert ends["not completed"] == 0.95
    assert len(axes.lines) == 6


@pytest.mark.parametrize(
    ("metric", "label", "value", "text"),
    [
        ("latency_ms", "latency (ms)", 0.2, "0.2000"),
        ("latency_ms_upper", "latency upper (ms)", 12.345, "12.35"),
        ("peak_memory_bytes", "peak memory (KiB)", 2048.0, "2.000"),
        ("weight_bytes", "weight (KiB)", 1024 * 1234.5, "1,234"),
        ("macs", "MACs (M)", 2.5e6, "2.500"),
        ("outside_share", "outside (%)", 0.125, "12.50"),
        ("host_operators", "host operators", 3.0, "3"),
        ("val_accuracy", "val accuracy", 1.0, "1.000"),
        ("ms", "ms", np.nan, "–"),
    ],
)
def test_a_metric_is_read_by_its_name(metric, label, value, text):
    assert quantity(metric).label == label
    assert quantity(metric).text(value) == text


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (-0.43, "-43 %"),
        (0.0213, "+2.1 %"),
        (-0.00001, "+0.0 %"),
        (0.0994, "+9.9 %"),
        (0.0996, "+10 %"),
        (np.nan, "–"),
    ],
)
def test_changes_have_two_digits_and_never_a_negative_zero(change, text):
    assert percent(change) == text
