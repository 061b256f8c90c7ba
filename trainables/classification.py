"""Image classification: a LightningModule around any network, and scikit-learn's digits as data."""

import math
from collections.abc import Iterator

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler, TensorDataset
from torchmetrics.classification import MulticlassAccuracy

Batch = tuple[Tensor, Tensor]


def task(network: nn.Module) -> "ImageClassifier":
    """Wrap a network with ten outputs; what `nas-ray` loads by name."""
    return ImageClassifier(network, num_classes=Digits.num_classes)


def data() -> "Digits":
    """Make the digits; what `nas-ray` loads by name."""
    return Digits()


class ImageClassifier(pl.LightningModule):
    """Trains `network`, images `(N, C, H, W)` to logits `(N, num_classes)`, by cross-entropy.

    AdamW under one cycle: the learning rate rises to `learning_rate` and falls to zero over the
    steps that the trainer is going to make. Logs `accuracy` and `loss` on validation data,
    `test_accuracy` on test data. Raises ValueError for logits or labels that do not fit.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        num_classes: int = 10,
        learning_rate: float = 4e-3,
        weight_decay: float = 0.02,
        label_smoothing: float = 0.1,
    ) -> None:
        super().__init__()
        # Convolutions on a CPU run up to twice as fast with the channels innermost.
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
        self.num_classes = num_classes
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.loss = nn.CrossEntropyLoss(label_smoothing=label_smoothing)
        self.accuracy = MulticlassAccuracy(num_classes, average="micro")
        self.test_accuracy = MulticlassAccuracy(num_classes, average="micro")

    def forward(self, images: Tensor) -> Tensor:
        """Map images `(N, C, H, W)` to logits `(N, num_classes)`."""
        logits: Tensor = self.network(_channels_last(images))
        return logits

    def training_step(self, batch: Batch) -> Tensor:
        """Return the loss of one batch."""
        logits, labels = self._checked(batch)
        loss: Tensor = self.loss(logits, labels)
        return loss

    def validation_step(self, batch: Batch) -> None:
        """Log `accuracy` and `loss`."""
        logits, labels = self._checked(batch)
        self.accuracy(logits, labels)
        self.log_dict({"accuracy": self.accuracy, "loss": self.loss(logits, labels)})

    def test_step(self, batch: Batch) -> None:
        """Log `test_accuracy`."""
        logits, labels = self._checked(batch)
        self.test_accuracy(logits, labels)
        self.log("test_accuracy", self.test_accuracy)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Make AdamW and its schedule; Lightning calls this once it knows the number of steps."""
        optimizer = torch.optim.AdamW(
            self.parameters(),
            lr=self.learning_rate,
            weight_decay=self.weight_decay,
            fused=True,
        )
        total = self.trainer.estimated_stepping_batches
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: one_cycle(n / total))
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def _checked(self, batch: Batch) -> Batch:
        images, labels = batch
        logits = self(images)
        expected = (len(labels), self.num_classes)
        if not isinstance(logits, Tensor) or tuple(logits.shape) != expected:
            raise ValueError(
                f"{type(self.network).__name__} must return logits of shape (N, num_classes) = "
                f"{expected}, but it returned {_shape_or_type(logits)} for images "
                f"{tuple(images.shape)}. Build the network with {self.num_classes} outputs, or "
                "pass num_classes=... to ImageClassifier."
            )
        if int(labels.min()) < 0 or int(labels.max()) >= self.num_classes:
            raise ValueError(
                f"labels must lie in 0..{self.num_classes - 1}, but they reach from "
                f"{int(labels.min())} to {int(labels.max())}. Pass num_classes=... to "
                "ImageClassifier and build the network with as many outputs."
            )
        return logits, labels


def one_cycle(progress: float) -> float:
    """Give the share of the top learning rate at `progress` 0..1: a 20 % rise, a cosine to 0."""
    rise = 0.2
    if progress < rise:
        return 0.04 + 0.96 * progress / rise
    return 0.5 + 0.5 * math.cos(math.pi * min(1.0, (progress - rise) / (1 - rise)))


def _shape_or_type(value: object) -> str:
    return str(tuple(value.shape)) if isinstance(value, Tensor) else type(value).__name__


def _channels_last(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=torch.channels_last) if images.ndim == 4 else images


class Digits(pl.LightningDataModule):
    """scikit-learn's digits: 1,797 scans of 8x8 pixels in 0..1, split 1,078 / 359 / 360.

    Images are `(N, 1, 8, 8)`, labels `(N,)` in 0..9. The split keeps the share of every class and
    depends on `seed` alone. Source: Alpaydin & Kaynak (1998), Optical Recognition of Handwritten
    Digits, UCI; they come with scikit-learn.
    """

    num_classes = 10

    def __init__(self, *, batch_size: int = 32, seed: int = 0) -> None:
        super().__init__()
        self.batch_size = batch_size
        self.seed = seed
        self._splits: dict[str, TensorDataset] = {}

    def setup(self, stage: str | None = None) -> None:  # noqa: ARG002 - Lightning passes it
        """Load and split, once; before this a copy sent to a worker carries no data."""
        if not self._splits:
            images, labels = load_digits(return_X_y=True)
            self._splits = {
                name: TensorDataset(
                    torch.tensor(images[rows] / 16, dtype=torch.float32).reshape(-1, 1, 8, 8),
                    torch.tensor(labels[rows]),
                )
                for name, rows in _split(labels, self.seed).items()
            }

    def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """Serve batches in an order of seed and epoch, without an incomplete last one."""
        images = self._splits["train"]
        order = EpochOrder(len(images), seed=self.seed)
        return DataLoader(images, self.batch_size, sampler=order, drop_last=True)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """Serve the images that networks are compared on."""
        return DataLoader(self._splits["validation"], batch_size=128)

    def test_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """Serve the images that no search ever sees."""
        return DataLoader(self._splits["test"], batch_size=128)


class EpochOrder(Sampler[int]):
    """A shuffle of `0..size - 1` that depends on seed and epoch alone.

    So a training that goes on from a checkpoint sees the batches it would have seen uninterrupted.
    """

    def __init__(self, size: int, *, seed: int) -> None:
        self.size = size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the shuffle of `epoch`; Lightning calls this at the start of each."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng((self.seed, self.epoch))
        return iter(rng.permutation(self.size).tolist())


def _split(labels: NDArray[np.int64], seed: int) -> dict[str, NDArray[np.int64]]:
    """Row numbers of the three parts, each with the same share of every class."""
    rows = np.arange(len(labels))
    rest, test = train_test_split(rows, test_size=360, stratify=labels, random_state=seed)
    train, validation = train_test_split(
        rest, test_size=359, stratify=labels[rest], random_state=seed
    )
    return {"train": train, "validation": validation, "test": test}
