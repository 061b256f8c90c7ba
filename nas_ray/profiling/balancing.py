"""Keep a table balanced: a sample that holds what is rare in the table is more welcome.

Each operator of a sample falls into cells: its kind with the variant, the activation, and for each
of its sizes and attributes the octave. A sample is as rare as the rarest of its cells. One with a
cell that has not been seen often enough is always taken, others less often the more the table has
of all they hold, so that a table of common blocks that is extended gets what it lacks.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np

from nas_ray.estimate.operator_table import LABELS, RANGED, operator_table
from nas_ray.graph import Graph, parse_signature

#: Rows with a cell, from which on another one is not needed.
_ENOUGH = 60
#: At least one in so many samples is taken, however common.
_LEAST_SHARE = 0.1

Cell = tuple[str | float, ...]


class Balance:
    """How many samples of a table hold each cell; `rng` decides about common ones."""

    def __init__(self, signatures: Iterable[str], rng: np.random.Generator) -> None:
        self._rng = rng
        self._counts: Counter[Cell] = Counter()
        for text in signatures:
            self._counts.update(cells(parse_signature(text)))

    def welcome(self, signatures: Iterator[str]) -> Iterator[str]:
        """Yield those of `signatures` that are taken, and count them."""
        for text in signatures:
            found = cells(parse_signature(text))
            rarest = min((self._counts[cell] for cell in found), default=_ENOUGH)
            if self._rng.random() < max(_LEAST_SHARE, _ENOUGH / (1 + rarest)):
                self._counts.update(found)
                yield text


def cells(graph: Graph) -> set[Cell]:
    """Return the cells of the operators of `graph`, each once."""
    table = operator_table([graph])
    found: set[Cell] = set()
    for n in range(len(table)):
        kind = float(table["kind"][n])
        found |= {(name, kind, float(table[name][n])) for name in LABELS}
        found |= {(name, kind, float(np.log2(table[name][n] + 1) // 1)) for name in RANGED}
    return found
