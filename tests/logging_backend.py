"""A back-end for tests of profiling: it keeps a log, and its settings say when it misbehaves.

A module of its own, because each measuring process imports it: it needs little else. What it does
is in a file that device.toml names, since it changes while device.toml stays.
"""

import json
import os
import signal
import time
from pathlib import Path

from nas_ray.errors import MeasureError
from nas_ray.graph import signature
from nas_ray.measure.measurement import Measurement


def logging_backend(graph, settings):
    """One millisecond a million MACs, unless this call is to exit, hang, raise or use the host."""
    behaviour = json.loads(Path(settings["behaviour"]).read_text(encoding="utf-8"))
    log = Path(settings["log"])
    with log.open("a", encoding="utf-8") as file:
        file.write(signature(graph) + "\n")
    calls = log.read_text(encoding="utf-8").count("\n")
    action = behaviour["actions"].get(f"call{calls}", behaviour["usual"])
    if graph.macs % 10 == behaviour["crashes_on"]:
        os.kill(os.getpid(), signal.SIGSEGV)
    if action == "exit":
        os._exit(3)
    if action == "hang":
        time.sleep(3600)
    if action == "raise":
        raise ValueError("a mistake inside the back-end")
    if action == "refuse":
        raise MeasureError("this one cannot be measured")
    time.sleep(behaviour["sleep_s"])
    return Measurement(
        latency_ms=(graph.macs + 1) / 1e6,
        peak_memory_bytes=1,
        weight_bytes=graph.weight_elements,
        macs=graph.macs,
        cpu_operators=2 if action == "host" else 0,
    )
