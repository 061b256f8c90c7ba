"""How long a search thinks about its next network when it knows many.

    OMP_NUM_THREADS=1 python benchmarks/ask_time.py --trials 10000 --json

Two objectives on a space of 10^10 networks whose accuracy and latency are made up. All searches
are told the same random networks, except NSGA-II, which learns only from its own generations and
asks for as many itself. Then each answers and is told, in turn, all methods in one process. Beside
the median is the mean: a search that knows many networks plans several answers at once, so most
answers take no time and some take all of it.
"""

import argparse
import json
import time
from collections.abc import Callable
from itertools import pairwise
from statistics import mean, median, quantiles
from typing import Any

import numpy as np
import optuna
from rich.console import Console
from rich.table import Table

from nas_ray import Categorical, EvolutionarySearch, Objective, SearchSpace

_LAYERS = 10
Config = dict[str, Any]
Ask = Callable[[], Config]
Tell = Callable[[Config], None]


def main() -> None:
    """Fill every method's archive, time its answers, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--asks", type=int, default=100)
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = SearchSpace(
        name="layers", choices={f"layer{n}": Categorical(*range(10)) for n in range(_LAYERS)}
    )
    rng = np.random.default_rng(0)
    known = {space.key(config): config for config in (space.sample(rng) for _ in
             range(options.trials))}  # fmt: skip
    methods = {
        "EvolutionarySearch": _evolutionary(space),
        "Optuna NSGA-II": _optuna(space, optuna.samplers.NSGAIISampler(seed=0), generations=True),
        "Optuna TPE": _optuna(space, optuna.samplers.TPESampler(seed=0)),
    }
    found = {}
    for name, (ask, tell, add) in methods.items():
        for config in known.values():
            add(config)
        found[name] = _timed(ask, tell, options.asks)
    table = Table(
        "", "median ms", "quartiles ms", "mean ms", title=f"one ask at {len(known):,} trials"
    )
    for name, times in found.items():
        low, _, high = quantiles(times)
        table.add_row(name, f"{median(times):.1f}", f"{low:.1f} - {high:.1f}", f"{mean(times):.1f}")
    Console(width=100).print(table)
    if options.json:
        print(json.dumps({
            "trials": len(known), "asks": options.asks,
            "median_ms": {name: median(times) for name, times in found.items()},
            "mean_ms": {name: mean(times) for name, times in found.items()},
        }))  # fmt: skip


def accuracy(config: Config) -> float:
    """A sum over the layers, with some that do not go together."""
    layers = list(config.values())
    clashes = sum(a + b == 9 for a, b in pairwise(layers))
    return float(np.sqrt(np.array(layers) + 1).sum() - 0.5 * clashes)


def latency_ms(config: Config) -> float:
    """What the layers cost together."""
    return 1.0 + sum(config.values())


def _timed(ask: Ask, tell: Tell, count: int) -> list[float]:
    """Milliseconds of each answer; the first warms caches up and does not count."""
    times = []
    for _ in range(count + 1):
        begun = time.perf_counter()
        config = ask()
        times.append(1000 * (time.perf_counter() - begun))
        tell(config)
    return times[1:]


def _evolutionary(space: SearchSpace) -> tuple[Ask, Tell, Tell]:
    search = EvolutionarySearch(
        space,
        objectives=[Objective("accuracy", "max"), Objective("latency_ms", "min")],
        costs=lambda config: {"latency_ms": latency_ms(config)},
    )

    def tell(config: Config) -> None:
        search.tell(config, {"accuracy": accuracy(config)})

    return search.ask, tell, tell


def _optuna(
    space: SearchSpace, sampler: optuna.samplers.BaseSampler, *, generations: bool = False
) -> tuple[Ask, Tell, Tell]:
    """With `generations` it fills its archive by asking, since what is added has no generation."""
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    distributions = space.to_optuna()
    asked: list[optuna.Trial] = []

    def ask() -> Config:
        asked.append(study.ask(distributions))
        return dict(asked[-1].params)

    def tell(config: Config) -> None:
        study.tell(asked.pop(), [accuracy(config), latency_ms(config)])

    def add(config: Config) -> None:
        study.add_trial(
            optuna.trial.create_trial(
                params=config,
                distributions=distributions,
                values=[accuracy(config), latency_ms(config)],
            )
        )

    return ask, tell, (lambda _: tell(ask())) if generations else add


if __name__ == "__main__":
    main()
