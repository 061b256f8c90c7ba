"""What a search is to improve, and what it must keep to. Direction lives here and nowhere else."""

import math
from dataclasses import dataclass
from numbers import Real

from nas_ray.errors import SearchError

#: The level of the interval of an estimate, and the one quantity that has an interval.
CONFIDENCE = 0.95
_WITH_INTERVAL = "latency_ms"


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
    """A bound on a reported quantity, in its own unit: `Constraint("latency_ms", upper=2.0)`.

    With `confidence=0.95` it is not the estimate that must keep the upper bound but the end of
    its 95 % interval, so that of the networks allowed at most one in twenty takes longer; 0.95 is
    the level for which estimates are calibrated. Networks unlike the table of a device have no such
    interval, only a wider guess: `Constraint("outside_share", upper=0.1)` leaves them out.
    `quantity` names what is compared.
    """

    metric: str
    upper: float = math.inf
    lower: float = -math.inf
    confidence: float | None = None

    def __post_init__(self) -> None:
        bounds = (self.lower, self.upper)
        if not all(isinstance(bound, Real) for bound in bounds):
            raise SearchError(f"bounds on {self.metric!r} must be numbers, but got {bounds}.")
        if any(math.isnan(b) for b in bounds) or not self.lower <= self.upper:
            raise SearchError(f"`lower <= upper` must hold for {self.metric!r}, but got {bounds}.")
        if bounds == (-math.inf, math.inf):
            raise SearchError(
                f"a constraint on {self.metric!r} needs a bound: pass upper=... or lower=..."
            )

        if self.confidence is not None:
            self._check_confidence()

    def _check_confidence(self) -> None:
        if self.confidence != CONFIDENCE or self.metric != _WITH_INTERVAL:
            raise SearchError(
                f"a confidence is for {_WITH_INTERVAL!r} alone, and must be {CONFIDENCE}, for "
                "which its estimates are calibrated, but got "
                f"{self.confidence} for {self.metric!r}."
            )
        if self.lower > -math.inf:
            raise SearchError(
                f"a confidence belongs to an upper bound, but {self.metric!r} has lower="
                f"{self.lower:g} too. Pass two constraints."
            )

    @property
    def quantity(self) -> str:
        """The reported quantity that is compared with the bounds."""
        return f"{self.metric}_upper" if self.confidence is not None else self.metric

    def violation(self, value: float) -> float:
        """By how much `value` breaks the bound; 0 where it does not, infinite for NaN."""
        if math.isnan(value):
            return math.inf
        return max(0.0, value - self.upper, self.lower - value)

    def __str__(self) -> str:
        lower = f"{self.lower:g} <= " if self.lower > -math.inf else ""
        upper = f" <= {self.upper:g}" if self.upper < math.inf else ""
        return f"{lower}{self.quantity}{upper}"
