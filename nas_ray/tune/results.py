"""What a trial reports to Ray Tune, and how it is read back."""

from collections.abc import Mapping
from numbers import Real
from pathlib import Path
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.result import AUTO_RESULT_KEYS

from nas_ray.errors import SearchError
from nas_ray.evolution.archive import Archive

#: Epochs trained, counted over interruptions (Ray's own training_iteration starts anew).
EPOCH = "epoch"
#: The traceback of a trial that failed: reported, because an exception would cost the worker.
ERROR = "__error__"
#: Why the storage of the search cannot be written: no fault of the network, so the search ends.
STORAGE_ERROR = "__storage_error__"
#: In a config that `CascadeSearch` suggests: the checkpoint folder to go on from, or "". It also
#: says that failures may be reported as results; elsewhere in Ray Tune they must be raised.
RESUME_FROM = "__resume_from__"

_RAYS_OWN = frozenset(
    {*AUTO_RESULT_KEYS, "checkpoint_dir_name", "done", "should_checkpoint", "trial_id"}
)


def numbers_in(result: Mapping[str, Any]) -> dict[str, float]:
    """The metrics of a report without what Ray adds to it."""
    return {
        name: float(value)
        for name, value in result.items()
        if isinstance(value, Real)
        and name not in _RAYS_OWN
        and not name.startswith("config/")
        and name != EPOCH
    }


def checkpoint_of(archive: Archive, trial: Trial, result: Mapping[str, Any]) -> str:
    """The report's checkpoint folder relative to the record's place; empty where there is none.

    Raises SearchError where Ray Tune keeps its checkpoints outside of that.
    """
    name = result.get("checkpoint_dir_name")
    if not name or archive.record is None or trial.storage is None:
        return ""
    folder = Path(trial.storage.trial_fs_path) / name
    place = archive.record.place
    if not folder.is_relative_to(place.path):
        raise SearchError(
            f"checkpoints must lie in the folder of the record, {place.name}, but Ray Tune writes "
            f"them to {folder}. Pass RunConfig(storage_path=record.place.path, "
            "storage_filesystem=record.filesystem)."
        )
    return str(folder.relative_to(place.path).as_posix())
