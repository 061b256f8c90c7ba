"""What a search is to improve, and what it must keep to. Direction lives here and nowhere else."""

import math
from dataclasses import dataclass

from nas_ray.errors import SearchError


@dataclass(frozen=True)
class Objective:
    """A reported quantity and whether more of it is better: `Objective("accuracy", "max")`."""

    metric: str
    direction: str

    def __post_init__(self) -> None:
        if self.direction not in ("min", "max"):
            raise SearchError(
                f"the direction of objective {self.metric!r} must be 'min' or 'max', "
                f"but got {self.direction!r}."
            )

    def minimised(self, value: float) -> float:
        """`value` with its sign turned where more is better, so that less always is."""
        return -value if self.direction == "max" else value


@dataclass(frozen=True)
class Constraint:
    """A bound on a reported quantity, in its own unit: `Constraint("latency_ms", upper=2.0)`."""

    metric: str
    upper: float = math.inf
    lower: float = -math.inf

    def __post_init__(self) -> None:
        bounds = (self.lower, self.upper)
        if any(math.isnan(b) for b in bounds) or not self.lower <= self.upper:
            raise SearchError(f"`lower <= upper` must hold for {self.metric!r}, but got {bounds}.")
        if bounds == (-math.inf, math.inf):
            raise SearchError(
                f"a constraint on {self.metric!r} needs a bound: pass upper=... or lower=..."
            )

    def violation(self, value: float) -> float:
        """By how much `value` breaks the bound; 0 where it does not, infinite for NaN."""
        if math.isnan(value):
            return math.inf
        return max(0.0, value - self.upper, self.lower - value)

    def __str__(self) -> str:
        lower = f"{self.lower:g} <= " if self.lower > -math.inf else ""
        upper = f" <= {self.upper:g}" if self.upper < math.inf else ""
        return f"{lower}{self.metric}{upper}"
