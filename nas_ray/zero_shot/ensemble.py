"""Many scores, one number: the sum of log-ranks (AZ-NAS, Lee & Ham, 2024).

Notation: `m` networks.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nas_ray.zero_shot.scores import DESCRIPTORS

Array = NDArray[np.float64]


def log_rank(scores: Sequence[Mapping[str, float]]) -> Array:
    """Sum over the scores of log(rank / m), for each of the `m` networks: `(m,)`, higher is better.

    The best of a score has rank m and adds 0, the worst rank 1: to be among the last by one score
    costs more than being first by another gains. Ties share their mean rank. A score that is not
    finite, or that a network lacks, ranks lowest. Descriptors among the scores have no part in it.
    """
    names = sorted({name for row in scores for name in row} - DESCRIPTORS.keys())
    total = np.zeros(len(scores))
    for name in names:
        total += np.log(_ranks([row.get(name, np.nan) for row in scores]) / len(scores))
    return total


def _ranks(values: Sequence[float]) -> Array:
    """Ranks from 1 for the lowest to m, ties at their mean: `(m,)`."""
    column = np.asarray(values, dtype=float)
    column = np.where(np.isfinite(column), column, -np.inf)
    _, place, count = np.unique(column, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    ranks: Array = (last - (count - 1) / 2)[place]
    return ranks
