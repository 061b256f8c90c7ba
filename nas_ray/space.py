"""`SearchSpace`: named, typed choices; a config is one value for each choice that is in use.

A config is a plain JSON dict whose names are paths (`"stage2.channels"`). A choice may depend on
others (`when=`); where it is not in use it is not in the config, so one network has one config, its
canonical form.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from nas_ray.choice import Categorical, Choice, Value
from nas_ray.errors import NasRayError, SpaceError, nearest

if TYPE_CHECKING:
    import optuna
    import torch
    from torch import nn

Config = dict[str, Value]

#: Spaces with a canonical form of their own are counted one by one up to this many configs.
_COUNTABLE = 100_000
#: Made once: `json.dumps` makes one for every call that sorts keys.
_KEY = json.JSONEncoder(sort_keys=True)


class SearchSpace:
    """A named set of choices, and how a config becomes a network.

    `build` maps a config to an nn.Module, `example_input` to a tensor with batch 1; both may be
    left out where nothing is built. `baseline` is the network to beat; without one it is the first
    option of every choice. `canonical_form` maps a config to the one that stands for all that
    build the same network, where different choices do; applied twice it must change nothing more.
    Raises SpaceError for a condition on an unknown or later choice.
    """

    def __init__(
        self,
        *,
        name: str,
        choices: Mapping[str, Choice],
        build: "Callable[[Config], nn.Module] | None" = None,
        example_input: "Callable[[Config], torch.Tensor] | None" = None,
        baseline: Config | None = None,
        canonical_form: Callable[[Config], Config] | None = None,
    ) -> None:
        self.name = name
        self.choices = dict(choices)
        self._build = build
        self._example_input = example_input
        self._canonical_form = canonical_form
        self._check_choices()
        # By what it is equal to: 1, 1.0 and True are equal in Python but not the same option.
        self._options: dict[str, dict[tuple[bool, object], Value]] = {
            name: {(isinstance(option, bool), option): option for option in choice.options}
            for name, choice in self.choices.items()
        }
        first = {name: choice.options[0] for name, choice in self.choices.items()}
        self.baseline: Config = self.canonical(first if baseline is None else baseline)

    def __repr__(self) -> str:
        return f"SearchSpace({self.name!r}, {len(self.choices)} choices, size {self.size:.3g})"

    def _check_choices(self) -> None:
        if not self.choices:
            raise SpaceError(f"space {self.name!r} needs at least one choice, but got none.")
        earlier: list[str] = []
        for name, choice in self.choices.items():
            for parent, values in choice.when.items():
                if parent not in earlier:
                    raise SpaceError(
                        f"{name!r} of space {self.name!r} depends on {parent!r}, which must be a "
                        f"choice before it; {nearest(parent, earlier)}"
                    )
                unknown = [v for v in values if v not in self.choices[parent].options]
                if unknown:
                    raise SpaceError(
                        f"{name!r} is in use when {parent!r} is {unknown[0]!r}, which is none of "
                        f"its options {self.choices[parent].options}."
                    )
            earlier.append(name)

    # What a config is

    def canonical(self, config: Mapping[str, Any]) -> Config:
        """`config` without the choices that are not in use, in the order of the space.

        Raises SpaceError for a missing or unknown name or a value that is no option.
        """
        for name in config:
            if name not in self.choices:
                raise SpaceError(
                    f"space {self.name!r} has no choice {name!r}; {nearest(name, self.choices)}"
                )
        used: Config = {}
        for name, choice in self.choices.items():
            if not _in_use(choice, used):
                continue
            if name not in config:
                raise SpaceError(
                    f"a config of space {self.name!r} must give {name!r} (one of "
                    f"{choice.options}), but it is missing."
                )
            used[name] = self._option(name, config[name])
        return self._normal(used)

    def _normal(self, used: Config) -> Config:
        """The config that stands for the network of `used`."""
        if self._canonical_form is None:
            return used
        form = self._canonical_form(dict(used))
        if not all(n in self.choices and v in self.choices[n].options for n, v in form.items()):
            raise SpaceError(
                f"canonical_form of space {self.name!r} must return a config of the space, but it "
                f"returned {form} for {used}."
            )
        return {name: form[name] for name in self.choices if name in form}

    def _option(self, name: str, value: object) -> Value:
        try:
            return self._options[name][isinstance(value, bool), value]
        except (KeyError, TypeError):  # TypeError of a list, which is no option either
            raise SpaceError(
                f"{name!r} of space {self.name!r} must be one of {self.choices[name].options}, "
                f"but got {value!r}."
            ) from None

    def key(self, config: Mapping[str, Any]) -> str:
        """The same text for every config of the same network."""
        return _KEY.encode(self.canonical(config))

    def describe(self) -> dict[str, Any]:
        """The space as JSON: what a record keeps of it, to refuse the folder of another space."""
        return {
            "name": self.name,
            "choices": {
                name: {
                    "kind": type(choice).__name__,
                    "options": list(choice.options),
                    "when": {parent: list(values) for parent, values in choice.when.items()},
                }
                for name, choice in self.choices.items()
            },
        }

    # How many, which

    @cached_property
    def size(self) -> int:
        """How many different networks, counted by canonical form.

        With a `canonical_form` of one's own, spaces of more than 100,000 configs are not walked:
        the number is then that of the configs.
        """
        if self._canonical_form is not None and self._configs <= _COUNTABLE:
            return sum(1 for _ in self.configs())
        return self._configs

    @cached_property
    def _configs(self) -> int:
        parents = {parent for choice in self.choices.values() for parent in choice.when}
        return self._count(list(self.choices), {}, parents)

    def _count(self, names: list[str], used: Config, parents: set[str]) -> int:
        """Choices nobody depends on multiply; the others are tried option by option."""
        total = 1
        for position, name in enumerate(names):
            choice = self.choices[name]
            if not _in_use(choice, used):
                continue
            if name not in parents:
                total *= len(choice.options)
                continue
            rest = names[position + 1 :]
            mine = [n for n in rest if self._depends(n, name)]
            others = [n for n in rest if n not in mine]
            # Choices that depend on this one and on an independent one cannot be split off.
            if any(set(self.choices[n].when) & set(others) for n in mine):
                mine, others = rest, []
            inside = sum(self._count(mine, {**used, name: v}, parents) for v in choice.options)
            return total * inside * self._count(others, used, parents)
        return total

    def _depends(self, name: str, parent: str) -> bool:
        return any(p == parent or self._depends(p, parent) for p in self.choices[name].when)

    def configs(self) -> Iterator[Config]:
        """Every network's config once, in order; for spaces small enough to walk."""
        for config in self._walk(list(self.choices), {}):
            if self._canonical_form is None or self._normal(config) == config:
                yield config

    def _walk(self, names: list[str], used: Config) -> Iterator[Config]:
        if not names:
            yield used
        elif not _in_use(self.choices[names[0]], used):
            yield from self._walk(names[1:], used)
        else:
            for option in self.choices[names[0]].options:
                yield from self._walk(names[1:], {**used, names[0]: option})

    # Moves

    def sample(self, rng: np.random.Generator) -> Config:
        """A random config: every choice in use uniform over its options."""
        return self._completed({}, rng)

    def mutate(self, config: Mapping[str, Any], rng: np.random.Generator, edits: int = 1) -> Config:
        """A config that differs from `config` in about `edits` choices, and in at least one.

        Ordered choices mostly move to a neighbour. A space of one network returns it unchanged.
        """
        used = self.canonical(config)
        free = [name for name in used if len(self.choices[name].options) > 1]
        if not free:
            return used
        for index in rng.permutation(len(free))[: max(1, edits)]:
            used[free[index]] = _moved(self.choices[free[index]], used[free[index]], rng)
        return self._completed(used, rng)

    def crossover(
        self, first: Mapping[str, Any], second: Mapping[str, Any], rng: np.random.Generator
    ) -> Config:
        """A config that takes each choice from one of its two parents."""
        parents = (self.canonical(first), self.canonical(second))
        mixed: Config = {}
        for name in self.choices:
            values = [parent[name] for parent in parents if name in parent]
            if values:
                mixed[name] = values[rng.integers(len(values))]
        return self._completed(mixed, rng)

    def _completed(self, partial: Config, rng: np.random.Generator) -> Config:
        """`partial` with random values where a choice came into use and none was given."""
        used: Config = {}
        for name, choice in self.choices.items():
            if _in_use(choice, used):
                fresh = choice.options[rng.integers(len(choice.options))]
                used[name] = partial.get(name, fresh)
        return self._normal(used)

    # What it stands for

    def build(self, config: Mapping[str, Any]) -> "nn.Module":
        """The network of `config`: an ordinary nn.Module with plain numbers in it.

        Raises SpaceError where the space builds nothing, or its build function raises or returns
        something else than a module.
        """
        from torch import nn  # noqa: PLC0415 - spaces are used where torch is not needed

        network = self._call(self._build, "build", config)
        if not isinstance(network, nn.Module):
            raise SpaceError(
                f"build of space {self.name!r} must return a torch.nn.Module, but it returned "
                f"{type(network).__name__} for {self.canonical(config)}."
            )
        return network

    def example_input(self, config: Mapping[str, Any]) -> "torch.Tensor":
        """A tensor with batch 1 that the network of `config` takes."""
        result: torch.Tensor = self._call(self._example_input, "example_input", config)
        return result

    def _call(
        self, function: Callable[[Config], Any] | None, role: str, config: Mapping[str, Any]
    ) -> Any:
        if function is None:
            raise SpaceError(
                f"space {self.name!r} was made without `{role}`; pass {role}=... to SearchSpace."
            )
        used = self.canonical(config)
        try:
            return function(used)
        except NasRayError:
            raise
        except Exception as error:
            raise SpaceError(
                f"{role} of space {self.name!r} raised {type(error).__name__}: {error}, for {used}."
            ) from error

    # Its forms elsewhere

    def to_optuna(self) -> "dict[str, optuna.distributions.BaseDistribution]":
        """The space for `study.ask(...)`; choices not in use are dropped by `canonical`."""
        from nas_ray.optuna_form import distributions  # noqa: PLC0415 - slow, seldom needed

        return distributions(self.choices)

    def suggest(self, trial: "optuna.Trial") -> Config:
        """The config that an Optuna trial suggests; choices not in use are not asked for."""
        from nas_ray.optuna_form import suggested  # noqa: PLC0415 - slow, seldom needed

        used: Config = {}
        for name, choice in self.choices.items():
            if _in_use(choice, used):
                used[name] = suggested(name, choice, trial)
        return self._normal(used)

    def to_tune(self) -> dict[str, Any]:
        """The space as `param_space` of a `ray.tune.Tuner`."""
        # The one door from here up to the room that knows Ray: people look for it on the space.
        from nas_ray.tune.domains import domains  # noqa: PLC0415

        return domains(self)


def _in_use(choice: Choice, used: Mapping[str, Value]) -> bool:
    return not choice.when or all(
        name in used and used[name] in values for name, values in choice.when.items()
    )


def _moved(choice: Choice, value: Value, rng: np.random.Generator) -> Value:
    """Another option; of an ordered choice a neighbour four times out of five."""
    position = choice.options.index(value)
    others = [i for i in range(len(choice.options)) if i != position]
    near = [i for i in others if abs(i - position) == 1]
    ordered = not isinstance(choice, Categorical)
    pool = near if ordered and rng.random() < 0.8 else others
    return choice.options[pool[rng.integers(len(pool))]]
