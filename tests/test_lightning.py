"""The border to Lightning: which package a module is of, and which numbers are refused."""

from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from nas_ray.errors import SearchError
from nas_ray.tune.lightning import EpochReport, EpochSeeds, lightning_package, quiet_trainer
from nas_ray.tune.seeding import seed_everything
from trainables.classification import ImageClassifier


def report() -> EpochReport:
    return EpochReport(lambda trainer, metrics: None)


def trainer(**state) -> SimpleNamespace:
    """As much of a Trainer as the report reads."""
    return SimpleNamespace(current_epoch=4, is_last_batch=True, callback_metrics={}, **state)


def test_the_package_of_a_module_is_found_through_its_bases():
    assert lightning_package(ImageClassifier(nn.Flatten())) is pl


@pytest.mark.parametrize(
    "value", [nn.Flatten(), None, ImageClassifier], ids=["module", "none", "class"]
)
def test_what_is_no_lightning_module_is_refused(value):
    with pytest.raises(SearchError, match="must return a LightningModule"):
        lightning_package(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")], ids=["nan", "inf"])
def test_a_metric_that_is_no_number_is_refused_with_its_name_and_epoch(value):
    broken = trainer()
    broken.callback_metrics = {"accuracy": torch.tensor(value)}
    with pytest.raises(
        SearchError, match=rf"metric 'accuracy' must be finite, but is {value} in epoch 5"
    ):
        report().metrics(broken)


@pytest.mark.parametrize(
    "outputs", [torch.tensor(float("nan")), {"loss": torch.tensor(float("nan"))}]
)
def test_a_loss_that_is_no_number_is_refused_with_what_to_try(outputs):
    with pytest.raises(SearchError, match=r"training loss must be finite.*learning rate"):
        report().check_loss(trainer(), outputs)


def test_metrics_of_single_steps_are_left_out():
    told = trainer()
    told.callback_metrics = {"loss_step": torch.tensor(1.0), "loss_epoch": torch.tensor(2.0)}
    assert report().metrics(told) == {"loss_epoch": 2.0}


class Noisy(pl.LightningModule):
    """Draws random numbers in its dropout, and validates with some more."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 1))

    def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
        return self.layers(batch[0]).square().mean()

    def validation_step(self, batch: list[torch.Tensor]) -> None:
        self.log("loss", self.layers(batch[0] + torch.randn(1)).square().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)


class Shuffled(pl.LightningDataModule):
    """Forty samples in another order every epoch, perhaps loaded by another process."""

    def __init__(self, workers: int) -> None:
        super().__init__()
        self.workers = workers
        samples = torch.linspace(-1, 1, 160).reshape(40, 4)
        self.samples = torch.utils.data.TensorDataset(samples)

    def train_dataloader(self) -> torch.utils.data.DataLoader:
        return torch.utils.data.DataLoader(self.samples, 8, shuffle=True, num_workers=self.workers)

    def val_dataloader(self) -> torch.utils.data.DataLoader:
        return torch.utils.data.DataLoader(self.samples, 8)


def trained(folder: Path, workers: int, first: int, checkpoint: Path | None = None) -> torch.Tensor:
    """The weights after four epochs of seed 3, in a process that drew other numbers before."""
    torch.manual_seed(first)
    module = Noisy()
    module.load_state_dict({k: torch.full_like(v, 0.1) for k, v in module.state_dict().items()})

    def save(trainer: pl.Trainer, metrics: dict[str, float]) -> None:
        if checkpoint is None:
            trainer.save_checkpoint(folder / f"{trainer.current_epoch + 1}.ckpt")

    seeds = EpochSeeds(lambda epoch: seed_everything(3, epoch + 1))
    trainer = quiet_trainer(
        pl,
        accelerator="cpu",
        max_epochs=4,
        callbacks=[seeds.as_callback(pl), EpochReport(save).as_callback(pl)],
        num_sanity_val_steps=0,
    )
    trainer.fit(module, datamodule=Shuffled(workers), ckpt_path=checkpoint, weights_only=True)
    return torch.cat([weight.flatten() for weight in module.parameters()]).detach()


# What Lightning says to its own developers, and of few workers and batches.
LIGHTNINGS_OWN = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")


@LIGHTNINGS_OWN
@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("epochs", [1, 3])
def test_epochs_after_a_checkpoint_draw_what_they_would_have_drawn(epochs, workers, tmp_path):
    whole = trained(tmp_path, workers, first=0)
    resumed = trained(tmp_path, workers, first=1, checkpoint=tmp_path / f"{epochs}.ckpt")
    assert torch.equal(resumed, whole)


@LIGHTNINGS_OWN
def test_epochs_differ_from_one_another(tmp_path):
    trained(tmp_path, 0, first=0)
    drawn = [torch.load(tmp_path / f"{n}.ckpt", weights_only=True)["state_dict"] for n in (1, 2, 3)]
    assert not any(torch.equal(a["layers.0.bias"], b["layers.0.bias"]) for a, b in pairwise(drawn))
