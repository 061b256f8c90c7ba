"""The benchmark's networks against its published sizes, and which of them are the same."""

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
DATA = (ROOT / os.environ.get("NAS_RAY_DATA", "../shared/data")) / "nasbench_macro.csv.gz"
sys.path.insert(0, str(ROOT / "benchmarks"))

from nasbench_macro import canonical, network  # noqa: E402 - benchmarks are no package


def digits(text):
    return tuple(map(int, text.zfill(8)))


@pytest.fixture(scope="module")
def rows():
    if not DATA.is_file():
        pytest.skip(f"no NAS-Bench-Macro at {DATA}: set NAS_RAY_DATA to the folder of the data")
    with gzip.open(DATA, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_parameters_and_flops_are_the_published_ones(rows):
    chosen = np.random.default_rng(0).choice(len(rows), 8, replace=False)
    for row in [rows[0], rows[-1], *(rows[n] for n in chosen)]:
        with torch.device("meta"):
            model = network(digits(row["arch"])).eval()
            graph = trace(model, torch.empty(1, 3, 32, 32))
        assert sum(p.numel() for p in model.parameters()) == int(row["params"]), row["arch"]
        assert graph.macs == int(row["flops"]), row["arch"]


def test_the_canonical_networks_are_the_published_ones(rows):
    for row in rows:
        assert canonical(digits(row["arch"])) == digits(row["canonical"]), row["arch"]


@pytest.mark.parametrize(
    ("layers", "same"),
    [
        ("01102021", "01120021"),
        ("00100200", "00100200"),
        ("12012102", "12012120"),
    ],
    ids=["inside_a_stage", "never_over_a_border", "twice"],
)
def test_identities_move_to_the_end_of_their_stage(layers, same):
    assert canonical(digits(layers)) == digits(same)


def test_networks_of_one_canonical_form_compute_the_same():
    layers = digits("21102012")
    same = canonical(layers)
    assert same != layers
    torch.manual_seed(0)
    first = network(layers).eval()
    second = network(same).eval()
    # The layers with weights are in the same order in both.
    second.load_state_dict(dict(zip(second.state_dict(), first.state_dict().values(), strict=True)))
    image = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(first(image), second(image))


def test_a_residual_block_of_zeros_is_the_identity():
    model, plain = network(digits("01000000")).eval(), network(digits("00000000")).eval()
    torch.nn.init.zeros_(model[5].layers[-1].weight)
    image = torch.randn(2, 32, 16, 16)
    assert torch.equal(
        model[5](image[:, :1].expand(2, 64, 16, 16)), image[:, :1].expand(2, 64, 16, 16)
    )
    assert len(model) == len(plain) + 1
