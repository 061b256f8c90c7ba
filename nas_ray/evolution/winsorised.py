"""Values on a scale where the better half is resolved and the tail of bad ones is short.

Accuracies crowd near the best and have a long tail of networks that learned nothing, which would
decide the fit of any model. By ranks (normal scores) the tail is gone, but the few best ones are
pulled apart, and a model then expects nothing to beat them. So values far worse than the median are
held near it.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Values are held where they are this many times as far below the median as the best is above it.
_REACH = 2.0
#: What is left of differences beyond, so that their order stays.
_REMAINDER = 1e-6


def winsorised(values: Array) -> tuple[Array, float]:
    """Minimised `values` `(n,)`, the bad tail held, standardised; the order stays as it is.

    With them comes the difference of values that is 1 between those.
    """
    if len(values) == 0:
        return np.empty(0), 1.0
    median, best = float(np.median(values)), float(values.min())
    # Where half of the values are the best there is no better half to take a scale from.
    reach = _REACH * (median - best) if median > best else float(np.ptp(values))
    excess = np.maximum(values - median - reach, 0.0)
    held = values - excess * (1 - _REMAINDER)
    deviation = float(held.std()) or 1.0
    return np.asarray((held - held.mean()) / deviation), deviation
