"""Which passes run together, which results are written over an input, and what is alive when.

A pass that works number by number on the result of the one before, which nothing else reads,
runs inside it: an activation on any accelerator, an addition where passes can be chained
(`chain_length`). One that stands alone writes over its first input of the same size and layout
that nothing else reads. The rules are those of ethos-u-vela 5.2.0 (Apache-2.0; live_range.cpp,
scheduler_packing.cpp, ethos_u85.cpp), written anew.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from nas_ray.estimate.decomposing import decomposed
from nas_ray.estimate.hardware import Hardware
from nas_ray.estimate.passes import ACTIVATIONS, ELEMENTWISE, Buffer, Pass, Program, is_narrow
from nas_ray.graph import Graph

#: Inputs from memory, constants among them, that chained passes may have together.
_CHAIN_INPUTS = 3
_BY_NUMBER = ELEMENTWISE | ACTIVATIONS | {"copy", "shift"}
#: Passes that no activation joins.
_ENDS_ALONE = frozenset({"transpose", "gather", "unknown"})


@dataclass(frozen=True, kw_only=True)
class Run:
    """What has a time of its own, and the bytes of activations alive before, at each and after."""

    passes: tuple[Pass, ...]
    buffers: tuple[Buffer, ...]
    live_bytes: tuple[int, ...]


def run(graph: Graph, hardware: Hardware) -> Run:
    """What `hardware` runs for `graph`, its operators in the order that they have."""
    program = decomposed(graph, hardware)
    if hardware.writes_in_place:
        program.passes = _joined(program)
        _overwrite(program)
    return Run(
        passes=tuple(program.passes),
        buffers=tuple(program.buffers),
        live_bytes=_live(program),
    )


def _uses(passes: Sequence[Pass]) -> tuple[Counter[int], Counter[int]]:
    """How many passes read and write each buffer."""
    readers = Counter(i for one in passes for i in (*one.reads, *one.joined_reads))
    return readers, Counter(one.writes for one in passes)


def _joined(program: Program) -> list[Pass]:
    """The passes, with those that run inside another one as a part of it."""
    readers, writers = _uses(program.passes)
    found: list[Pass] = []
    chain = _Chain()
    for one in program.passes:
        before = found[-1] if found else None
        if before is not None and before.writes in one.reads:
            between = before.writes
            is_alone = readers[between] == writers[between] == 1
            stays = program.buffers[between].stays
            if is_alone and not stays and chain.takes(one, before, program):
                reads = tuple(i for i in one.reads if i != between)
                joined = (*before.joined_reads, *reads)
                kinds = (*before.joined, one.kind)
                found[-1] = replace(before, writes=one.writes, joined=kinds, joined_reads=joined)
                continue
        found.append(one)
        chain = _Chain(inputs=len(one.reads) + one.constants, is_active=one.kind in ACTIVATIONS)
    return found


@dataclass(kw_only=True)
class _Chain:
    """Passes joined so far: how many work number by number, and how many inputs they read."""

    length: int = 1
    inputs: int = 1
    is_active: bool = False

    def takes(self, one: Pass, before: Pass, program: Program) -> bool:
        """Whether `one` runs inside the chain that begins with `before`; it is counted then."""
        is_whole = program.buffers[one.writes].shape == one.shape
        if is_narrow(one.shape) and is_whole and before.kind not in _BY_NUMBER:
            return False
        if one.kind in ACTIVATIONS:
            fits = not self.is_active and before.kind not in _ENDS_ALONE
            self.is_active |= fits
            return fits
        more = len(one.reads) - 1 + one.constants
        fits = (
            one.kind in ELEMENTWISE
            and before.kind not in {*_ENDS_ALONE, "resize"}
            and self.length < program.hardware.chain_length
            and self.inputs + more <= _CHAIN_INPUTS
            and before.shape == one.shape
        )
        if fits:
            self.length, self.inputs, self.is_active = self.length + 1, self.inputs + more, False
        return fits


def _overwrite(program: Program) -> None:
    """Put each result in the place of an input where that is allowed."""
    passes = program.passes
    results = {program.place[i] for i in program.graph.outputs}
    readers, writers = _uses(passes)
    moved: dict[int, int] = {}
    for n, one in enumerate(passes):
        reads = tuple(moved.get(i, i) for i in one.reads)
        joined = tuple(moved.get(i, i) for i in one.joined_reads)
        target = one.writes
        if one.kind in _BY_NUMBER and writers[target] == 1:
            free = [i for i, old in zip(reads, one.reads, strict=True) if readers[old] == 1]
            fits = (i for i in free if i not in results and _are_alike(program, i, target))
            source = next(fits, target)
            if source != target:
                moved[target] = source
                results |= {source} if target in results else set()
                program.buffers[source].stays |= program.buffers[target].stays
        passes[n] = replace(one, reads=reads, joined_reads=joined, writes=moved.get(target, target))
    program.place = {i: moved.get(place, place) for i, place in program.place.items()}


def _are_alike(program: Program, one: int, other: int) -> bool:
    a, b = program.buffers[one], program.buffers[other]
    return (a.shape, a.number_bytes, a.is_linear) == (b.shape, b.number_bytes, b.is_linear)


def _live(program: Program) -> tuple[int, ...]:
    """Bytes alive before the first pass, at each, and after the last."""
    count = len(program.passes)
    first = {program.place[i]: 0 for i in program.graph.inputs}
    last = dict(first)
    for step, one in enumerate(program.passes, start=1):
        for buffer in (*one.reads, *one.joined_reads, one.writes):
            first.setdefault(buffer, step)
            last[buffer] = step
    for tensor in program.graph.outputs:
        first.setdefault(program.place[tensor], count + 1)
        last[program.place[tensor]] = count + 1
    change = [0] * (count + 3)
    for buffer, step in first.items():
        size = program.buffers[buffer].size_bytes(program.hardware)
        change[step] += size
        change[last[buffer] + 1] -= size
    return tuple(accumulate(change[:-1]))
