"""`LightningTrial`: one network trained by a Lightning Trainer inside a Ray Tune worker."""

import json
import logging
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ray import tune
from torch import nn

from nas_ray.device import Device
from nas_ray.errors import RecordError, SearchError
from nas_ray.evolution.costing import cost_candidates
from nas_ray.redaction import redacted
from nas_ray.space import Config, SearchSpace
from nas_ray.storage import Place
from nas_ray.tune.lightning import EpochReport, EpochSeeds, lightning_package, quiet_trainer
from nas_ray.tune.results import EPOCH, ERROR, RESUME_FROM, STORAGE_ERROR
from nas_ray.tune.seeding import seed_everything
from nas_ray.tune.shared_data import made

#: What a checkpoint folder holds: all that training needs to go on, the weights alone, the config.
TRAINER_STATE = "trainer.ckpt"
WEIGHTS = "network.pt"
CONFIG = "config.json"

Task = Callable[[nn.Module], Any]


@dataclass
class LightningTrial:
    """The trainable: builds the network of a config, trains it, reports every epoch.

    `task` takes the network and returns a LightningModule (of `pytorch_lightning` or
    `lightning.pytorch`); `data` is a LightningDataModule, or a function of no arguments that makes
    one, called once in each worker. Reported are every metric the module logs, and of `device` the
    costs: estimated once, repeated in every report, since a scheduler sees one report at a time.
    Each epoch leaves a checkpoint; a trial that is resumed goes on from its last.

    A failure (an exception, a metric that is not a number) is reported as a result under a
    `CascadeSearch`, since an exception would cost the worker; elsewhere it is raised.
    """

    space: SearchSpace
    task: Task
    data: Any
    device: Device | None = None
    max_epochs: int = 10
    seed: int = 0

    # Ray Tune names the trainable after this.
    __name__ = "LightningTrial"

    def __call__(self, config: dict[str, Any]) -> None:
        """Train the network of `config`; called by Ray Tune in a worker."""
        used = {name: value for name, value in config.items() if name != RESUME_FROM}
        try:
            self._train(self.space.canonical(used), config.get(RESUME_FROM, ""))
        except RecordError as error:
            if RESUME_FROM not in config:
                raise
            tune.report({STORAGE_ERROR: redacted(str(error))})
        except Exception:
            if RESUME_FROM not in config:
                raise
            tune.report({ERROR: redacted(traceback.format_exc())})

    def _train(self, config: Config, resume_from: str) -> None:
        accelerator = _use_what_was_promised()
        seed_everything(self.seed)
        network = self.space.build(config)
        (candidate,) = cost_candidates(self.space, self.device, [config])
        if candidate.error:
            raise SearchError(candidate.error)
        module = self.task(network)
        package = lightning_package(module)
        run = _Run(network=network, config=config, costs=candidate.costs)
        seeds = EpochSeeds(lambda epoch: seed_everything(self.seed, epoch + 1))
        report = EpochReport(run.report)
        trainer = quiet_trainer(
            package,
            accelerator=accelerator,
            max_epochs=self.max_epochs,
            callbacks=[seeds.as_callback(package), report.as_callback(package)],
            num_sanity_val_steps=0,
        )
        data = self.data_module()
        # However much was drawn before its setup: all networks are compared on the same split.
        seed_everything(self.seed)
        with _trainer_state(resume_from) as state:
            trainer.fit(module, datamodule=data, ckpt_path=state, weights_only=True)

    def data_module(self) -> Any:
        """The data module of this worker: made once, kept as long as the worker lives."""
        if "_made" not in self.__dict__:
            self.__dict__["_made"] = made(self.data)
        return self.__dict__["_made"]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_made"}


@dataclass(frozen=True, kw_only=True)
class _Run:
    """One network under training, and how its epochs are reported."""

    network: nn.Module
    config: Config
    costs: Mapping[str, float]

    def report(self, trainer: Any, metrics: Mapping[str, float]) -> None:
        try:
            self._report(trainer, metrics)
        except OSError as error:
            raise RecordError(
                f"the checkpoint of epoch {trainer.current_epoch + 1} cannot be written: {error}. "
                "Free some space or mend the permissions, then run the same command again: "
                "everything before this is kept."
            ) from error

    def _report(self, trainer: Any, metrics: Mapping[str, float]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            trainer.save_checkpoint(Path(folder) / TRAINER_STATE)
            torch.save(self.network.state_dict(), Path(folder) / WEIGHTS)
            (Path(folder) / CONFIG).write_text(json.dumps(self.config), encoding="utf-8")
            tune.report(
                {**metrics, **self.costs, EPOCH: trainer.current_epoch + 1},
                checkpoint=tune.Checkpoint.from_directory(folder),
            )


def _use_what_was_promised() -> str:
    """Set the threads, and tell Lightning's name of the accelerator, that the trial was promised.

    A reused worker keeps the thread count of its last trial, a fresh one takes every core; and a
    trial without a GPU may still see those that others were promised.
    """
    resources = tune.get_context().get_trial_resources()
    promised = resources.required_resources if resources else {}
    torch.set_num_threads(max(1, int(promised.get("CPU", 1))))
    for name in ("pytorch_lightning", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return "gpu" if promised.get("GPU") else "cpu"


@contextmanager
def _trainer_state(resume_from: str) -> Iterator[str | None]:
    """The file to go on from: of Ray's own checkpoint first, as it is never older."""
    checkpoint = tune.get_checkpoint()
    if checkpoint is None and resume_from:
        storage = tune.get_context().get_storage()
        checkpoint = tune.Checkpoint(resume_from, filesystem=storage.storage_filesystem)
    if checkpoint is None:
        yield None
        return
    place = Place(filesystem=checkpoint.filesystem, path=checkpoint.path, name=str(checkpoint.path))
    with ExitStack() as stack:
        try:
            path = stack.enter_context(place.file(TRAINER_STATE))
        except FileNotFoundError as error:
            raise SearchError(
                f"a checkpoint to resume from must hold {TRAINER_STATE}, but in {place.name} it is "
                "missing."
            ) from error
        except OSError as error:
            raise RecordError(
                f"the checkpoint {place.name} cannot be read: {error}. Check the network and the "
                "permissions, then run the same command again: everything before this is kept."
            ) from error
        yield str(path)
