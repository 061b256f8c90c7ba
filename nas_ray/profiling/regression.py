"""The one place where a profile asks the latency regression how well it does."""

from collections.abc import Iterable

import numpy as np

from nas_ray.errors import DeviceError
from nas_ray.estimate.latency import fit
from nas_ray.graph import parse_signature
from nas_ray.measure.table import Row


def held_out_errors(rows: Iterable[Row], parallelism_factor: int) -> dict[str, float]:
    """Relative error of each row, estimated without it; empty while there are too few to fit.

    Depends on the rows, not on their order: several workers do not measure in order.
    """
    ordered = sorted(rows, key=lambda row: row.signature)
    graphs = [parse_signature(row.signature) for row in ordered]
    try:
        model = fit(graphs, np.array([row.latency_ms for row in ordered]), parallelism_factor)
    except DeviceError:
        return {}
    errors = np.abs(np.expm1(-model.residuals))
    return {row.signature: float(e) for row, e in zip(ordered, errors, strict=True)}
