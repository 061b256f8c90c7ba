"""Image classification: the split of the digits, what training reports, and clear refusals."""

import pickle

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from search_spaces import classification as space_file
from trainables.classification import Digits, EpochOrder, ImageClassifier, data, one_cycle, task

# Both are Lightning's own: it asks torch about pytrees in a way that torch 2.13 deprecates, and it
# advises worker processes for any loader, which for 1,078 tensors in memory would only cost time.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning"),
]


def trainer(epochs: int, **options) -> pl.Trainer:
    return pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **options,
    )


def linear_network(outputs: int = 10) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, outputs))


@pytest.fixture(scope="module")
def digits() -> Digits:
    module = Digits()
    module.setup()
    return module


def parts(module: Digits) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    return {name: part.tensors for name, part in module._splits.items()}


def test_the_three_parts_are_disjoint_and_together_are_all_the_digits(digits):
    sizes = {name: len(labels) for name, (_, labels) in parts(digits).items()}
    assert sizes == {"train": 1078, "validation": 359, "test": 360}
    rows = [{row.numpy().tobytes() for row in images} for images, _ in parts(digits).values()]
    assert len(set.union(*rows)) == sum(map(len, rows)) == 1797


def test_every_class_has_the_same_share_in_every_part(digits):
    shares = [torch.bincount(labels) / len(labels) for _, labels in parts(digits).values()]
    for share in shares[1:]:
        torch.testing.assert_close(share, shares[0], atol=0.005, rtol=0)


def test_images_are_8x8_in_the_range_0_to_1(digits):
    images, labels = parts(digits)["train"]
    assert images.shape[1:] == (1, 8, 8)
    assert (images.min(), images.max()) == (0, 1)
    assert (images.dtype, labels.dtype) == (torch.float32, torch.int64)


def test_the_split_depends_on_the_seed_alone(digits):
    again, other = Digits(), Digits(seed=1)
    again.setup()
    other.setup()
    assert torch.equal(parts(again)["test"][0], parts(digits)["test"][0])
    assert not torch.equal(parts(other)["test"][0], parts(digits)["test"][0])


def test_data_that_was_not_set_up_travels_light():
    assert len(pickle.dumps(data())) < 2000


def test_the_order_of_an_epoch_is_the_same_whether_or_not_training_was_interrupted():
    straight, resumed = EpochOrder(50, seed=0), EpochOrder(50, seed=0)
    orders = []
    for epoch in range(3):
        straight.set_epoch(epoch)
        orders.append(list(straight))
    resumed.set_epoch(2)
    assert list(resumed) == orders[2] != orders[1]
    assert sorted(orders[2]) == list(range(50))


def test_resumed_training_ends_with_the_weights_of_uninterrupted_training(tmp_path):
    torch.manual_seed(0)
    start = linear_network()
    straight, first, second = (task(linear_network()) for _ in range(3))
    for module in (straight, first, second):
        module.network.load_state_dict(start.state_dict())
    trainer(3).fit(straight, data())

    class Save(pl.Callback):
        def on_train_epoch_end(self, trainer, module):
            if trainer.current_epoch == 0:
                trainer.save_checkpoint(tmp_path / "one.ckpt")

    trainer(3, callbacks=[Save()]).fit(first, data())
    trainer(3).fit(second, data(), ckpt_path=tmp_path / "one.ckpt", weights_only=True)
    for left, right in zip(straight.parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(left, right)


def test_two_epochs_of_a_small_network_learn_far_more_than_chance():
    space = space_file.space()
    config = {**space.baseline, "resolution": 24, "depth_multiplier": 0.5}
    torch.manual_seed(0)
    module = task(space.build(config))
    run = trainer(2)
    run.fit(module, data())
    assert {"accuracy", "loss"} <= set(run.callback_metrics)
    assert run.callback_metrics["accuracy"] > 0.5
    (result,) = run.test(module, data(), verbose=False)
    assert result["test_accuracy"] > 0.5


def test_a_perfect_network_has_accuracy_1_and_a_wrong_one_0():
    class Answer(nn.Module):
        def __init__(self, shift: int) -> None:
            super().__init__()
            self.shift = shift
            self.unused = nn.Parameter(torch.zeros(1))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            labels = images[:, 0, 0, 0].long()
            return nn.functional.one_hot((labels + self.shift) % 10, 10).float() + 0 * self.unused

    labels = torch.arange(10)
    images = labels.float().reshape(-1, 1, 1, 1).expand(-1, 1, 2, 2)
    batches = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(images, labels), batch_size=5
    )
    for shift, accuracy in ((0, 1.0), (1, 0.0)):
        (result,) = trainer(1).test(task(Answer(shift)), batches, verbose=False)
        assert result["test_accuracy"] == accuracy


@pytest.mark.parametrize(
    ("network", "returned"),
    [
        (linear_network(7), r"\(32, 7\)"),
        (nn.Conv2d(1, 10, 3), r"\(32, 10, 6, 6\)"),
        (nn.LSTM(8, 8), "tuple"),
    ],
    ids=["seven_outputs", "a_map", "a_tuple"],
)
def test_an_output_that_does_not_fit_is_refused_at_the_first_batch(network, returned):
    images, labels = torch.zeros(32, 1, 8, 8), torch.zeros(32, dtype=torch.long)
    images = images[:, 0] if isinstance(network, nn.LSTM) else images
    rule = rf"must return logits of shape \(N, num_classes\) = \(32, 10\).*returned {returned}"
    with pytest.raises(ValueError, match=rule):
        task(network).training_step((images, labels))


@pytest.mark.parametrize("label", [-1, 10])
def test_labels_outside_the_classes_are_refused(label):
    batch = torch.zeros(4, 1, 8, 8), torch.tensor([0, 1, 2, label])
    with pytest.raises(ValueError, match=r"labels must lie in 0\.\.9, but they reach"):
        task(linear_network()).validation_step(batch)


def test_the_learning_rate_rises_and_falls_to_zero():
    values = [one_cycle(n / 100) for n in range(101)]
    assert values[20] == 1.0 == max(values)
    assert values[:21] == sorted(values[:21])
    assert values[20:] == sorted(values[20:], reverse=True)
    assert values[100] == pytest.approx(0)


def test_the_network_is_the_one_that_was_passed():
    network = linear_network()
    assert ImageClassifier(network, learning_rate=0.1).network is network
