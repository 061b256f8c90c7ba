"""`SharedData`: loaded once, shared where that can be, and made by each worker where it cannot."""

import os
import threading
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import ray
import tiny_job
import torch
from torch import nn

import nas_ray
from nas_ray.errors import SearchError
from nas_ray.record import Record, Trial
from nas_ray.tune.shared_data import SharedData, shared
from trainables.classification import Digits, ImageClassifier

pytestmark = pytest.mark.usefixtures("local_ray")


class Marked(pl.LightningDataModule):
    """Holds an array, and leaves a line in a file for every process that sets it up."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file
        self.prepared = False

    def prepare_data(self) -> None:
        self.prepared = True

    def setup(self, stage: str) -> None:
        with self.file.open("a") as lines:
            lines.write(f"{stage} {os.getpid()}\n")
        self.pixels = np.arange(1_000_000.0)
        self.order = torch.randperm(1000)


@ray.remote
def look(data: SharedData) -> tuple[bool, bool, float, list[int]]:
    """What a worker finds: whether the array is its own, prepared or not, the order drawn."""
    torch.manual_seed(os.getpid())
    found = data()
    writeable = found.pixels.flags.writeable
    return writeable, found.prepared, found.pixels.sum(), found.order.tolist()


def test_data_are_loaded_once_and_every_worker_reads_the_same_memory(tmp_path):
    data = shared(lambda: Marked(tmp_path / "mark"), seed=0)
    for writeable, prepared, total, _ in ray.get([look.remote(data) for _ in range(4)]):
        assert not writeable
        assert prepared
        assert total == 999_999 * 1_000_000 / 2
    assert len((tmp_path / "mark").read_text().splitlines()) == 1


def test_an_instance_is_shared_as_what_a_function_makes(tmp_path):
    data = shared(Marked(tmp_path / "mark"), seed=0)
    assert not ray.get(look.remote(data))[0]
    assert len((tmp_path / "mark").read_text().splitlines()) == 1


def test_what_setup_draws_depends_on_the_seed_of_the_search_alone(tmp_path):
    orders = [
        ray.get(look.remote(shared(Marked(tmp_path / "mark"), seed=seed)))[3] for seed in (5, 5, 6)
    ]
    assert orders[0] == orders[1] != orders[2]


class Locked(Digits):
    """Cannot be sent to another process."""

    def __init__(self) -> None:
        super().__init__(batch_size=128)
        self.lock = threading.Lock()


class Drawn(Digits):
    """Draws its split anew whenever it is set up."""

    def setup(self, stage: str | None = None) -> None:
        super().setup(stage)
        self.draw = float(torch.rand(()))


class LogsTheDraw(ImageClassifier):
    def on_validation_epoch_end(self) -> None:
        self.log("draw", self.trainer.datamodule.draw)

    def on_test_epoch_end(self) -> None:
        self.log("draw", self.trainer.datamodule.draw)


class Deadly(Digits):
    """Takes the process with it that loads it for all."""

    def __init__(self) -> None:
        super().__init__(batch_size=128)
        if "_load" in (ray.get_runtime_context().get_task_name() or ""):
            os._exit(1)


class Broken(Digits):
    def setup(self, stage: str | None = None) -> None:
        raise FileNotFoundError("no pictures there")


def trials(folder: Path, device, task, data) -> list[Trial]:
    nas_ray.search(
        tiny_job.space(),
        task,
        data,
        device=device,
        trials=3,
        max_epochs=1,
        storage=folder,
        screen=nas_ray.Screen(pool=24, scored=8, kept=4),
        resources=nas_ray.Resources(max_concurrent=1),
    )
    return list(Record.read(folder).trials().values())


@pytest.mark.parametrize("data", [Locked, Deadly])
def test_data_that_cannot_be_sent_are_made_by_each_worker(data, tmp_path, small_device):
    found = trials(tmp_path, small_device, tiny_job.task, data)
    assert [trial.status for trial in found] == 3 * ["completed"]


def test_networks_of_any_size_are_compared_on_the_split_that_setup_draws(tmp_path, small_device):
    def task(network: nn.Module) -> LogsTheDraw:
        return LogsTheDraw(network, num_classes=10)

    found = trials(tmp_path, small_device, task, Drawn)
    assert len({trial.metrics["draw"] for trial in found}) == 1
    assert {trial.test["draw"] for trial in found if trial.test} == {found[0].metrics["draw"]}
    assert len({trial.costs["macs"] for trial in found}) == 3


def test_what_the_data_raise_is_said_in_the_end(tmp_path, small_device):
    with pytest.raises(SearchError, match="no pictures there"):
        trials(tmp_path, small_device, tiny_job.task, Broken)
