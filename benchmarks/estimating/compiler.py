"""What the Ethos-U compiler says of a graph, remembered in a file between runs.

It works in one process of its own, so that a network that it cannot finish costs a minute, not the
run. Its figures are compiler estimates, never measurements on silicon.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from estimating.cases import Case
from nas_ray.estimate.hardware import Hardware
from nas_ray.measure.backends import backend_of
from nas_ray.measure.worker import Worker

TIMEOUT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Known:
    """Cases that the compiler has answered, in their order, and why it has not answered others."""

    cases: tuple[Case, ...]
    latency_ms: tuple[float, ...]
    peak_memory_bytes: tuple[int, ...]
    refused: tuple[tuple[str, str], ...]


class Compiler:
    """Answers for one device; `cache` is a file of JSON lines, or None to forget everything."""

    def __init__(self, hardware: Hardware, cache: Path | None) -> None:
        settings = {"clock_hz": hardware.clock_hz, **hardware.measure}
        self._origin = {"device": hardware.name, "settings": dict(sorted(settings.items()))}
        self._cache = cache
        self._answers = self._read()
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

    def _answer(self, key: str) -> dict[str, Any]:
        if key not in self._answers:
            self._answers[key] = self._asked(key)
            if self._cache is not None:
                line = {**self._origin, "signature": key, **self._answers[key]}
                with self._cache.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
        return self._answers[key]

    def _asked(self, key: str) -> dict[str, Any]:
        answer = self._worker.ask(key)
        if isinstance(answer, str):
            return {"refused": answer}
        if answer.cpu_operators:
            return {"refused": f"{answer.cpu_operators} operators run on the host processor"}
        return {
            "latency_ms": answer.latency_ms,
            "peak_memory_bytes": answer.peak_memory_bytes,
        }

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
