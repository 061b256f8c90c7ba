"""Subgraphs measured by all nodes of a Ray cluster."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any

import ray
from ray.exceptions import RayError

from nas_ray.errors import MeasureError
from nas_ray.measure.measurement import Backend
from nas_ray.measure.worker import Worker
from nas_ray.measure.workers import Answer, MeasureMany
from nas_ray.tune.local import ray_runtime

#: An actor that dies with its node is replaced, and its subgraph asked again, so many times.
_TRIES = 3


class _Measuring:
    """One CPU of the cluster; it measures in a process of its own, so a crash costs one sample."""

    def __init__(self, backend: Backend, settings: Mapping[str, Any], timeout_s: float) -> None:
        self._worker = Worker(backend, settings, timeout_s)

    def ask(self, text: str) -> Answer | MeasureError:
        """The answer, or the error of a back-end that cannot run at all."""
        try:
            return self._worker.ask(text)
        except MeasureError as error:
            return error

    def close(self) -> None:
        """End the measuring process."""
        self._worker.__exit__()


@contextmanager
def ray_workers(
    backend: Backend,
    settings: Mapping[str, Any],
    timeout_s: float,
    *,
    address: str | None = None,
    workers: int | None = None,
) -> Iterator[MeasureMany]:
    """`workers` measuring actors (default: one a CPU of the cluster); answers come in any order.

    `address` is that of a cluster, "auto" for the one this machine belongs to, "local" for a Ray
    started here; without it RAY_ADDRESS decides. Raises MeasureError where there is no such
    cluster.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(ray_runtime(address))
        except ConnectionError as error:
            raise MeasureError(
                f"there is no Ray cluster at {address or 'RAY_ADDRESS'!r}: {error}. Start one with "
                "`ray start --head`, or measure on this machine with --workers."
            ) from error
        count = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        actor: Any = ray.remote(num_cpus=1)(_Measuring)
        make = partial(actor.remote, backend, dict(settings), timeout_s)
        crew = [make() for _ in range(count)]
        try:
            yield lambda texts: _measured(texts, crew, make)
        finally:
            for member in crew:
                _dismiss(member)


def _measured(
    texts: Iterable[str], crew: list[Any], make: Callable[[], Any]
) -> Iterator[tuple[str, Answer]]:
    idle, source = deque(range(len(crew))), iter(texts)
    asked: dict[Any, tuple[str, int, int]] = {}
    while True:
        while idle and (text := next(source, None)) is not None:
            place = idle.popleft()
            asked[crew[place].ask.remote(text)] = (text, place, 1)
        if not asked:
            return
        (task, *_), _ = ray.wait(list(asked), num_returns=1)
        text, place, tries = asked.pop(task)
        try:
            answer = ray.get(task)
        except RayError as error:
            crew[place] = make()
            if tries < _TRIES:
                asked[crew[place].ask.remote(text)] = (text, place, tries + 1)
                continue
            answer = f"its node was lost {_TRIES} times: {type(error).__name__}"
        if isinstance(answer, MeasureError):
            raise answer
        idle.append(place)
        yield text, answer


def _dismiss(actor: Any) -> None:
    """End an actor and its process, which a killed actor alone would leave to notice by itself."""
    with suppress(RayError, TimeoutError):
        ray.get(actor.close.remote(), timeout=5)
    ray.kill(actor)
