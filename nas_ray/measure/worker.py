"""A back-end in a process of its own: a crash or a hang costs one answer, not the caller."""

import multiprocessing
import pickle
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

    def kill(self) -> None:
        """End the process while another thread waits in `ask`, which then says it crashed."""
        process = self._process
        if process is not None:
            process.kill()

    def _start(self) -> Connection:
        # spawn: a forked child would inherit the locks of torch's threads.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        arguments = (theirs, self._backend, dict(self._settings))
        process = context.Process(target=_serve, args=arguments, daemon=True)
        try:
            process.start()
        except (AttributeError, TypeError, pickle.PicklingError) as error:
            raise _not_importable(f"cannot be sent to a process of its own: {error}") from error
        self._process, self._pipe = process, ours
        theirs.close()
        self._await_ready(ours)
        return ours

    def _await_ready(self, pipe: Connection) -> None:
        reason = f"did not start within {_START_TIMEOUT_S:g} s"
        try:
            if pipe.poll(_START_TIMEOUT_S):
                pipe.recv()
                return
        except (EOFError, ConnectionResetError):
            self._process.join()
            reason = f"ended before it began (exit code {self._process.exitcode})"
        self._stop()
        raise _not_importable(f"{reason}; its standard error says why")

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
        if self._pipe is not None:
            self._pipe.close()
        self._process = self._pipe = None


def _not_importable(what: str) -> MeasureError:
    return MeasureError(
        f"the measuring process {what}. A back-end must be a function of a module that can be "
        "imported, and a script must call it under `if __name__ == '__main__':`."
    )


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
