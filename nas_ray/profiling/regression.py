"""The one place where a profile asks the latency regression how well it does."""

from collections.abc import Iterable

from nas_ray.device import as_measured
from nas_ray.errors import DeviceError
from nas_ray.estimate import fitting
from nas_ray.estimate.hardware import Hardware
from nas_ray.measure.table import Row


def held_out_errors(rows: Iterable[Row], hardware: Hardware) -> dict[str, float]:
    """Relative error of each row, estimated without it; empty while there are too few to fit.

    Depends on the rows, not on their order: several workers do not measure in order.
    """
    listed = list(rows)
    try:
        errors = fitting.held_out_errors(as_measured(listed), hardware)
    except DeviceError:
        return {}
    return {row.signature: float(e) for row, e in zip(listed, errors, strict=True)}
