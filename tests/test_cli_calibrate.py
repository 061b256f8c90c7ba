"""`nas-ray calibrate`: the device it writes, and one message for everything wrong in the file."""

import json
import textwrap

import numpy as np
import pytest
import torch

from nas_ray.cli import main
from nas_ray.device import load_device
from nas_ray.errors import DeviceError
from nas_ray.graph import parse_signature, signature, trace
from nas_ray.measure.network_table import MeasuredNetwork, networks_text, parse_networks
from search_spaces import classification

SPACE = "search_spaces.classification:space"
CONV = "1x16x8x8; conv 0 > 1x16x8x8 k=3x3 b=16 w=2304 m=147456"
WIDE = "1x32x8x8; conv 0 > 1x32x8x8 k=3x3 b=32 w=9216 m=589824"


@pytest.fixture
def calibrate(tmp_path, small_device_folder, capsys):
    """Writes a file of measurements, runs the command, and gives code, output and error."""

    def run(text, *more):
        (tmp_path / "measured.csv").write_text(textwrap.dedent(text), encoding="utf-8")
        file, to = str(tmp_path / "measured.csv"), str(tmp_path / "mine")
        code = main(["calibrate", str(small_device_folder), file, "--to", to, *more])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def graphs(count):
    space, rng = classification.space(), np.random.default_rng(0)
    with torch.device("meta"):
        configs = [space.sample(rng) for _ in range(count)]
        return [trace(space.build(c), space.example_input(c)) for c in configs]


def measured_text(networks, latencies_ms):
    rows = zip(networks, latencies_ms, strict=True)
    lines = (f'"{signature(graph)}",{latency_ms!r}' for graph, latency_ms in rows)
    return "\n".join(["network,latency_ms", *lines, ""])


def test_a_device_three_times_slower_is_written_and_loaded_as_such(
    calibrate, tmp_path, small_device
):
    networks = graphs(6)
    estimates = [small_device.estimate_graph(graph).latency_ms for graph in networks]
    text = measured_text(networks[:5], [3 * ms for ms in estimates[:5]])
    code, out, _ = calibrate(text, "--json")
    said = json.loads(out.splitlines()[-1])
    assert (code, said["networks"], said["level"]) == (0, 5, "scaled")
    assert said["before"]["mape"] == pytest.approx(2 / 3)
    assert said["after"]["mape"] == pytest.approx(0, abs=1e-9)
    cost = load_device(tmp_path / "mine").estimate_graph(networks[5])
    assert cost.latency_ms == pytest.approx(3 * estimates[5])
    assert sum(row.latency_ms for row in cost.subgraphs) == pytest.approx(cost.latency_ms)


def test_the_bound_and_what_the_numbers_are_come_from_the_measurements(
    calibrate, tmp_path, small_device
):
    networks = graphs(5)
    noisy = [
        small_device.estimate_graph(graph).latency_ms * factor
        for graph, factor in zip(networks, (2.0, 2.2, 1.8, 2.1, 1.9), strict=True)
    ]
    assert calibrate(measured_text(networks, noisy))[0] == 0
    device = load_device(tmp_path / "mine")
    cost = device.estimate_graph(networks[0])
    assert cost.latency_ms_upper == cost.latency_ms * device.correction.upper_factor
    assert device.hardware.numbers == "compiler estimates, corrected by 5 measured networks"


def test_a_module_and_a_signature_of_it_are_the_same_network(calibrate, small_device):
    space = classification.space()
    with torch.device("meta"):
        graph = trace(space.build(space.baseline), space.example_input(space.baseline))
    text = f'network,latency_ms\n{SPACE},2.0\n"{signature(graph)}",9.0\n'
    code, _, err = calibrate(text)
    assert code == 1
    assert "line 3: 9 ms contradicts line 2, which says 2 ms" in err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: the columns must be network and latency_ms, and input"),
        (f"network\n{SPACE}\n", "line 1: the columns must be network and latency_ms"),
        (f"network,latency_us\n{SPACE},3\n", "line 1: latencies must be in a column latency_ms"),
        (f"network,latency_ms,when\n{SPACE},3,4\n", "line 1: the columns must be network and"),
        (f"network,latency_ms\n{SPACE},nan\n", "line 2: latency_ms must be a number of milli"),
        (f"network,latency_ms\n{SPACE},-1\n", "line 2: latency_ms must be a number of milli"),
        (f"network,latency_ms\n{SPACE},0\n", "line 2: latency_ms must be a number of milli"),
        (f"network,latency_ms\n{SPACE},inf\n", "line 2: latency_ms must be a number of milli"),
        (f"network,latency_ms\n\n{SPACE},fast\n", "line 3: latency_ms must be a number of milli"),
        (f"network,latency_ms\n{SPACE}\n", "line 2: 1 fields, but the header has 2"),
        ("network,latency_ms\nnowhere:Net,3\n", "line 2: there is no task or module 'nowhere'"),
        ("network,latency_ms\nNet,3\n", "line 2: a network is named MODULE:NAME"),
        ("network,latency_ms\ntorch.nn:ReLU,3\n", "line 2: torch.nn:ReLU needs the shape"),
        ("network,latency_ms\n1x3x8x8; what,3\n", "line 2: not a subgraph signature"),
        (f"network,latency_ms\n{CONV},3\n", "at least 2 different measured networks, but got 1"),
        (f"network,latency_ms\n{CONV},3\n{CONV},3.1\n", "2 different measured networks, but got 1"),
        (f"network,latency_ms\n{CONV},3\n{WIDE},9\n{CONV},4\n", "line 4: 4 ms contradicts line 2"),
    ],
)
def test_what_is_wrong_in_the_file_is_said_with_its_line(calibrate, tmp_path, text, message):
    code, _, err = calibrate(text)
    assert (code, err.count("nas-ray: ")) == (1, 1)
    assert message in err
    assert not (tmp_path / "mine").exists()


def test_a_file_that_is_not_there_and_one_that_is_no_text_are_refused(calibrate, tmp_path, capsys):
    words = ["--to", str(tmp_path / "mine")]
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    for name in ("missing.csv", "binary.csv"):
        assert main(["calibrate", "ethos-u85-2048", str(tmp_path / name), *words]) == 1
        assert f"{name}: cannot be read" in capsys.readouterr().err


def test_a_folder_that_holds_something_is_left_alone(calibrate, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "device.toml").write_text("mine")
    code, _, err = calibrate(f"network,latency_ms\n{CONV},3\n{WIDE},9\n")
    assert code == 1
    assert "there is something already. Name a new folder." in err
    assert (tmp_path / "mine" / "device.toml").read_text() == "mine"


def test_measured_networks_are_read_back_as_they_were_written(tmp_path):
    networks = [
        MeasuredNetwork(signature=CONV, latency_ms=1 / 3, line=2),
        MeasuredNetwork(signature=WIDE, latency_ms=2e-5, line=3),
    ]
    assert parse_networks(networks_text(networks), tmp_path) == tuple(networks)


def test_repeated_measurements_count_as_their_mean(tmp_path):
    text = f"signature,latency_ms\n{CONV},3.0\n{WIDE},9\n{CONV},3.2\n"
    assert [n.latency_ms for n in parse_networks(text, tmp_path)] == [pytest.approx(3.1), 9]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("network,latency_ms\n", "line 1: the columns must be signature,latency_ms"),
        (f"signature,latency_ms\n{CONV}\n", "line 2: a row has 2 fields, but got 1"),
        ("signature,latency_ms\n1x3x8x8; what,3\n", "line 2: not a subgraph signature"),
    ],
)
def test_a_damaged_networks_file_of_a_device_is_refused(tmp_path, text, message):
    with pytest.raises(DeviceError, match=message):
        parse_networks(text, tmp_path / "networks.csv")


def test_a_network_read_from_its_signature_has_the_same_subgraphs(small_device):
    for graph in graphs(5):
        again = small_device.estimate_graph(parse_signature(signature(graph)))
        cost = small_device.estimate_graph(graph)
        assert [row.signature for row in again.subgraphs] == [r.signature for r in cost.subgraphs]


def test_measurements_that_tell_nothing_are_told_to_be_of_no_use(calibrate):
    """The same network at three sizes, the largest a million times faster than the others."""
    sides = {8: 500.0, 16: 900.0, 32: 0.0001}
    lines = [
        f'"1x16x{n}x{n}; conv 0 > 1x16x{n}x{n} k=3x3 b=16 w=2304 m={2304 * n * n}",{ms}'
        for n, ms in sides.items()
    ]
    code, out, _ = calibrate("network,latency_ms\n" + "\n".join(lines) + "\n")
    assert code == 0
    assert "do not agree with each other" in out
