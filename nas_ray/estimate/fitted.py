"""A fitted regression as arrays in a file: what is loaded is numbers, never a pickle."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, fields
from lzma import LZMAError
from typing import Any
from zipfile import ZIP_LZMA, BadZipFile, ZipFile, ZipInfo

import numpy as np
from numpy.typing import NDArray

from nas_ray.estimate.coverage import as_arrays
from nas_ray.estimate.coverage import from_arrays as coverage_from_arrays
from nas_ray.estimate.features import VERSION
from nas_ray.estimate.hardware import Hardware
from nas_ray.estimate.interval import Calibration, Joining
from nas_ray.estimate.latency import LatencyModel
from nas_ray.estimate.roofline import Roofline
from nas_ray.estimate.trees import from_arrays

_FACTORS = ("factor", "additivity")


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Of held-out rows: mean absolute error relative to the table, share within 10 %."""

    mape: float
    within_10_percent: float
    subgraphs: int


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A regression, how far off it may be, and how far off it was on rows it had not seen."""

    model: LatencyModel
    calibration: Calibration
    accuracy: Accuracy


def packed(fit: Fit, key: str) -> bytes:
    """`fit` as the bytes of an `.npz` file; `key` tells what it was fitted to."""
    model, calibration, accuracy = fit.model, fit.calibration, fit.accuracy
    arrays: dict[str, Any] = {
        "key": np.array(f"{VERSION} {key}"),
        "roofs": model.roofline.roofs,
        "weights": model.roofline.weights,
        **as_arrays(model.coverage),
        **model.trees.arrays("trees_"),
        **model.paying.arrays("paying_"),
        **(model.doubt.arrays("doubt_") if model.doubt else {}),
        **calibration.difficulty.arrays("difficulty_"),
        **{f"calibration_{name}": getattr(calibration, name) for name in _FACTORS},
        "familiar": calibration.familiar,
        **{f"joining_{f.name}": getattr(calibration.joining, f.name) for f in fields(Joining)},
        **{f"accuracy_{f.name}": getattr(accuracy, f.name) for f in fields(accuracy)},
    }
    return _zipped(arrays)


def _zipped(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """What `np.savez_compressed` writes, a quarter smaller: it is sent along with every trial."""
    file = io.BytesIO()
    with ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            entry = ZipInfo(f"{name}.npy")  # with no date: one fit makes one file
            entry.compress_type = ZIP_LZMA
            content = io.BytesIO()
            np.lib.format.write_array(content, np.asarray(array), allow_pickle=False)
            archive.writestr(entry, content.getvalue())
    return file.getvalue()


def unpacked(data: bytes, key: str | None, hardware: Hardware) -> Fit | None:
    """What `packed` gave, or None where it cannot be read or was fitted to another `key`."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = dict(file)
        version, _, fitted_to = str(arrays["key"]).partition(" ")
        if version != str(VERSION) or key not in {None, fitted_to}:
            return None
        return _from_arrays(arrays, hardware)
    except (KeyError, ValueError, OSError, EOFError, BadZipFile, LZMAError):
        return None


def _from_arrays(arrays: dict[str, NDArray[Any]], hardware: Hardware) -> Fit:
    return Fit(
        model=LatencyModel(
            hardware=hardware,
            roofline=Roofline(roofs=arrays["roofs"], weights=arrays["weights"]),
            trees=from_arrays(arrays, "trees_"),
            paying=from_arrays(arrays, "paying_"),
            doubt=from_arrays(arrays, "doubt_") if "doubt_value" in arrays else None,
            coverage=coverage_from_arrays(arrays),
        ),
        calibration=Calibration(
            difficulty=from_arrays(arrays, "difficulty_"),
            joining=Joining(
                constant=float(arrays["joining_constant"]),
                **{name: arrays[f"joining_{name}"] for name in ("weights", "low", "high")},
            ),
            familiar=arrays["familiar"],
            **{name: float(arrays[f"calibration_{name}"]) for name in _FACTORS},
        ),
        accuracy=Accuracy(
            mape=float(arrays["accuracy_mape"]),
            within_10_percent=float(arrays["accuracy_within_10_percent"]),
            subgraphs=int(arrays["accuracy_subgraphs"]),
        ),
    )
