"""How the networks found do on data that neither training nor search has seen."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ray
import torch
from ray.exceptions import RayError

from nas_ray.evolution.archive import Archive
from nas_ray.record import Trial
from nas_ray.space import Config
from nas_ray.storage import Place
from nas_ray.tune.lightning import lightning_package, quiet_trainer
from nas_ray.tune.seeding import seed_everything
from nas_ray.tune.trial import WEIGHTS, LightningTrial


@dataclass(frozen=True, kw_only=True)
class _Job:
    config: Config
    checkpoint: Place


def test_networks(archive: Archive, trial: LightningTrial, chosen: Sequence[Trial]) -> None:
    """Run the `test_step` of the trained networks in `chosen` and keep what they log.

    Does nothing for a task or data without a test, or a network without a checkpoint.
    """
    if archive.record is None:
        return
    reference = ray.put(trial)
    running = {}
    for one in chosen:
        checkpoint = archive.record.checkpoint(one)
        if checkpoint is not None and not one.test:
            job = _Job(config=dict(one.config), checkpoint=checkpoint)
            running[_test.remote(reference, job)] = one.number
    while running:
        (done,), _ = ray.wait(list(running), num_returns=1)
        number = running.pop(done)
        try:
            metrics = ray.get(done)
        except RayError as error:
            # The search itself is done; its result must not depend on a test that breaks.
            warnings.warn(f"trial {number} could not be tested: {error}", UserWarning, stacklevel=2)
        else:
            if metrics:
                archive.add_test(number, metrics)


@ray.remote
def _test(trial: LightningTrial, job: _Job) -> dict[str, float]:
    torch.set_num_threads(1)
    network = trial.space.build(job.config)
    with job.checkpoint.file(WEIGHTS) as weights:
        network.load_state_dict(torch.load(weights, weights_only=True, map_location="cpu"))
    module = trial.task(network)
    package = lightning_package(module)
    data = trial.data_module()
    if not _has_test(module, data, package):
        return {}
    trainer = quiet_trainer(package, accelerator="cpu", enable_checkpointing=False)
    seed_everything(trial.seed)  # for the split of the training
    (metrics,) = trainer.test(module, datamodule=data, verbose=False)
    return {name: float(value) for name, value in metrics.items()}


def _has_test(module: Any, data: Any, package: Any) -> bool:
    """Whether both the module and the data override what Lightning leaves open."""
    tested = type(module).test_step is not package.LightningModule.test_step
    return tested and type(data).test_dataloader is not package.LightningDataModule.test_dataloader
