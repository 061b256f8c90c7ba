"""Values by their ranks: normal scores, for numbers of which only the order means something.

A sum of log-ranks is such a number. Accuracies are not: see `winsorised`.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

Array = NDArray[np.float64]


def normal_scores(values: Array) -> Array:
    """The normal quantile of each value's rank: `(n,)`, ties at their mean rank.

    (rank - 1/2) / n, Hazen's plotting positions; any rising transformation of the values gives the
    same scores.
    """
    if len(values) == 0:
        return np.empty(0)
    return np.asarray(ndtri((rankdata(values) - 0.5) / len(values)))
