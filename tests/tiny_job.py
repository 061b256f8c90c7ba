"""A search small enough for a test, with networks that misbehave where a test wants them to.

A module of its own, because Ray's workers import what they run. `kind` says how a network behaves.
"""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from nas_ray import Categorical, Channels, Ordinal, SearchSpace
from trainables.classification import Digits, ImageClassifier


class NaNAfterOneEpoch(nn.Module):
    """Logits that are numbers for the batches of one epoch and no numbers after it."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 10)
        self.batches = 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.batches += self.training
        spoilt = float("nan") if self.batches > 8 else 1.0
        return self.linear(images.flatten(1)) * spoilt


def wide_kernel() -> nn.Module:
    """A kernel of 31, which no table holds."""
    return nn.Sequential(nn.Conv2d(1, 8, 31), nn.MaxPool2d(2))


def shuffled_pixels() -> nn.Module:
    """What no Ethos-U compiler knows."""
    return nn.PixelShuffle(2)


class DiesInTraining(nn.Module):
    """Takes its process with it at the first training step."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training:
            os._exit(1)
        return self.linear(images.flatten(1))


class FaultyInTheSecondEpoch(nn.Module):
    """Something happens to its process in the second epoch; where it leaves a mark, only once."""

    def __init__(self, fault: Callable[[], None], mark: str) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 10)
        self.fault, self.mark, self.batches = fault, mark, 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.batches += self.training
        if self.batches == 12 and not (self.mark and Path(self.mark).exists()):
            if self.mark:
                Path(self.mark).touch()
            self.fault()
        return self.linear(images.flatten(1))


def runs_out_of_memory() -> None:
    """As Python says it."""
    raise MemoryError("no 12 GiB left")


def is_killed() -> None:
    """As the kernel and Ray do it, to a process that takes too much memory or to a node."""
    os.kill(os.getpid(), signal.SIGKILL)


def hangs() -> None:
    """For longer than any test."""
    time.sleep(600)


_FAULTS = {"out_of_memory": runs_out_of_memory, "killed": is_killed, "hangs": hangs}


def build(config: dict) -> nn.Module:
    kind = config.get("kind", "sound")
    if kind in _FAULTS:
        return FaultyInTheSecondEpoch(_FAULTS[kind], config["mark"])
    if kind == "raises":
        raise RuntimeError("no such network")
    if kind == "no_module":
        return "a network"
    if kind == "nan":
        return NaNAfterOneEpoch()
    if kind == "dies":
        return DiesInTraining()
    outputs = 7 if kind == "wrong_outputs" else 10
    layers: list[nn.Module] = []
    channels = 1
    for _ in range(config["depth"]):
        kernel = config["kernel"]
        layers += [
            nn.Conv2d(channels, config["width"], kernel, padding=kernel // 2),
            nn.BatchNorm2d(config["width"], momentum=0.3),
            nn.ReLU(),
        ]
        channels = config["width"]
    return nn.Sequential(*layers, nn.MaxPool2d(4), nn.Flatten(), nn.Linear(4 * channels, outputs))


def example_input(config: dict) -> torch.Tensor:
    return torch.zeros(1, 1, 8, 8)


def space(name: str = "tiny") -> SearchSpace:
    """72 small networks."""
    return SearchSpace(
        name=name,
        choices={
            "width": Channels(8, 64, multiple=8),
            "depth": Ordinal(1, 2, 3),
            "kernel": Ordinal(1, 3, 5),
        },
        build=build,
        example_input=example_input,
        baseline={"width": 32, "depth": 2, "kernel": 3},
    )


def unsound_space(*kinds: str) -> SearchSpace:
    """One sound network and one of each kind: so few that a search trains them all."""
    return SearchSpace(
        name="unsound",
        choices={
            "width": Categorical(8),
            "depth": Categorical(1),
            "kernel": Categorical(3),
            "kind": Categorical("sound", *kinds),
        },
        build=build,
        example_input=example_input,
    )


def faulty_space(kind: str, mark: Path | None = None) -> SearchSpace:
    """One sound network and one that something happens to: once, if it can leave a `mark`."""
    return SearchSpace(
        name="faulty",
        choices={
            "width": Categorical(8),
            "depth": Categorical(1),
            "kernel": Categorical(3),
            "kind": Categorical("sound", kind),
            "mark": Categorical(str(mark or "")),
        },
        build=build,
        example_input=example_input,
    )


def task(network: nn.Module) -> ImageClassifier:
    return ImageClassifier(network, num_classes=10)


class SlowClassifier(ImageClassifier):
    """Trains as slowly as it takes to be interrupted."""

    def on_train_epoch_start(self) -> None:
        time.sleep(0.3)


def slow_task(network: nn.Module) -> SlowClassifier:
    return SlowClassifier(network, num_classes=10)


class Unlogged(ImageClassifier):
    """Logs under another name than the search looks for."""

    def validation_step(self, batch) -> None:
        logits, labels = batch[0], batch[1]
        self.log("acuracy", (self(logits).argmax(1) == labels).float().mean())


def unlogged_task(network: nn.Module) -> Unlogged:
    return Unlogged(network, num_classes=10)


class ReportsItsProcess(ImageClassifier):
    """Logs which process it is trained in, and with how many threads."""

    def on_validation_epoch_end(self) -> None:
        self.log_dict({"process": float(os.getpid()), "threads": float(torch.get_num_threads())})


def process_task(network: nn.Module) -> ReportsItsProcess:
    return ReportsItsProcess(network, num_classes=10)


class KeepsItsArguments(ImageClassifier):
    """Keeps its arguments, the network among them, and logs in its own hook of the epoch's end."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network, num_classes=10)
        self.save_hyperparameters()

    def on_train_epoch_end(self) -> None:
        self.log_dict({"val/epochs": float(self.current_epoch + 1), "error": 0.25})


def keeping_task(network: nn.Module) -> KeepsItsArguments:
    return KeepsItsArguments(network)


def no_task(network: nn.Module) -> nn.Module:
    return network


def data() -> Digits:
    return Digits(batch_size=128)
