"""Choices as Optuna has them: distributions, and how a config is asked of a trial."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from nas_ray.choice import Channels, Choice, Value

if TYPE_CHECKING:
    import optuna


def distribution(kind: str, options: Sequence[Value]) -> BaseDistribution:
    """The distribution of a choice by the name of its class.

    Numbers that are not evenly spaced have no ordered form in Optuna; they are categories.
    """
    if kind == Channels.__name__:
        counts = [int(option) for option in options]
        step = counts[1] - counts[0] if len(counts) > 1 else 1
        return IntDistribution(counts[0], counts[-1], step=step)
    return CategoricalDistribution(tuple(options))


def distributions(choices: Mapping[str, Choice]) -> dict[str, BaseDistribution]:
    """One distribution for each choice."""
    return {name: distribution(type(c).__name__, c.options) for name, c in choices.items()}


def suggested(name: str, choice: Choice, trial: "optuna.Trial") -> Value:
    """The value that `trial` suggests for a choice."""
    wanted = distribution(type(choice).__name__, choice.options)
    if isinstance(wanted, IntDistribution):
        return trial.suggest_int(name, wanted.low, wanted.high, step=wanted.step)
    # Optuna knows None as a choice too, which no option is.
    return cast("Value", trial.suggest_categorical(name, choice.options))
