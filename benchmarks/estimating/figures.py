"""Figures of estimates beside what the compiler says.

Axes: `N` graphs.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import spearmanr

Figures = dict[str, Any]


def accuracy(
    estimate: ArrayLike,
    truth: ArrayLike,
    *,
    upper: ArrayLike | None = None,
    names: Sequence[str] = (),
) -> Figures:
    """Relative errors of `estimate` `(N,)` beside `truth` `(N,)`, all as shares, 0.1 for 10 %.

    `below_upper` is the share of truths that `upper` `(N,)` is not exceeded by; `worst` has its
    sign: above 0 the estimate is too high. Empty but for `n` where there are no graphs.
    """
    estimates, truths = np.asarray(estimate, dtype=float), np.asarray(truth, dtype=float)
    if not len(truths):
        return {"n": 0}
    signed = estimates / truths - 1
    errors = np.abs(signed)
    worst = int(errors.argmax())
    found: Figures = {
        "n": len(truths),
        "mape": float(errors.mean()),
        "mape_standard_error": float(errors.std(ddof=1) / len(errors) ** 0.5)
        if len(errors) > 1
        else None,
        "median": float(np.median(errors)),
        "bias": float(signed.mean()),
        "within_3_percent": float((errors <= 0.03).mean()),
        "within_10_percent": float((errors <= 0.1).mean()),
        "spearman": _spearman(estimates, truths),
        "worst": float(signed[worst]),
    }
    if names:
        found["worst_name"] = names[worst]
    if upper is not None:
        found["below_upper"] = float((truths <= np.asarray(upper)).mean())
    return found


def _spearman(estimates: ArrayLike, truths: ArrayLike) -> float | None:
    if np.ptp(estimates) == 0 or np.ptp(truths) == 0:
        return None
    return float(spearmanr(estimates, truths).statistic)


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Median, quartiles, extremes and how many."""
    low, median, high = np.quantile(values, (0.25, 0.5, 0.75))
    return {
        "n": len(values),
        "median": float(median),
        "quartile_1": float(low),
        "quartile_3": float(high),
        "lowest": min(values),
        "highest": max(values),
    }
