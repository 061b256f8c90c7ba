"""Fit a device's regression to its table, and hold parts of it out to see how far off it is."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nas_ray.errors import DeviceError
from nas_ray.estimate.boosting import fit_small_trees
from nas_ray.estimate.calibrating import calibrate
from nas_ray.estimate.fitted import Accuracy, Fit
from nas_ray.estimate.hardware import Hardware
from nas_ray.estimate.latency import LatencyModel, inputs, work_of
from nas_ray.estimate.operator_table import Array
from nas_ray.estimate.regression import fit_latency
from nas_ray.estimate.samples import Measured, Samples, samples
from nas_ray.estimate.trees import Trees

#: Rows are held out in so many parts: few while a table still grows, more for the bounds of a
#: fitted device, so that what they are made from is nearly the regression that they are for.
FOLDS, FOLDS_FOR_BOUNDS = 4, 5
_FEWEST_ROWS = 30
#: No operator counts as estimated better than this.
_LEAST_ERROR = 1e-3


def fit(measured: Sequence[Measured], hardware: Hardware) -> Fit:
    """The regression on all rows; its margins come from regressions that had not seen a fold.

    The same rows give the same fit in any order. Raises DeviceError for a table too small to hold
    a part of it out.
    """
    _check_count(measured)
    found = samples(measured)
    held_out_ms = _held_out_ms(found, hardware, FOLDS_FOR_BOUNDS)
    errors = _errors(found, held_out_ms)
    model = fit_latency(found, hardware, np.ones(len(measured), dtype=np.bool_))
    return Fit(
        model=replace(model, doubt=_doubt(found, held_out_ms, model)),
        calibration=calibrate(found, held_out_ms, hardware.additivity, FOLDS_FOR_BOUNDS),
        accuracy=Accuracy(
            mape=float(errors.mean()),
            within_10_percent=float((errors <= 0.1).mean()),
            subgraphs=len(errors),
        ),
    )


def _doubt(found: Samples, held_out_ms: Array, model: LatencyModel) -> Trees | None:
    """Fit how far off operators were that a regression had not seen; None where none is known."""
    known = found.operators_ms > 0
    if not known.any():
        return None
    hardware, table = model.hardware, found.table
    rows, _ = inputs(table, work_of(table, hardware), model.roofline, hardware)
    errors = np.abs(held_out_ms[known] / found.operators_ms[known] - 1)
    return fit_small_trees(rows[known], np.log(errors + _LEAST_ERROR))


def held_out_errors(measured: Sequence[Measured], hardware: Hardware, folds: int = FOLDS) -> Array:
    """`(N,)` relative errors of the rows, each estimated by a regression that had not seen it.

    Raises DeviceError for a table too small to hold a part of it out.
    """
    _check_count(measured)
    found = samples(measured)
    errors = np.zeros(len(measured))
    errors[found.order] = _errors(found, _held_out_ms(found, hardware, folds))
    return errors


def _check_count(measured: Sequence[Measured]) -> None:
    if len(measured) < _FEWEST_ROWS:
        raise DeviceError(
            f"a latency model needs at least {_FEWEST_ROWS} measured subgraphs, but the table has "
            f"{len(measured)}. Measure more with `nas-ray profile`."
        )


def _held_out_ms(found: Samples, hardware: Hardware, folds: int) -> Array:
    """`(O,)`: each operator as a regression has it that did not see its row."""
    fold = found.fold % folds
    result = np.zeros(len(found.table))
    for k in range(folds):
        predicted = fit_latency(found, hardware, fold != k).operators_ms(found.table)
        result = np.where(fold[found.operator_row] == k, predicted, result)
    return result


def _errors(found: Samples, predicted_ms: Array) -> Array:
    return np.asarray(np.abs(found.row_total(predicted_ms) / found.latency_ms - 1))
