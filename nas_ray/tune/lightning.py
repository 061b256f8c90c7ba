"""The border to Lightning, which has two names: `pytorch_lightning` and `lightning.pytorch`."""

import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from nas_ray.errors import SearchError

_PACKAGES = ("pytorch_lightning", "lightning.pytorch")


def lightning_package(module: Any) -> Any:
    """The Lightning package of `module`: a Trainer of one refuses modules of the other.

    Raises SearchError for anything that is not a LightningModule.
    """
    name = _package_of(type(module), "LightningModule")
    if name is None:
        raise SearchError(
            "a task must return a LightningModule for the network it is given, but it returned "
            f"{type(module).__name__}. Pass a class that takes the network first, or a function."
        )
    return importlib.import_module(name)


def require_task(task: Any) -> None:
    """Raise SearchError for what can be no task, before anything is trained."""
    name = getattr(task, "__name__", repr(task))
    is_other_class = isinstance(task, type) and not _package_of(task, "LightningModule")
    if is_other_class or isinstance(task, nn.Module) or not callable(task):
        raise SearchError(
            "a task is a LightningModule's class that takes the network first, or a function from "
            f"a network to a LightningModule, but got {name}. Of a module made already pass the "
            "class."
        )


def require_data(data: Any) -> None:
    """Raise SearchError for what can be no data, before anything is trained."""
    kind = data if isinstance(data, type) else type(data)
    is_function = callable(data) and not isinstance(data, type)
    if not is_function and not _package_of(kind, "LightningDataModule"):
        raise SearchError(
            "data are a LightningDataModule, or a class or function that makes one without "
            f"arguments, but got {getattr(data, '__name__', repr(data))}. Wrap dataloaders: "
            "LightningDataModule.from_datasets."
        )


def _package_of(kind: type, base_name: str) -> str | None:
    """The Lightning that a class has `base_name` from."""
    for base in kind.__mro__:
        for name in _PACKAGES:
            if base.__name__ == base_name and base.__module__.startswith(f"{name}."):
                return name
    return None


def quiet_trainer(package: Any, *, accelerator: str, **settings: Any) -> Any:
    """A Trainer of `package` on one device that prints and writes nothing by itself."""
    return package.Trainer(
        accelerator=accelerator,
        devices=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **settings,
    )


@dataclass(frozen=True)
class EpochSeeds:
    """Calls `seed(epoch)` before each epoch draws anything.

    What an epoch draws (order of samples, dropout) then does not depend on whether the epochs
    before it ran in the same process: a trial that is trained on from its checkpoint is trained as
    if it had never stopped.
    """

    seed: Callable[[int], None]

    def as_callback(self, package: Any) -> Any:
        """The seeds as a callback of `package`, either Lightning."""
        outer = self

        class _Callback(package.Callback):  # type: ignore[misc]  # known at run time
            def on_train_epoch_start(self, trainer: Any, *args: Any) -> None:
                outer.seed(trainer.current_epoch)
                if trainer.fit_loop.is_resuming:
                    # Of the first epoch after a checkpoint the order of samples is drawn already.
                    iter(trainer.fit_loop._data_fetcher)  # noqa: SLF001 - no public way to redraw

        return _Callback()


@dataclass(frozen=True)
class EpochReport:
    """Hands the metrics of every epoch to `report(trainer, metrics)`, after checking them."""

    report: Callable[[Any, Mapping[str, float]], None]

    def as_callback(self, package: Any) -> Any:
        """The report as a callback of `package`, either Lightning."""
        outer = self

        # Lightning runs callbacks of this kind last, after the module's own hook: by then
        # everything of the epoch has been logged.
        class _Callback(package.callbacks.Checkpoint):  # type: ignore[misc]  # known at run time
            def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
                outer.check_loss(trainer, args[1])

            def on_train_epoch_end(self, trainer: Any, *args: Any) -> None:
                outer.report(trainer, outer.metrics(trainer))

            def on_save_checkpoint(self, trainer: Any, *args: Any) -> None:
                # Arguments of the module, perhaps with the network: training on needs none of
                # them, and a checkpoint without them is read back without unpickling objects.
                args[1].pop("hyper_parameters", None)
                args[1].pop("datamodule_hyper_parameters", None)

        return _Callback()

    def check_loss(self, trainer: Any, outputs: Any) -> None:
        """Raise SearchError once the training loss is not finite; looked at once an epoch."""
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if trainer.is_last_batch and loss is not None and not math.isfinite(float(loss)):
            raise SearchError(
                f"the training loss must be finite, but is {float(loss)} in epoch "
                f"{trainer.current_epoch + 1}. Lower the learning rate, or look for a division by "
                "zero in the loss."
            )

    def metrics(self, trainer: Any) -> dict[str, float]:
        """What the module logged by the end of this epoch. Raises SearchError for a NaN."""
        found = {
            name: float(value)
            for name, value in trainer.callback_metrics.items()
            if not name.endswith("_step")
        }
        for name, value in found.items():
            if not math.isfinite(value):
                raise SearchError(
                    f"metric {name!r} must be finite, but is {value} in epoch "
                    f"{trainer.current_epoch + 1}."
                )
        return found
