"""Constraints as Optuna keeps them on a trial: by name, kept where the value is at most 0."""

import math
from collections.abc import Mapping, Sequence

from nas_ray.objective import Constraint


def constraint_values(
    constraints: Sequence[Constraint], metrics: Mapping[str, float]
) -> dict[str, float]:
    """By how much each constraint is broken, negative where there is room left.

    One on a quantity that `metrics` do not tell is left out.
    """
    return {
        str(c): max(metrics[c.quantity] - c.upper, c.lower - metrics[c.quantity])
        for c in constraints
        if not math.isnan(metrics.get(c.quantity, math.nan))
    }
