"""Arguments of the wrong kind are refused where they are given, with what was meant."""

import pytest
import tiny_job
from torch import nn
from torch.utils.data import DataLoader

import nas_ray
from nas_ray.errors import NasRayError, RecordError, SearchError
from nas_ray.record import Record
from trainables.classification import Digits, ImageClassifier

ACCURACY = nas_ray.Objective("accuracy", "max")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"space": tiny_job.space}, r"needs a SearchSpace, .* Call the function that makes it"),
        ({"space": None}, "needs a SearchSpace, but got None"),
        ({"objectives": ["accuracy"]}, r"a list of Objective, such as \[Objective\("),
        ({"objectives": ACCURACY}, "`objectives` is a list of Objective"),
        ({"objectives": []}, "at least one objective"),
        ({"constraints": ["latency_ms<=0.06"]}, r"such as \[Constraint\(\"latency_ms\", upper="),
        ({"constraints": nas_ray.Constraint("macs", upper=9)}, "a list of Constraint"),
        ({"costs": "ethos-u85-2048"}, r"Load a device by its name: nas_ray.load_device"),
    ],
)
def test_an_evolution_says_what_it_takes(arguments, message):
    given = {"space": tiny_job.space(), "objectives": [ACCURACY], **arguments}
    space = given.pop("space")
    with pytest.raises(SearchError, match=message):
        nas_ray.EvolutionarySearch(space, **given)


def test_what_is_told_must_be_a_number():
    search = nas_ray.EvolutionarySearch(tiny_job.space(), objectives=[ACCURACY])
    with pytest.raises(SearchError, match=r"'accuracy' must be a number, but got '0\.9'"):
        search.tell(search.ask(), {"accuracy": "0.9"})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task": nn.Linear}, "a task is a LightningModule's class .* but got Linear"),
        ({"task": "ImageClassifier"}, "a task is .* but got 'ImageClassifier'"),
        ({"task": ImageClassifier(nn.Linear(1, 1))}, "Of a module made already pass the class"),
        ({"data": None}, "data are a LightningDataModule, .* but got None"),
        ({"data": DataLoader([])}, "Wrap dataloaders: LightningDataModule.from_datasets"),
        ({"data": list}, "data are a LightningDataModule, .* but got list"),
        ({"trials": "8"}, "trials must be at least 1 and a whole number, but got trials='8'"),
        ({"trials": 1.5}, "trials must be at least 1 and a whole number, but got trials=1.5"),
        (
            {"max_epochs": 0},
            "max_epochs must be at least 1 and a whole number, but got max_epochs=0",
        ),
    ],
)
def test_a_search_says_what_it_takes_before_it_leaves_anything(arguments, message, tmp_path):
    given = {"task": ImageClassifier, "data": Digits, **arguments}
    task, data = given.pop("task"), given.pop("data")
    with pytest.raises(NasRayError, match=message):
        nas_ray.search(
            tiny_job.space(), task, data, device="ethos-u85-2048", storage=tmp_path / "x", **given
        )
    assert not (tmp_path / "x").exists()


def test_of_two_differences_the_one_that_can_be_told_is_named(tmp_path):
    space = {"name": "s", "choices": {"a": [1, 2]}}
    Record.open(tmp_path, {"space": space, "seed": 0})
    other = {"name": "s", "choices": {"a": [1, 3]}}
    with pytest.raises(RecordError, match="its seed is 0, but this one has 1"):
        Record.open(tmp_path, {"space": other, "seed": 1})


def test_a_search_is_no_warm_start_of_itself(tmp_path, small_device):
    settings = {"device": small_device, "storage": tmp_path, "warm_starts": [tmp_path]}
    with pytest.raises(SearchError, match="is named as a warm start of itself"):
        nas_ray.search(tiny_job.space(), tiny_job.task, tiny_job.data, **settings)
