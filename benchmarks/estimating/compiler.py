"""What the Ethos-U compiler says of a graph, remembered in a file between runs.

It works in one process of its own, so that a network that it cannot finish costs a minute, not the
run. Its figures are compiler estimates, never measurements on silicon.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from estimating.cases import Case
from nas_ray.errors import MeasureError
from nas_ray.estimate.hardware import Hardware
from nas_ray.measure.backends import backend_of
from nas_ray.measure.measurement import Measurement
from nas_ray.measure.tflite import to_tflite
from nas_ray.measure.worker import Worker

TIMEOUT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Known:
    """Cases that the compiler has answered, in their order, and why it has not answered others."""

    cases: tuple[Case, ...]
    latency_ms: tuple[float, ...]
    peak_memory_bytes: tuple[int, ...]
    refused: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The compiler's answer for one graph, or one reason why there is none.

    `unwritten` says why the graph has no form that the compiler reads, `refused` why the compiler
    did not finish; both are empty where it answered. `latency_ms` is without what `host_operators`
    operators take on the host processor.
    """

    latency_ms: float = 0.0
    peak_memory_bytes: int = 0
    host_operators: int = 0
    unwritten: str = ""
    refused: str = ""


class Compiler:
    """Answers for one device; `cache` is a file of JSON lines, or None to forget everything."""

    def __init__(self, hardware: Hardware, cache: Path | None) -> None:
        settings = {"clock_hz": hardware.clock_hz, **hardware.measure}
        self._origin = {"device": hardware.name, "settings": dict(sorted(settings.items()))}
        self._cache = cache
        self._answers = self._read()
        self._seed = int(settings.get("weight_seed", 0))
        self._worker = Worker(backend_of(settings), settings, TIMEOUT_S)

    def __enter__(self) -> "Compiler":
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.__exit__()

    def answers(self, cases: Sequence[Case]) -> Known:
        """What the compiler says of `cases`; those of the cache are not compiled again."""
        found = [(case, self._answer(case.key)) for case in cases]
        good = [(case, answer) for case, answer in found if "refused" not in answer]
        return Known(
            cases=tuple(case for case, _ in good),
            latency_ms=tuple(answer["latency_ms"] for _, answer in good),
            peak_memory_bytes=tuple(answer["peak_memory_bytes"] for _, answer in good),
            refused=tuple((case.name, a["refused"]) for case, a in found if "refused" in a),
        )

    def truth(self, case: Case) -> Truth:
        """What the compiler says of `case`, host operators and all.

        A kept answer counts only for the very model file that it was given, so that another form
        of the same graph is compiled anew.
        """
        try:
            written = to_tflite(case.graph, self._seed).content
        except MeasureError as error:
            return Truth(unwritten=str(error).partition(". Replace")[0])
        except Exception as error:  # noqa: BLE001  # one network's fault is a result, not the end
            return Truth(unwritten=f"a fault of the writer: {type(error).__name__}: {error}")
        key = f"{case.key} {hashlib.sha256(written).hexdigest()}"
        if key in self._answers:
            return Truth(**self._answers[key])
        answer = self._worker.ask(case.key)
        if isinstance(answer, str):  # not kept: a crash or too long a wait may not come again
            return Truth(refused=answer)
        self._keep(key, {**_figures(answer), "host_operators": answer.cpu_operators})
        return Truth(**self._answers[key])

    def _answer(self, key: str) -> dict[str, Any]:
        if key not in self._answers:
            self._keep(key, self._asked(key))
        return self._answers[key]

    def _keep(self, key: str, answer: dict[str, Any]) -> None:
        self._answers[key] = answer
        if self._cache is not None:
            line = {**self._origin, "signature": key, **answer}
            with self._cache.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    def _asked(self, key: str) -> dict[str, Any]:
        answer = self._worker.ask(key)
        if isinstance(answer, str):
            return {"refused": answer}
        if answer.cpu_operators:
            return {"refused": f"{answer.cpu_operators} operators run on the host processor"}
        return _figures(answer)

    def _read(self) -> dict[str, dict[str, Any]]:
        if self._cache is None or not self._cache.exists():
            return {}
        text = self._cache.read_text(encoding="utf-8")
        # A run that was killed may have left half a line: it does not count.
        lines = map(json.loads, text[: text.rfind("\n") + 1].splitlines())
        return {
            line.pop("signature"): line
            for line in lines
            if all(line.pop(name) == value for name, value in self._origin.items())
        }


def _figures(answer: Measurement) -> dict[str, Any]:
    return {"latency_ms": answer.latency_ms, "peak_memory_bytes": answer.peak_memory_bytes}
