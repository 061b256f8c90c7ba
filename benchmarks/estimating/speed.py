"""How long an estimate takes beside a compilation, and what the first one costs a process.

Seconds depend on the machine; what counts are ratios of times taken by turns in one run.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import torch
from published import CLASSIFIERS

from estimating.figures import Figures, spread
from nas_ray.device import Device, device_folder, load_device
from nas_ray.graph import trace
from nas_ray.measure.table import table_path
from nas_ray.measure.vela import VelaTarget, measure

NETWORK, SIDE = "mobilenet_v2_1.0", 224
PACKAGES = (
    *("torch", "sklearn", "scipy", "pandas", "ray", "optuna", "onnx", "onnxruntime", "ethosu"),
    *("pytorch_lightning", "lightning", "matplotlib"),
)
_IMPORT = """
import json, sys, time
begun = time.perf_counter()
import nas_ray
seconds = time.perf_counter() - begun
print(json.dumps({"seconds": seconds, "packages": [p for p in %s if p in sys.modules]}))
"""
_FIRST_USE = """
import json, time
begun = time.perf_counter()
import torch, nas_ray
from nas_ray.graph import trace
from published import CLASSIFIERS
torch.set_num_threads(1)
found = {"imports": time.perf_counter() - begun}
with torch.device("meta"):
    model, image = CLASSIFIERS[%r][0](), torch.empty(1, 3, %d, %d)
begun = time.perf_counter()
graph = trace(model, image)
found["first trace"] = time.perf_counter() - begun
begun = time.perf_counter()
device = nas_ray.load_device(%r)
found["load_device"] = time.perf_counter() - begun
begun = time.perf_counter()
device.estimate_graph(graph)
found["first estimate"] = time.perf_counter() - begun
begun = time.perf_counter()
device.estimate(model, image)
found["second estimate, trace and all"] = time.perf_counter() - begun
print(json.dumps(found))
"""


def imports(processes: int) -> Figures:
    """Seconds of `import nas_ray` in fresh processes, and which heavy packages it pulls in."""
    runs = [_fresh(_IMPORT % repr(PACKAGES)) for _ in range(processes)]
    return {"seconds": spread([run["seconds"] for run in runs]), "packages": runs[0]["packages"]}


def first_use(name: str, processes: int, fittings: int) -> Figures:
    """Seconds by step in fresh processes: of the device as it lies, and where it must be fitted.

    The second is a folder that has only the profile and the table; `fittings` may be 0.
    """
    folder = device_folder(name)
    load_device(name)
    found = {"as it lies": _steps([name] * processes)}
    with ExitStack() as stack:
        copies = [stack.enter_context(tempfile.TemporaryDirectory()) for _ in range(fittings)]
        for copy in copies:
            for path in (folder / "device.toml", table_path(folder)):
                if path is not None:
                    shutil.copy(path, copy)
        if copies:
            found["not fitted yet"] = _steps(copies)
    return found


def against_compiler(device: Device, repeats: int) -> Figures:
    """Seconds of a cold estimate, tracing and all, and of compiling the same network, by turns.

    Cold: the device remembers no subgraph. The compiler's time has no trace in it.
    """
    with torch.device("meta"):
        model, image = CLASSIFIERS[NETWORK][0](), torch.empty(1, 3, SIDE, SIDE)
    graph = trace(model, image)
    settings = device.hardware.measure
    target = VelaTarget(
        accelerator=settings["accelerator"],
        system_config=settings["system_config"],
        memory_mode=settings["memory_mode"],
        clock_hz=device.hardware.clock_hz,
    )
    jobs: dict[str, Callable[[], object]] = {
        "cold estimate": lambda: device.estimate(model, image),
        "warm estimate": lambda: device.estimate(model, image),
        "compiler": lambda: measure(graph, target),
    }
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for n in range(repeats + 1):
        device._estimator.known.clear()  # noqa: SLF001 - what is remembered would flatter the cold time
        for name, job in jobs.items():
            seconds = _seconds(job)
            # The first of each pays for what only the first one does.
            times[name] += [seconds] if n else []
    ratios = [c / e for c, e in zip(times["compiler"], times["cold estimate"], strict=True)]
    return {**{name: spread(one) for name, one in times.items()}, "ratio": spread(ratios)}


def _seconds(job: Callable[[], object]) -> float:
    begun = time.perf_counter()
    job()
    return time.perf_counter() - begun


def _steps(devices: Sequence[str]) -> Figures:
    """Spread by step, a process a device; after the imports a person waits for two of them."""
    runs = [_fresh(_FIRST_USE % (NETWORK, SIDE, SIDE, device)) for device in devices]
    for run in runs:
        run["load and estimate"] = run["load_device"] + run["first estimate"]
    return {step: spread([run[step] for run in runs]) for step in runs[0]}


def _fresh(code: str) -> Figures:
    """The JSON object that `code` prints last in a new interpreter that finds the same modules."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment
    )
    answer: Figures = json.loads(done.stdout.splitlines()[-1])
    return answer
