"""The benchmark's networks against its published sizes, and what a dead edge is."""

import csv
import gzip
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from nas_ray.graph import trace

ROOT = Path(__file__).parents[1]
DATA = (ROOT / os.environ.get("NAS_RAY_DATA", "../shared/data")) / "nasbench201.csv.gz"
sys.path.insert(0, str(ROOT / "benchmarks"))

from nasbench201 import compiled, live_edges, network  # noqa: E402 - benchmarks are no package


def digits(text):
    return tuple(map(int, text))


@pytest.fixture(scope="module")
def rows():
    if not DATA.is_file():
        pytest.skip(f"no NAS-Bench-201 at {DATA}: set NAS_RAY_DATA to the folder of the data")
    with gzip.open(DATA, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def made(cell, *, as_compiled):
    with torch.device("meta"):
        model = network(cell, as_compiled=as_compiled).eval()
        return model, trace(model, torch.empty(1, 3, 32, 32))


def test_parameters_and_macs_are_the_published_ones(rows):
    for n in np.random.default_rng(0).choice(len(rows), 8, replace=False):
        model, graph = made(digits(rows[n]["ops"]), as_compiled=False)
        assert sum(p.numel() for p in model.parameters()) == int(rows[n]["params"]), rows[n]["ops"]
        assert graph.macs == int(rows[n]["macs"]), rows[n]["ops"]


def test_so_many_cells_lead_nowhere_as_the_data_say(rows):
    assert sum(not live_edges(digits(row["ops"])) for row in rows) == 341


@pytest.mark.parametrize(
    ("cell", "live"),
    [
        ("333333", (0, 1, 2, 3, 4, 5)),
        ("000300", (3,)),
        ("300300", (3,)),
        ("000330", (3,)),
        ("303003", (0, 2, 5)),
        ("033003", (1, 5)),
        ("300000", ()),
    ],
    ids=["all", "direct", "to-nowhere", "from-nowhere", "chain", "half-a-chain", "no-path"],
)
def test_an_edge_lives_on_a_path_from_the_first_node_to_the_last(cell, live):
    assert live_edges(digits(cell)) == live


@pytest.mark.parametrize(
    ("cell", "kept"),
    [
        ("333333", "333333"),
        ("333030", "300030"),
        ("330030", "330030"),
        ("340030", "300030"),
        ("330003", "330003"),
        ("300033", "300033"),
        ("033003", "033003"),
        ("303300", "303300"),
        ("313030", "300030"),
    ],
    ids=[
        *("all", "sum-times-0", "convolution-times-0", "pool-times-0", "lone-and-chain"),
        *("reads-zeros", "adds-zeros", "read-by-what-stays", "read-by-what-goes"),
    ],
)
def test_a_compiler_keeps_a_lone_convolution_times_0_and_what_reads_zeros(cell, kept):
    assert compiled(digits(cell)) == digits(kept)


@pytest.mark.parametrize("cell", ["333300", "033003", "124312", "343030", "300033"])
def test_what_a_compiler_removes_changes_no_result(cell):
    torch.manual_seed(0)
    full, left = (network(digits(cell), as_compiled=c).eval() for c in (False, True))
    left.load_state_dict(full.state_dict(), strict=False)
    image = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(full(image), left(image))


@pytest.mark.parametrize("cell", ["333030", "303300", "214403"])
def test_cells_that_a_compiler_makes_equal_are_one_network(cell):
    same = compiled(digits(cell))
    assert compiled(same) == same
    assert made(digits(cell), as_compiled=True)[1] == made(same, as_compiled=True)[1]
