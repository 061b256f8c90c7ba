"""Asks the Arm Ethos-U compiler (`ethos-u-vela`) what a graph would cost.

The numbers are the compiler's own estimate of cycles and memory, made to guide its decisions. They
are not a measurement on silicon, and Arm advises against comparing them across configurations.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nas_ray.errors import MeasureError, nearest
from nas_ray.graph import Graph
from nas_ray.measure.measurement import Measurement
from nas_ray.measure.tflite import to_tflite
from nas_ray.measure.tflite.flatbuffer import missing_compiler

#: Accelerator to (compiler's architecture, MACs per cycle and core, cores, address bits).
ACCELERATORS = {
    "ethos-u55-32": ("EthosU55", 32, 1, 32),
    "ethos-u55-64": ("EthosU55", 64, 1, 32),
    "ethos-u55-128": ("EthosU55", 128, 1, 32),
    "ethos-u55-256": ("EthosU55", 256, 1, 32),
    "ethos-u65-256": ("EthosU65", 256, 1, 40),
    "ethos-u65-512": ("EthosU65", 256, 2, 40),
    "ethos-u85-128": ("EthosU85", 128, 1, 40),
    "ethos-u85-256": ("EthosU85", 256, 1, 40),
    "ethos-u85-512": ("EthosU85", 512, 1, 40),
    "ethos-u85-1024": ("EthosU85", 1024, 1, 40),
    "ethos-u85-2048": ("EthosU85", 2048, 1, 40),
}


@dataclass(frozen=True, kw_only=True)
class VelaTarget:
    """What to compile for; `system_config` and `memory_mode` are names in the file `config`.

    Without `config` that is the vela.ini of the wheel. Raises MeasureError for an unknown
    accelerator and, in that file, for a system configuration of another family, which the compiler
    itself would accept without a word. Names in a file of one's own say nothing about families.
    """

    accelerator: str
    system_config: str
    memory_mode: str
    clock_hz: float
    config: Path | None = None

    def __post_init__(self) -> None:
        if self.accelerator not in ACCELERATORS:
            raise MeasureError(
                f"unknown accelerator {self.accelerator!r}: "
                f"{nearest(self.accelerator, ACCELERATORS)}"
            )
        family = "_".join(part.capitalize() for part in self.accelerator.split("-")[:2])
        if self.config is None and not self.system_config.startswith(family):
            raise MeasureError(
                f"a system configuration belongs to one accelerator family: {self.accelerator} "
                f"needs one that begins with {family}, but got {self.system_config!r}."
            )


def measure(graph: Graph, target: VelaTarget, seed: int = 0) -> Measurement:
    """The compiler's estimate for `graph` on `target` with Gaussian int8 weights of `seed`.

    Deterministic. Raises MeasureError without the compiler, for an operator that cannot be
    written, or when the compiler refuses the model.
    """
    model = to_tflite(graph, seed)
    compiled = _compiled(model.content, target)
    report = compiled.perf_report
    memories = {str(name).lower(): memory for name, memory in report.memories.items()}
    return Measurement(
        latency_ms=report.totalCycles / target.clock_hz * 1e3,
        peak_memory_bytes=int(memories["sram"].peakUsage) if "sram" in memories else 0,
        weight_bytes=int(report.encodedWeights),
        macs=int(report.macCount),
        cpu_operators=int(report.cpuOps),
        operators_ms=_operators_ms(compiled.opt_database, model.origins, graph, target.clock_hz),
    )


def _operators_ms(
    database: Any, origins: Sequence[int], graph: Graph, clock_hz: float
) -> tuple[float, ...]:
    """Cycles of the compiler's operators, each credited to the operator of `graph` it serves.

    The compiler numbers what it was given (`ext_key`) and says for each operator that it runs
    which one of those it comes from (`source_id`).
    """
    given = {row["id"]: int(row["ext_key"]) for row in _rows(database, "source")}
    cycles = [0] * len(graph.operators)
    for row in _rows(database, "perf"):
        cycles[origins[given[row["source_id"]]]] += int(row["op_cycles"])
    return tuple(count / clock_hz * 1e3 for count in cycles)


def _rows(database: Any, table: str) -> Iterator[dict[str, str]]:
    found = database.tables[table]
    return (dict(zip(found.header, row, strict=True)) for row in found.data)


def vela(graph: Graph, settings: Mapping[str, Any]) -> Measurement:
    """The back-end `vela` of a device.toml; `settings` is its section `[measure]`.

    `config` is the absolute path of a vela.ini, where it is not that of the wheel. Raises
    MeasureError for a missing setting and when another compiler version is installed than
    the one the table was made with: versions differ by 1-5 %.
    """
    try:
        target = VelaTarget(
            accelerator=settings["accelerator"],
            system_config=settings["system_config"],
            memory_mode=settings["memory_mode"],
            clock_hz=float(settings["clock_hz"]),
            config=Path(settings["config"]) if "config" in settings else None,
        )
        version, seed = str(settings["version"]), int(settings["weight_seed"])
    except KeyError as error:
        raise MeasureError(
            f"[measure] of device.toml lacks {error}; the back-end `vela` needs accelerator, "
            "system_config, memory_mode, clock_hz, version and weight_seed."
        ) from error
    if version != compiler_version():
        raise MeasureError(
            f"device.toml asks for ethos-u-vela {version}, but {compiler_version()} is installed. "
            f"pip install ethos-u-vela=={version}, or set this version in device.toml and measure "
            "anew with `nas-ray profile DEVICE --anew`."
        )
    return measure(graph, target, seed)


def compiler_version() -> str:
    """Version of the installed compiler. Raises MeasureError where there is none."""
    return str(_regor().__version__).strip('"')


def _compiled(model: bytes, target: VelaTarget) -> Any:
    architecture, macs, cores, address_bits = ACCELERATORS[target.accelerator]
    system = (
        f"[architecture]\nmacs={macs}\ncores={cores}\n"
        f"[vela]\nsystem_config_name={target.system_config}\n"
        f"memory_mode_name={target.memory_mode}\n{_configurations(target)}"
    )
    options = (
        "[compiler]\noutput_format=TFLite\ncop_format=COP1\nenable_db=true\n"
        f"[scheduler]\noptimize=Performance\narena_size_limit={1 << address_bits}\n"
        "disable_feature=\ncpu_tensor_alignment=16\ntensor_allocator=HillClimb\n[graph]\n"
    )
    try:
        return _regor().compile(
            architecture, model, "TFLITE", system, options=options, verbose=False
        )
    except RuntimeError as error:
        raise MeasureError(f"the Ethos-U compiler refused the model: {error}") from error


def _regor() -> Any:
    try:
        return import_module("ethosu.regor")
    except ImportError as error:
        raise missing_compiler() from error


@cache
def _shipped_ini() -> Path:
    package = find_spec("ethosu")
    if package is None or not package.submodule_search_locations:
        raise missing_compiler()
    folder = Path(next(iter(package.submodule_search_locations)))
    return folder / "config_files" / "Arm" / "vela.ini"


@cache
def _read_ini(path: Path) -> str:
    """The text of a vela.ini, read once: all rows of a profile are measured with one."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MeasureError(
            f"[measure] config: {path} cannot be read as a vela.ini: {error}. It must be a text "
            "file that this machine can read."
        ) from error


def _configurations(target: VelaTarget) -> str:
    """The text of vela.ini, once it is known to hold both names of `target`."""
    path = target.config or _shipped_ini()
    text = _read_ini(path)
    for section, name in (
        ("System_Config", target.system_config),
        ("Memory_Mode", target.memory_mode),
    ):
        names = [found[1] for found in re.finditer(rf"(?m)^\s*\[{section}\.([^\]\n]+)\]", text)]
        if name not in names:
            where = f" in {path}, which has no [{section}.{name}]" if target.config else ""
            raise MeasureError(f"unknown {section} {name!r}{where}: {nearest(name, names)}")
    return text
