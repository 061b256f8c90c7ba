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

from nasbench201 import canonical, live_edges, network  # noqa: E402 - benchmarks are no package


def digits(text):
    return tuple(map(int, text))


@pytest.fixture(scope="module")
def rows():
    if not DATA.is_file():
        pytest.skip(f"no NAS-Bench-201 at {DATA}: set NAS_RAY_DATA to the folder of the data")
    with gzip.open(DATA, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def made(cell, *, pruned):
    with torch.device("meta"):
        model = network(cell, pruned=pruned).eval()
        return model, trace(model, torch.empty(1, 3, 32, 32))


def test_parameters_and_macs_are_the_published_ones(rows):
    for n in np.random.default_rng(0).choice(len(rows), 25, replace=False):
        model, graph = made(digits(rows[n]["ops"]), pruned=False)
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


@pytest.mark.parametrize("cell", ["300300", "033003", "124312"])
def test_what_is_pruned_changes_no_result(cell):
    torch.manual_seed(0)
    full, pruned = (network(digits(cell), pruned=p).eval() for p in (False, True))
    pruned.load_state_dict(full.state_dict(), strict=False)
    image = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(full(image), pruned(image))


def test_a_canonical_cell_is_pruned_to_the_same_network():
    cell = digits("033003")
    assert canonical(cell) == digits("030003")
    assert made(cell, pruned=True)[1] == made(canonical(cell), pruned=True)[1]
