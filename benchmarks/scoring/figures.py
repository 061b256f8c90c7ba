"""How well a score ranks trained networks.

Notation: `M` networks; `score` and `accuracy` are `(M,)`, higher is better.
"""

from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

Array = NDArray[np.float64]

#: Networks count as equal in FLOPs where they differ by at most this share of the larger.
EQUAL = 0.05
#: The best of the truth that are to be kept, and how many are kept.
TOP, KEPT = 0.1, 0.25


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Kendall tau, the same among pairs of equal FLOPs, and the recall of the best."""

    tau: float
    tau_equal_flops: float
    recall: float


def figures(score: Array, accuracy: Array, flops: Array) -> Figures:
    """The three figures of one score; a score that is nan ranks lowest."""
    score = np.where(np.isnan(score), -np.inf, score)
    # By ranks: kendalltau takes the difference of two infinities for nan.
    _, ranks = np.unique(score, return_inverse=True)
    return Figures(
        tau=float(kendalltau(ranks, accuracy).statistic) if ranks.any() else 0.0,
        tau_equal_flops=tau_of_pairs(ranks.astype(float), accuracy, _equal(flops)),
        recall=recall(ranks.astype(float), accuracy),
    )


def tau_of_pairs(score: Array, accuracy: Array, pairs: NDArray[np.intp]) -> float:
    """Kendall's tau b over `pairs` `(P, 2)` of networks alone."""
    first, second = pairs.T
    one, other = (np.sign(values[first] - values[second]) for values in (score, accuracy))
    untied = np.abs(one).sum() * np.abs(other).sum()
    return float((one * other).sum() / np.sqrt(untied)) if untied else 0.0


def recall(score: Array, accuracy: Array) -> float:
    """Share of the best tenth by accuracy among the best quarter by score.

    Networks that tie at the border of the quarter are in it by the share that there is room for.
    """
    kept, best = ceil(KEPT * len(score)), ceil(TOP * len(score))
    is_best = np.zeros(len(score), dtype=bool)
    is_best[np.argsort(-accuracy, kind="stable")[:best]] = True
    border = np.sort(score)[-kept]
    above, tied = score > border, score == border
    room = (kept - above.sum()) / tied.sum()
    return float(((is_best & above).sum() + room * (is_best & tied).sum()) / best)


def _equal(flops: Array) -> NDArray[np.intp]:
    """Indices of the pairs whose FLOPs are equal enough: `(P, 2)`."""
    order = np.argsort(flops, kind="stable")
    ordered = flops[order]
    # The smaller of a pair is at least (1 - EQUAL) times the larger.
    begin = np.searchsorted(ordered, ordered * (1 - EQUAL))
    larger = np.repeat(np.arange(len(flops)), np.arange(len(flops)) - begin)
    smaller = np.concatenate([np.arange(b, n) for n, b in enumerate(begin)])
    return np.stack([order[smaller], order[larger]], axis=1)
