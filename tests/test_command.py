"""Back-ends that a person brings: a command, and a Python function; what goes wrong is told."""

import os
import sys
import textwrap
import time

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("onnx", reason="the extra onnx is not installed")

from nas_ray.errors import DeviceError, MeasureError
from nas_ray.graph import trace
from nas_ray.measure.backends import backend_of, measure_network

#: A tool as people have them: it reads the model and prints what it found.
TOOL = """
import sys
import onnx
action, path = sys.argv[1:]
nodes = len(onnx.load(path).graph.node)
print("reading", path, file=sys.stderr)
if action == "fail":
    print("no board", "is connected", file=sys.stderr)
    sys.exit(3)
print("warm-up 99.0 ms")
print(action.replace("NODES", str(nodes)))
"""


@pytest.fixture(scope="module")
def graph():
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Flatten(), nn.Linear(8 * 36, 5))
    return trace(network, torch.zeros(1, 3, 6, 6))


@pytest.fixture(scope="module")
def tool(tmp_path_factory):
    path = tmp_path_factory.mktemp("tool") / "tool.py"
    path.write_text(TOOL, encoding="utf-8")
    return path


def measure(graph, settings):
    return backend_of(settings)(graph, settings)


def command(tool, action, **changes):
    words = [sys.executable, str(tool), action, "{model}"]
    return {"backend": "command", "command": words, "format": "onnx"} | changes


def test_the_last_number_of_the_last_line_is_the_latency(graph, tool):
    found = measure(graph, command(tool, "NODES operators, latency: 1.25e-1 ms\n\n"))
    assert found.latency_ms == 0.125
    assert found.macs == 36 * 8 * 27 + 8 * 36 * 5
    assert found.weight_bytes == 4 * graph.weight_elements + 4 * (8 + 5)
    assert found.peak_memory_bytes == 4 * (3 + 8) * 36


def test_the_command_is_given_the_model(graph, tool):
    """Three nodes: convolution, reshape and product."""
    assert measure(graph, command(tool, "NODES")).latency_ms == 3.0


@pytest.mark.parametrize(
    ("printed", "rule"),
    [
        ("done", "must end in a latency in ms, but it printed 'done'"),
        ("", "must end in a latency"),
        ("took 1,234.5 ms", "must end in a latency"),
        ("version 1.2.3", "must end in a latency"),
        ("latency 150 us", "must print milliseconds, but it printed 'latency 150 us'"),
        ("0.15 s", "must print milliseconds"),
        ("latency 3 ms +- nan", "finite and above 0, but .* gave nan"),
        ("-1.5", r"finite and above 0, but .* gave -1\.5"),
        ("0.0 ms", r"finite and above 0, but .* gave 0\.0"),
        ("inf", "finite and above 0"),
    ],
    ids=[
        *("words", "nothing", "thousands", "version", "microseconds", "seconds", "nan"),
        *("negative", "zero", "infinite"),
    ],
)
def test_what_is_no_latency_is_refused_with_what_was_printed(graph, tmp_path, printed, rule):
    path = tmp_path / "printing.py"
    path.write_text("import sys\nprint(sys.argv[1])\n", encoding="utf-8")
    with pytest.raises(MeasureError, match=rule):
        measure(graph, command(path, printed))


def test_a_command_that_fails_is_refused_with_the_end_of_its_complaints(graph, tool):
    with pytest.raises(MeasureError, match=r"ended with exit code 3: 'reading .* no board is conn"):
        measure(graph, command(tool, "fail"))


def test_a_command_that_hangs_is_ended_with_what_it_started(graph, tmp_path):
    log, path = tmp_path / "pids", tmp_path / "hanging.sh"
    path.write_text(f"sleep 3600 &\necho $$ $! > {log}\nwait\n", encoding="utf-8")
    settings = {"command": ["sh", str(path), "{model}"], "timeout_s": 3}
    begun = time.monotonic()
    with pytest.raises(MeasureError, match=r"sh did not end within 3 s: nothing"):
        measure(graph, command(path, "") | settings)
    assert time.monotonic() - begun < 60
    for pid in log.read_text(encoding="utf-8").split():
        assert ends(int(pid))


def ends(pid):
    """A killed process is gone a moment later, not at once: nobody waits for a grandchild."""
    limit = time.monotonic() + 20
    while is_running(pid) and time.monotonic() < limit:
        time.sleep(0.05)
    return not is_running(pid)


def is_running(pid):
    """A process that nobody has asked about yet is a zombie: it does not run."""
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:  # noqa: PTH123 - a kernel file
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"command": "tool --model {model}"}, "command must be a list of words"),
        ({"command": []}, "command must be a list of words"),
        ({"command": [sys.executable, "-V"]}, r"no word with \{model\}"),
        ({"command": ["no_such_tool", "{model}"]}, "no program 'no_such_tool'"),
        ({"format": "onxx"}, "got 'onxx': did you mean 'onnx'"),
        ({"format": None}, "format is what the model is written in"),
        ({"backend": "comand"}, "did you mean 'command'.*'module:function'"),
        ({"backend": "no_module:latency"}, "'no_module' cannot be imported from .* No module"),
        ({"backend": "textwrap:latency"}, "textwrap has no function 'latency'"),
        ({"backend": "textwrap:_whitespace"}, "textwrap has no function"),
    ],
    ids=[
        *("text", "empty", "no_place", "no_program", "format", "no_format", "back_end"),
        *("no_module", "no_function", "no_callable"),
    ],
)
def test_settings_that_can_measure_nothing_are_refused_before_anything_is_run(tool, changes, rule):
    with pytest.raises(DeviceError, match=rule):
        backend_of(command(tool, "1.0") | changes)


FUNCTIONS = textwrap.dedent("""
    import onnx

    def nodes(path):
        return len(onnx.load(path).graph.node) * 0.5

    def broken(path):
        raise OSError("the board is gone")

    def text(path):
        return "0.5"

    def negative(path):
        return -0.5

    def nan(path):
        return float("nan")

    def yes(path):
        return True
""")


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The name of a module in the current folder, which is not on sys.path."""
    (tmp_path / "my_board.py").write_text(FUNCTIONS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "my_board", raising=False)
    assert str(tmp_path) not in sys.path
    return "my_board"


def test_a_function_of_the_current_folder_measures_in_a_process_of_its_own(graph, module):
    settings = {"backend": f"{module}:nodes", "format": "onnx"}
    path = list(sys.path)
    assert measure_network(graph, settings, timeout_s=60.0).latency_ms == 1.5
    assert sys.path == path


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("broken", "my_board:broken raised OSError: the board is gone"),
        ("text", "must return a number of milliseconds, but it returned '0.5', a str"),
        ("negative", r"above 0, but my_board:negative gave -0\.5"),
        ("nan", "finite and above 0, but my_board:nan gave nan"),
        ("yes", "must return a number of milliseconds, but it returned True, a bool"),
    ],
    ids=lambda value: value if value.isidentifier() else "",
)
def test_what_a_function_returns_must_be_a_latency(graph, module, name, rule):
    with pytest.raises(MeasureError, match=rule):
        measure(graph, {"backend": f"{module}:{name}", "format": "onnx"})


def test_the_seed_of_the_weights_reaches_the_file(graph, tmp_path, monkeypatch):
    (tmp_path / "first_weight.py").write_text(
        "import onnx\n"
        "def magnitude(path):\n"
        "    first = onnx.load(path).graph.initializer[0]\n"
        "    return abs(onnx.numpy_helper.to_array(first).flat[0])\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    settings = {"backend": "first_weight:magnitude", "format": "onnx"}
    found = [measure(graph, settings | {"weight_seed": n}).latency_ms for n in (0, 0, 1)]
    expected = np.float32(np.random.default_rng(0).normal(0, np.sqrt(2 / 27)))
    assert found[0] == found[1] == abs(expected)
    assert found[1] != found[2]


def test_a_tflite_file_is_int8(graph, tmp_path, monkeypatch):
    pytest.importorskip("ethosu", reason="the schema classes are in the wheel of ethos-u-vela")
    (tmp_path / "identifier.py").write_text(
        "def found(path):\n    return 1.0 if path.read_bytes()[4:8] == b'TFL3' else 2.0\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    found = measure(graph, {"backend": "identifier:found", "format": "tflite"})
    assert found.latency_ms == 1.0
    assert found.weight_bytes == graph.weight_elements + 4 * (8 + 5)
    assert found.peak_memory_bytes == (3 + 8) * 36
