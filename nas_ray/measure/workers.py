"""Many subgraphs measured by several processes of this machine."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from typing import Any

from nas_ray.measure.measurement import Backend, Measurement
from nas_ray.measure.worker import Worker

Answer = Measurement | str
#: Signatures in; out comes each with its measurement or with the reason why there is none, as soon
#: as it is known. Takes from its input no more than is being measured.
MeasureMany = Callable[[Iterable[str]], Iterator[tuple[str, Answer]]]


@contextmanager
def local_workers(
    backend: Backend, settings: Mapping[str, Any], timeout_s: float, workers: int = 1
) -> Iterator[MeasureMany]:
    """`workers` processes that measure; one of them answers in the order it is asked."""
    with ExitStack() as stack:
        crew = [
            stack.enter_context(Worker(backend, settings, timeout_s))
            for _ in range(max(1, workers))
        ]
        yield lambda texts: _measured(texts, crew)


def _measured(texts: Iterable[str], crew: list[Worker]) -> Iterator[tuple[str, Answer]]:
    if len(crew) == 1:
        yield from ((text, crew[0].ask(text)) for text in texts)
        return
    idle, asked = deque(crew), dict[Future[Answer], tuple[str, Worker]]()
    source = iter(texts)
    with ThreadPoolExecutor(len(crew)) as threads:
        try:
            while True:
                while idle and (text := next(source, None)) is not None:
                    worker = idle.popleft()
                    asked[threads.submit(worker.ask, text)] = (text, worker)
                if not asked:
                    return
                for future in wait(asked, return_when=FIRST_COMPLETED).done:
                    text, worker = asked.pop(future)
                    idle.append(worker)
                    yield text, future.result()
        finally:
            # After Ctrl-C nobody waits for answers: a killed process ends its thread's `ask`.
            for _, worker in asked.values():
                worker.kill()
