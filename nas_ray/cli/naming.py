"""From what a person types to objects: constraints, tasks, networks."""

import importlib
import re
from typing import Any

import torch
from torch import nn

from nas_ray.errors import NasRayError, SearchError, SpaceError, nearest
from nas_ray.objective import Constraint
from nas_ray.space import SearchSpace

#: Shipped tasks: where each one's space and its task and data live.
TASKS = {"classification": ("search_spaces.classification", "trainables.classification")}


def parse_constraint(text: str) -> Constraint:
    """`latency_ms<=0.2` or `accuracy>=0.9` as a Constraint; SearchError for anything else."""
    match = re.fullmatch(r"\s*([A-Za-z_]\w*)\s*(<=|>=)\s*(\S+)\s*", text)
    try:
        metric, sign, bound = match.groups() if match else ("", "", "")
        value = float(bound)
    except ValueError as error:
        raise SearchError(
            "a constraint is written 'NAME<=NUMBER' or 'NAME>=NUMBER', such as 'latency_ms<=0.2', "
            f"but got {text!r}."
        ) from error
    return Constraint(metric, upper=value) if sign == "<=" else Constraint(metric, lower=value)


def load_task(name: str, *, channel_multiple: int) -> tuple[SearchSpace, Any, Any]:
    """Space, task and data: of a shipped task, or of a person's own module.

    Raises SearchError where there is no such task or module, or it lacks one of the three.
    """
    if name in TASKS:
        spaces, trainables = TASKS[name]
        space = load_name(spaces, "space")(channel_multiple=channel_multiple)
        return space, load_name(trainables, "task"), load_name(trainables, "data")
    space = _called(load_name(name, "space"), f"{name}:space")
    if not isinstance(space, SearchSpace):
        raise SearchError(
            f"{name}:space must be a nas_ray.SearchSpace or a function that returns one, but it "
            f"is {type(space).__name__}."
        )
    return space, load_name(name, "task"), load_name(name, "data")


def load_space(text: str, *, channel_multiple: int) -> SearchSpace:
    """The space of a shipped task, or the one that MODULE:NAME names or makes.

    Raises SearchError for anything else.
    """
    if text in TASKS:
        space: SearchSpace = load_name(TASKS[text][0], "space")(channel_multiple=channel_multiple)
        return space
    module, colon, name = text.partition(":")
    if not colon or not name:
        raise SearchError(
            f"a space is a shipped task ({', '.join(TASKS)}) or MODULE:NAME, but got {text!r}."
        )
    found = _called(load_name(module, name), text)
    if not isinstance(found, SearchSpace):
        raise SearchError(
            f"{text} must be a nas_ray.SearchSpace or a function that returns one, but it is "
            f"{type(found).__name__}."
        )
    return found


def load_network(text: str, shape: str | None) -> tuple[nn.Module, torch.Tensor]:
    """The network that MODULE:NAME names, and an example input for it.

    NAME is a module, something to call for one, or a search space, whose baseline is taken. `shape`
    is written 3x224x224, without the batch. Raises SearchError for anything else.
    """
    module, colon, name = text.partition(":")
    if not colon or not name:
        raise SearchError(
            "a network is named MODULE:NAME, such as search_spaces.classification:space, but got "
            f"{text!r}."
        )
    found = load_name(module, name)
    network = found if isinstance(found, nn.Module) else _called(found, text)
    if isinstance(network, SearchSpace):
        return network.build(network.baseline), network.example_input(network.baseline)
    if not isinstance(network, nn.Module):
        raise SearchError(
            f"{text} must be a torch.nn.Module, a search space, or something that returns one of "
            f"them without arguments, but it gives {type(network).__name__}."
        )
    if shape is None or not re.fullmatch(r"\d+(x\d+)*", shape):
        raise SearchError(
            f"{text} needs the shape of its input without the batch, such as --input 3x224x224, "
            f"but got {shape}."
        )
    return network, torch.zeros(1, *(int(word) for word in shape.split("x")))


def load_name(module: str, name: str) -> Any:
    """`name` of `module`. Raises SearchError that says which of the two is missing, or why."""
    try:
        loaded = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(error.name + ".")):
            raise SearchError(
                f"there is no task or module {module!r}. Name a module that Python can import from "
                f"this folder, or a shipped task. {nearest(module, TASKS)}"
            ) from error
        raise _broken(f"module {module!r} cannot be imported", error) from error
    except Exception as error:
        raise _broken(f"module {module!r} cannot be imported", error) from error
    if not hasattr(loaded, name):
        names = [known for known in vars(loaded) if not known.startswith("_")]
        raise SearchError(f"{module} has no {name!r}; {nearest(name, names)}")
    return getattr(loaded, name)


def _called(found: Any, label: str) -> Any:
    if not callable(found):
        return found
    try:
        return found()
    except NasRayError:
        raise
    except Exception as error:
        raise SpaceError(f"{label}() raised {type(error).__name__}: {error}.") from error


def _broken(what: str, error: Exception) -> SearchError:
    return SearchError(f"{what}: {type(error).__name__}: {error}.")
