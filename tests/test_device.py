"""Devices: how they are found, and what holds for the estimates of every one that is shipped."""

import copy
import io
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from nas_ray.device import FITTED, device_folder, list_devices, load_device
from nas_ray.errors import DeviceError, NasRayError
from nas_ray.estimate.fitted import packed, unpacked
from nas_ray.estimate.operator_table import operator_table
from nas_ray.graph import UnknownOperatorWarning, parse_signature, signature, subgraphs, trace
from nas_ray.measure.sampling import sample_subgraphs
from nas_ray.measure.table import Row, append_rows, pack, read_table, table_path
from search_spaces import classification

SHIPPED = "ethos-u85-2048"
COLUMNS = [
    *("latency_ms", "latency_ms_upper", "peak_memory_bytes", "weight_bytes", "macs"),
    *("outside_share", "host_operators"),
]


@pytest.fixture(params=list_devices())
def device(request):
    return load_device(request.param)


@pytest.fixture(scope="module")
def own_folder(tmp_path_factory):
    """A person's own device: 80 subgraphs at a million MACs in a millisecond, and 0.01 ms each.

    It is fitted once, by the first test that loads it.
    """
    folder = tmp_path_factory.mktemp("own") / "my_board"
    folder.mkdir()
    text = (device_folder(SHIPPED) / "device.toml").read_text(encoding="utf-8")
    (folder / "device.toml").write_text(text.replace(f'"{SHIPPED}"', '"mine"', 1), "utf-8")
    graphs = sample_subgraphs(80, np.random.default_rng(0))
    rows = (_own_row(signature(graph), graph.macs, _shares(graph)) for graph in graphs)
    list(append_rows(folder / "measurements.csv", rows))
    pack(folder)
    return folder


def _shares(graph):
    """Of the operators, by their MACs; 0.01 ms are those of the first."""
    first, *others = [operator.macs / 1e6 for operator in graph.operators]
    return (0.01 + first, *others)


def _own_row(text, macs, operators_ms=()):
    return Row(
        signature=text,
        latency_ms=0.01 + macs / 1e6,
        peak_memory_bytes=1,
        weight_bytes=1,
        macs=macs,
        operators_ms=operators_ms,
    )


def sampled(count, seed=0):
    space, rng = classification.space(), np.random.default_rng(seed)
    return space, [space.sample(rng) for _ in range(count)]


class Speech(nn.Module):
    """Separable convolutions over time: kinds of subgraphs that images do not have."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(20, 32, 5, padding=2), nn.ReLU(), nn.Conv1d(32, 32, 3, groups=32)
        )
        self.last = nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.body(x).mean(dim=2))


def network(seed):
    space, (config,) = sampled(1, seed)
    return space.build(config), space.example_input(config)


NETWORKS = {
    "sampled_0": lambda: network(0),
    "sampled_1": lambda: network(1),
    "sampled_2": lambda: network(2),
    "one_layer": lambda: (nn.Conv2d(3, 7, 3), torch.zeros(1, 3, 33, 20)),
    "signal": lambda: (Speech(), torch.zeros(1, 20, 60)),
    "no_arithmetic": lambda: (nn.MaxPool2d(2), torch.zeros(1, 16, 8, 8)),
}


def forgetful(device):
    """The device without what it remembers, so that the next estimate is computed."""
    device._estimator.known.clear()
    return device


@pytest.mark.parametrize("name", NETWORKS)
def test_an_estimate_is_finite_and_its_upper_end_not_below_it(device, name):
    cost = device.estimate(*NETWORKS[name]())
    assert np.isfinite([cost.latency_ms, cost.latency_ms_upper]).all()
    assert 0 < cost.latency_ms <= cost.latency_ms_upper
    assert cost.peak_memory_bytes > 0
    assert all(0 < row.latency_ms < np.inf for row in cost.subgraphs)


@pytest.mark.parametrize("name", NETWORKS)
def test_an_estimate_is_repeatable(device, name):
    first = device.estimate(*NETWORKS[name]())
    assert device.estimate(*NETWORKS[name]()) == first
    again = forgetful(device).estimate(*NETWORKS[name]())
    assert again == first


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_the_sum_of_its_subgraphs(device, name):
    model, x = NETWORKS[name]()
    cost = device.estimate(model, x)
    assert cost.latency_ms == pytest.approx(sum(row.latency_ms for row in cost.subgraphs))
    assert cost.macs == sum(row.macs for row in cost.subgraphs)
    assert cost.weight_bytes == sum(row.weight_bytes for row in cost.subgraphs)
    assert cost.peak_memory_bytes >= max(row.peak_memory_bytes for row in cost.subgraphs)
    outside_ms = sum(row.latency_ms for row in cost.subgraphs if row.outside)
    assert cost.outside_share == pytest.approx(outside_ms / cost.latency_ms)
    assert cost.is_calibrated == (cost.outside_share <= 0.5)
    expected = [signature(part) for part in subgraphs(trace(model, x))]
    assert [row.signature for row in cost.subgraphs] == expected
    for row in cost.subgraphs:
        part = parse_signature(row.signature)
        assert row.shape_in == part.shape(part.inputs[0])
        assert row.shape_out == part.shape(part.outputs[0])


def test_a_network_of_one_subgraph_has_the_margin_of_that(device):
    """What networks of several get wrong by adding up is none of its business."""
    (graph,) = subgraphs(trace(*NETWORKS["one_layer"]()))
    (latency,) = device._estimator.latencies({signature(graph): graph}).values()
    cost = device.estimate_graph(graph)
    assert cost.latency_ms == latency.latency_ms
    assert cost.latency_ms_upper == pytest.approx(latency.latency_ms + latency.margin_ms, rel=1e-12)


def test_many_configs_cost_what_each_costs_alone(device):
    space, configs = sampled(12)
    table = forgetful(device).estimate_configs(space, configs)
    assert list(table.columns) == COLUMNS
    forgetful(device)
    for row, config in zip(table.itertuples(), configs, strict=True):
        cost = device.estimate(space.build(config), space.example_input(config))
        assert list(row)[1:] == [getattr(cost, column) for column in COLUMNS]


def test_no_configs_are_an_empty_table(device):
    table = device.estimate_configs(*sampled(0))
    assert table.shape == (0, len(COLUMNS))


def test_an_estimate_leaves_the_model_and_the_random_state_as_they_were(device):
    model, x = network(3)
    model.train()
    model.features[0][0].eval()  # a mixed mode must come back mixed
    model(torch.randn(2, *x.shape[1:])).sum().backward()
    before = copy.deepcopy(model.state_dict())
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    modes = [module.training for module in model.modules()]
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    device.estimate(model, x)
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    pairs = zip(gradients, model.parameters(), strict=True)
    assert all(torch.equal(gradient, parameter.grad) for gradient, parameter in pairs)
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    assert (np.random.get_state()[1] == numpy_state).all()  # noqa: NPY002


def test_a_device_travels_small_and_arrives_whole(device):
    """A megabyte: it is sent along with every trial."""
    data = pickle.dumps(device)
    assert len(data) < 1_000_000
    arrived = pickle.loads(data)  # noqa: S301 - our own bytes
    assert arrived == device
    assert arrived.estimate(*network(4)) == device.estimate(*network(4))


def test_it_is_named_like_its_folder_and_says_what_its_numbers_are(device):
    assert device.name in list_devices()
    assert device.hardware.numbers in {"compiler estimates", "model estimates", "measurements"}


def test_the_shipped_devices_are_listed_in_order():
    assert SHIPPED in list_devices()
    assert list_devices() == sorted(list_devices())


def test_an_unknown_name_is_refused_with_the_nearest_and_all():
    with pytest.raises(DeviceError, match=f"did you mean '{SHIPPED}'.* Known: .*{SHIPPED}"):
        load_device("ethos-u85-2084")


def test_a_folder_is_a_device_too(own_folder):
    device = load_device(own_folder)
    assert (device.name, device) == ("mine", load_device(str(own_folder)))


def test_a_folder_without_a_table_says_how_to_make_one(own_folder, tmp_path):
    shutil.copy(own_folder / "device.toml", tmp_path)
    with pytest.raises(DeviceError, match=r"no measurements.csv.gz. Make it with `nas-ray profile"):
        load_device(tmp_path)


@pytest.mark.parametrize("rows", [0, 29])
def test_a_table_too_small_is_refused(own_folder, tmp_path, rows):
    shutil.copy(own_folder / "device.toml", tmp_path)
    table = read_table(table_path(own_folder))[:rows]
    list(append_rows(tmp_path / "measurements.csv", table))
    with pytest.raises(DeviceError, match=f"at least 30 .* has {rows}"):
        load_device(tmp_path)


def test_a_signature_that_cannot_be_read_is_refused_with_its_text(own_folder, tmp_path):
    shutil.copy(own_folder / "device.toml", tmp_path)
    table = [*read_table(table_path(own_folder)), _own_row("1x3x8x8; conv", 10)]
    list(append_rows(tmp_path / "measurements.csv", table))
    with pytest.raises(NasRayError, match="'1x3x8x8; conv'"):
        load_device(tmp_path)


def test_what_is_unlike_the_table_is_named_in_a_warning_and_bounded_wider(own_folder):
    """A kernel of 31 is nowhere in a table of 3, 5 and 7."""
    device = load_device(own_folder)
    cost = device.estimate(nn.Sequential(nn.Conv2d(16, 16, 31)), torch.zeros(1, 16, 64, 64))
    assert [row.outside for row in cost.subgraphs] == [True]
    (warning,) = cost.warnings
    assert "is in 1 subgraph that the table has too little like, '0' (conv): a guess" in warning
    assert (cost.outside_share, cost.is_calibrated) == (1.0, False)
    table = operator_table([parse_signature(row.signature) for row in cost.subgraphs])
    inside = device._estimator.calibration.margin_ms(
        table, np.array([cost.latency_ms]), np.array([False])
    )
    assert cost.latency_ms_upper - cost.latency_ms == pytest.approx(3 * inside[0])


def test_what_the_compiler_leaves_to_the_host_is_counted_and_named_with_the_reason(own_folder):
    device = load_device(own_folder)
    model = nn.Sequential(nn.Conv2d(8, 8, 3), nn.Upsample(scale_factor=3, mode="bilinear"))
    cost = device.estimate(model, torch.zeros(1, 8, 16, 16))
    assert (cost.host_operators, cost.subgraphs[-1].host_operators) == (1, ("resize_1",))
    assert cost.subgraphs[-1].outside
    assert (
        "1 operator runs on the host processor, for a time that is a guess: 'resize_1' (resize: "
        "bilinear resizing needs a power of two as its factor on each axis)"
    ) in cost.warnings
    without = replace(device, hardware=replace(device.hardware, host=()))
    plain = without.estimate(model, torch.zeros(1, 8, 16, 16))
    assert (plain.host_operators, plain.latency_ms) == (0, cost.latency_ms)


@pytest.fixture
def fitted_folder(own_folder, tmp_path):
    """A copy of the own device, with its regression beside its table."""
    load_device(own_folder)
    return Path(shutil.copytree(own_folder, tmp_path / "copy"))


def _marked(data, hardware):
    """The fit in `data`, but for an accuracy that no fit gives."""
    key = str(np.load(io.BytesIO(data))["key"]).partition(" ")[2]
    fit = unpacked(data, key, hardware)
    return packed(replace(fit, accuracy=replace(fit.accuracy, subgraphs=12345)), key)


def test_a_regression_is_kept_beside_its_table_and_used(fitted_folder):
    kept = fitted_folder / FITTED
    device = load_device(fitted_folder)
    assert device.packed_fit == kept.read_bytes()
    kept.write_bytes(_marked(device.packed_fit, device.hardware))
    assert load_device(fitted_folder).accuracy.subgraphs == 12345


def _less_of_a_table(folder):
    rows = read_table(table_path(folder))[:-1]
    table_path(folder).unlink()
    list(append_rows(folder / "measurements.csv", rows))


def _wider_accelerator(folder):
    profile, factor = folder / "device.toml", re.compile(r"(?m)^parallelism_factor = (\d+)")
    text, count = factor.subn(r"parallelism_factor = \g<1>0", profile.read_text("utf-8"))
    assert count == 1
    profile.write_text(text, "utf-8")


@pytest.mark.parametrize(
    ("change", "subgraphs"),
    [(_less_of_a_table, 79), (_wider_accelerator, 80)],
    ids=["a_row_fewer", "another_parallelism_factor"],
)
def test_a_regression_on_another_table_or_profile_is_made_anew(fitted_folder, change, subgraphs):
    kept = fitted_folder / FITTED
    before = load_device(fitted_folder)
    kept.write_bytes(_marked(before.packed_fit, before.hardware))
    change(fitted_folder)
    device = load_device(fitted_folder)
    assert device.accuracy.subgraphs == subgraphs
    assert device.packed_fit == kept.read_bytes() != before.packed_fit


def test_a_damaged_regression_is_replaced_by_the_same_as_before(fitted_folder):
    kept = fitted_folder / FITTED
    whole = kept.read_bytes()
    kept.write_bytes(whole[: len(whole) // 2])
    assert load_device(fitted_folder).packed_fit == whole
    assert kept.read_bytes() == whole
    assert {path.name for path in fitted_folder.iterdir()} == {
        "device.toml",
        "measurements.csv.gz",
        FITTED,
    }


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_loaded_all_the_same(fitted_folder):
    kept = fitted_folder / FITTED
    whole = kept.read_bytes()
    kept.unlink()
    fitted_folder.chmod(0o500)
    try:
        assert load_device(fitted_folder).packed_fit == whole
        assert not kept.exists()
    finally:
        fitted_folder.chmod(0o700)


def test_an_operator_that_is_not_known_is_named_in_a_warning(own_folder):
    class Odd(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cumsum(x, dim=1)

    with pytest.warns(UnknownOperatorWarning, match=r"aten\.cumsum"):
        cost = load_device(own_folder).estimate(Odd(), torch.zeros(1, 4, 8, 8))
    assert "operator aten.cumsum is not known: only the traffic counts" in cost.warnings


_ELSEWHERE = """
import json, sys
sys.modules["ethosu"] = sys.modules["flatbuffers"] = None  # importing them fails
import torch
from nas_ray import load_device
torch.set_num_threads(1)
cost = load_device(sys.argv[1]).estimate(torch.nn.Conv2d(8, 24, 3), torch.zeros(1, 8, 30, 30))
loaded = [name for name in ("ray", "pytorch_lightning", "optuna") if name in sys.modules]
print(json.dumps([cost.latency_ms, cost.latency_ms_upper, loaded]))
"""


def test_another_process_without_the_compiler_estimates_the_same(own_folder):
    """Nor does an estimate load Ray, Lightning or Optuna: it is made in every worker."""
    done = subprocess.run(
        [sys.executable, "-c", _ELSEWHERE, str(own_folder)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
    )
    cost = load_device(own_folder).estimate(nn.Conv2d(8, 24, 3), torch.zeros(1, 8, 30, 30))
    assert json.loads(done.stdout) == [cost.latency_ms, cost.latency_ms_upper, []]
