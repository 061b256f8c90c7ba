"""Which configs to look at, so that every combination of a few choices is seen.

Covering arrays, as in combinatorial testing (Kuhn et al., 2004): what depends on three choices
together shows itself at the latest when all combinations of three have been seen.

Axes: `N` configs, `K` choices, `L` lines. A line gives each config the number of one thing it
shows, a combination of values or an entry of a table; `need` `(T,)` is how often each of the `T`
things is still to be seen.
"""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from nas_ray.estimate.codes import Codes, combined

Lines = NDArray[np.int32]

#: With more choices than this, pairs are covered and not triples.
_MOST_CHOICES = 30
#: Choices with more combinations than this are not covered together.
_MOST_COMBINATIONS = 256
_POOL = 128


def combination_lines(codes: Codes, sizes: Codes) -> Lines:
    """`(L, N)`: a line for each three choices (each two of many) that vary at all."""
    varying = [k for k in range(len(codes)) if (codes[k] != codes[k, :1]).any()]
    strength = min(len(varying), 3 if len(varying) <= _MOST_CHOICES else 2)
    lines = np.empty((0, codes.shape[1]), dtype=np.int32)
    found, total = [lines], 0
    for size in range(1, strength + 1):
        for choices in combinations(varying, size):
            count = int(np.prod(sizes[list(choices)], dtype=np.int64))
            if count <= _MOST_COMBINATIONS or size == 1:
                line = combined(codes, sizes, choices) + total
                found.append(line.astype(np.int32)[None])
                total += count
    return np.concatenate(found)


def occurrences(lines: Lines, count: int) -> NDArray[np.int32]:
    """`(count,)`: how many configs show each thing."""
    return np.bincount(lines.ravel(), minlength=count).astype(np.int32)


def worth_seeing(lines: Lines, need: NDArray[np.int32], count: int) -> list[int]:
    """At most `count` configs that show most of what is needed, greedily; `need` goes down.

    A config that shows nothing needed is never among them.
    """
    scores = np.zeros(lines.shape[1], dtype=np.int32)
    wanted = need > 0
    for line in lines:
        scores += wanted[line]
    pool = np.argsort(-scores, kind="stable")[:_POOL]
    near = np.ascontiguousarray(lines[:, pool])
    chosen: list[int] = []
    for _ in range(min(count, len(pool))):
        best = int((need > 0)[near].sum(axis=0).argmax())
        shown = near[:, best]
        if not (need[shown] > 0).any():
            break
        np.subtract.at(need, shown, 1)
        chosen.append(int(pool[best]))
    return chosen
