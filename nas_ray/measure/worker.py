"""A back-end in a process of its own: a crash or a hang costs one answer, not the caller."""

import multiprocessing
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

from nas_ray.errors import MeasureError
from nas_ray.graph import parse_signature
from nas_ray.measure.measurement import Backend, Measurement

_START_TIMEOUT_S = 120.0


class Worker:
    """A process that measures one subgraph at a time; a new one takes over from a dead one."""

    def __init__(self, backend: Backend, settings: Mapping[str, Any], timeout_s: float) -> None:
        self._backend, self._settings, self._timeout_s = backend, settings, timeout_s
        self._process: Any = None
        self._pipe: Connection | None = None

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def ask(self, text: str) -> Measurement | str:
        """The measurement of the subgraph with signature `text`, or why there is none."""
        pipe = self._pipe or self._start()
        try:
            pipe.send(text)
            if pipe.poll(self._timeout_s):
                answer: Measurement | str = pipe.recv()
                return answer
            reason = f"no answer within {self._timeout_s:g} s"
        except (EOFError, BrokenPipeError, ConnectionResetError):
            self._process.join()
            reason = f"the back-end crashed (exit code {self._process.exitcode})"
        self._stop()
        return reason

    def _start(self) -> Connection:
        # spawn: a forked child would inherit the locks of torch's threads.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, self._backend, dict(self._settings)), daemon=True
        )
        self._process.start()
        theirs.close()
        if not ours.poll(_START_TIMEOUT_S) or ours.recv() != "ready":
            self._stop()
            raise MeasureError(f"the measuring process did not start in {_START_TIMEOUT_S:g} s.")
        self._pipe = ours
        return ours

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
        if self._pipe is not None:
            self._pipe.close()
        self._process = self._pipe = None


def _serve(pipe: Connection, backend: Backend, settings: Mapping[str, Any]) -> None:
    """The life of the worker process: signatures in, measurements or reasons out."""
    pipe.send("ready")
    while True:
        try:
            text = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(backend(parse_signature(text), settings))
        except MeasureError as error:
            pipe.send(str(error))
