"""Scores that are kept: a run that is stopped goes on, and what is written can be read."""

import csv
import gzip
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from scoring.comparison import compared
from scoring.kept import scored, write
from scoring.tables import Benchmark

from nas_ray.zero_shot import DEFAULT_SCORES


def build(widths):
    """A network of one hidden layer; none is left of width 0."""
    (width,) = widths
    if width == 0:
        return nn.Sequential(nn.Flatten(), nn.Linear(3072, 2), Cut())
    return nn.Sequential(nn.Flatten(), nn.Linear(3072, width), nn.ReLU(), nn.Linear(width, 2))


class Cut(nn.Module):
    def forward(self, x):
        return x * 0.0


@pytest.fixture
def benchmark():
    return Benchmark(
        name="Widths",
        column="width",
        networks=["0", "1", "2", "3", "4"],
        classes=["0", "1", "2", "3", "3"],
        accuracies={"made up": np.arange(5.0)},
        params=np.arange(5.0),
        flops=np.ones(5),
        build=build,
    )


def test_what_is_kept_is_not_computed_again_and_what_is_missing_is_added(tmp_path, benchmark):
    first = scored(benchmark, ["1", "2"], ["depth"], 0, tmp_path)
    (path,) = tmp_path.iterdir()
    before = path.read_text()
    assert scored(benchmark, ["1", "2"], ["depth"], 0, tmp_path) == first
    assert path.read_text() == before
    both = scored(benchmark, ["2", "3"], ["depth", "swap"], 0, tmp_path)
    assert path.read_text().startswith(before)
    assert both["2"]["depth"] == first["2"]["depth"] == 2
    assert scored(benchmark, ["2", "3"], ["swap"], 0, tmp_path).keys() == {"2", "3"}


def test_a_row_that_was_cut_off_is_computed_again(tmp_path, benchmark):
    scored(benchmark, ["1", "2"], ["depth", "swap"], 0, tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_text("\n".join(path.read_text().splitlines()[:2]) + "\n")
    again = scored(benchmark, ["1", "2"], ["depth", "swap"], 0, tmp_path)
    assert again["2"].keys() == {"depth", "swap"}


def test_another_initialisation_is_another_file_and_the_global_rng_is_left_alone(
    tmp_path, benchmark
):
    state = torch.random.get_rng_state()
    first, other = (
        scored(benchmark, ["3"], ["trainability"], seed, tmp_path)["3"] for seed in (0, 1)
    )
    assert first != other
    assert len(list(tmp_path.iterdir())) == 2
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_score_that_cannot_be_computed_is_nan_and_an_empty_field(tmp_path, benchmark):
    scores = scored(benchmark, benchmark.classes, ["depth", "swap"], 0, tmp_path / "kept")
    assert math.isnan(scores["0"]["depth"])
    write(benchmark, scores, ["depth"], tmp_path / "scores" / "widths.csv.gz")
    with gzip.open(tmp_path / "scores" / "widths.csv.gz", "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["width"] for row in rows] == list(benchmark.networks)
    assert [row["depth"] for row in rows] == ["", "2", "2", "2", "2"]


def test_every_score_and_ensemble_is_compared_by_the_same_figures(tmp_path, benchmark):
    kept = [scored(benchmark, benchmark.classes, DEFAULT_SCORES, s, tmp_path) for s in (0, 1)]
    rows = compared(benchmark, np.arange(5), kept)["made up"]
    assert {"params", "FLOPs", "default ensemble", *DEFAULT_SCORES} <= rows.keys()
    assert rows["params"]["tau"] == pytest.approx(1)
    # None < 1 < 2 < 3 = 3: nine of ten pairs in order, one tied.
    assert rows["effective_macs"]["tau"] == pytest.approx(9 / math.sqrt(9 * 10))
    assert rows["effective_macs"]["tau_spread"] == 0
