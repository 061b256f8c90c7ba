"""The border to Lightning: which package a module is of, and which numbers are refused."""

from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from nas_ray.errors import SearchError
from nas_ray.tune.lightning import EpochReport, lightning_package
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
