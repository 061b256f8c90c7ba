"""Metric names end in their unit (`latency_ms`); here they are read for people."""

import math
from dataclasses import dataclass

#: Last part of a metric name, the unit shown for it, and what a value is multiplied by.
_UNITS = {
    "ms": ("ms", 1.0),
    "s": ("s", 1.0),
    "bytes": ("KiB", 1 / 1024),
    "mj": ("mJ", 1.0),
    "hz": ("MHz", 1e-6),
    "share": ("%", 100.0),
}
_NOTHING = "–"


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """How a metric is shown: its title, its unit (may be empty) and the factor to that unit.

    A count is shown as the whole number that it is.
    """

    title: str
    unit: str = ""
    scale: float = 1.0
    is_count: bool = False

    @property
    def label(self) -> str:
        """Title and unit: `latency (ms)`."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    def text(self, value: float) -> str:
        """`value`, given in the metric's own unit, with four digits; a dash for NaN."""
        if math.isnan(value):
            return _NOTHING
        shown = value * self.scale
        return f"{shown:,.0f}" if self.is_count or abs(shown) >= 999.95 else f"{shown:#.4g}"


def quantity(metric: str) -> Quantity:
    """The quantity that `metric` names: `peak_memory_bytes` is peak memory, shown in KiB.

    A unit inside the name counts too (`latency_ms_upper`); a name without one is shown as it is.
    """
    if metric == "macs":
        return Quantity(title="MACs", unit="M", scale=1e-6)
    if metric == "host_operators":
        return Quantity(title="host operators", is_count=True)
    words = metric.split("_")
    for position in range(len(words) - 1, 0, -1):
        if words[position] in _UNITS:
            unit, scale = _UNITS[words[position]]
            rest = words[:position] + words[position + 1 :]
            return Quantity(title=" ".join(rest), unit=unit, scale=scale)
    return Quantity(title=" ".join(words))


def percent(change: float) -> str:
    """A relative change as a person reads it: -0.43 is `-43 %`, 0.021 `+2.1 %`; a dash for NaN."""
    if math.isnan(change):
        return _NOTHING
    digits = 0 if abs(change) >= 0.0995 else 1
    return f"{100 * change:+z.{digits}f} %"


def duration(seconds: float) -> str:
    """A time as a person reads it: `3 min 07 s`, `2 h 05 min`."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
