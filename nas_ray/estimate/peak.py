"""Peak memory of networks that share their pieces, weights on their way included.

What an operator's weights take depends on the operator before it, how that one's came on the one
before that, and so on: the peak of a network is not the largest of its pieces'. The networks are
gone through operator by operator, all of them at once. One network is one piece.

Axes: `N` networks, `P` positions, `S` pieces, `R` operators at most in a piece.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas_ray.estimate.hardware import Hardware
from nas_ray.estimate.merging import Run
from nas_ray.estimate.pass_work import works
from nas_ray.estimate.staging import Floats, Staging, Work, copied
from nas_ray.graph import Graph


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Bytes alive in a piece without weights: at most, and at each operator that is not chained.

    `works` is the work of these operators.
    """

    peak_bytes: int
    live_bytes: tuple[int, ...]
    works: tuple[Work[float], ...]


def piece(graph: Graph, run: Run, hardware: Hardware) -> Piece:
    """`graph` as a piece, of which `run` is what runs."""
    staging, array = hardware.staging, hardware.array
    if staging is None or array is None:
        return Piece(peak_bytes=max(run.live_bytes), live_bytes=(), works=())
    return Piece(
        peak_bytes=max(run.live_bytes),
        live_bytes=run.live_bytes[1:-1],
        works=works(graph, run.passes, run.buffers, staging, array),
    )


def peaks(
    pieces: Sequence[Piece], ids: NDArray[np.int32], staging: Staging | None
) -> NDArray[np.int64]:
    """Return the peaks of networks `(N,)`; for `ids` see `peaks_in_place`."""
    found: NDArray[np.int64] = peaks_in_place(pieces, ids, staging).max(axis=1, initial=0)
    return found


def peaks_in_place(
    pieces: Sequence[Piece], ids: NDArray[np.int32], staging: Staging | None
) -> NDArray[np.int64]:
    """Return the peak of each piece `(N, P)` at its place in its network.

    The rows of `ids` `(N, P)` are the pieces of networks in execution order; -1 is no piece, with
    a peak of 0.
    """
    static = np.array([*(one.peak_bytes for one in pieces), 0], dtype=np.int64)
    alone: NDArray[np.int64] = static[ids]
    return alone if staging is None else np.maximum(alone, _with_weights(pieces, ids, staging))


def _with_weights(
    pieces: Sequence[Piece], ids: NDArray[np.int32], staging: Staging
) -> NDArray[np.int64]:
    counts, table = _table(pieces)
    peak = np.zeros(ids.shape)
    # Of the last operator so far: bytes alive at its end, and cycles that hide a copy.
    end, hidden = np.zeros(len(ids)), np.full(len(ids), -np.inf)
    for place, column in enumerate(ids.T):
        rows = np.flatnonzero(column >= 0)
        for n in range(counts[column[rows]].max(initial=0)):
            rows = rows[counts[column[rows]] > n]
            live, *numbers = table[:, n, column[rows]]
            copy = copied(Work(*numbers), hidden[rows], staging)
            at_once = np.maximum(live + copy.most, end[rows] + copy.early)
            peak[rows, place] = np.maximum(peak[rows, place], at_once)
            end[rows], hidden[rows] = live + copy.late, copy.hides
    return peak.astype(np.int64)


def _table(pieces: Sequence[Piece]) -> tuple[NDArray[np.intp], Floats]:
    """Operators of each piece, `(S,)`, and what is alive there and their work, `(1 + 5, R, S)`."""
    counts = np.array([len(one.works) for one in pieces], dtype=np.intp)
    table = np.zeros((1 + len(Work._fields), counts.max(initial=0), len(pieces)))
    for n, one in enumerate(pieces):
        if one.works:
            table[0, : counts[n], n] = one.live_bytes
            table[1:, : counts[n], n] = np.array(one.works).T
    return counts, table
