"""`SharedData`: the data of a search, loaded once and shared by the workers of a node."""

from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError

from nas_ray.tune.seeding import seed_everything


@dataclass(frozen=True, kw_only=True)
class SharedData:
    """Gives a worker the data module of the search, from the object store of its node.

    A task has made it, prepared it and set it up to fit. Ray copies it to a node once; there the
    workers share its numpy arrays, read-only, and each has a copy of everything else, memory maps
    included: map files where the dataloaders are made. Where all copies are lost with their nodes,
    Ray runs the task again. Data that cannot be kept so (open files, locks, what wants a GPU), or
    no longer are, each worker makes itself.
    """

    source: ray.ObjectRef[Any]
    loaded: ray.ObjectRef[Any]

    def __call__(self) -> Any:
        """The data module."""
        try:
            return ray.get(self.loaded)
        except RayError:
            # What the data themselves raise is raised once more, where it is heard.
            return made(ray.get(self.source))


def shared(data: Any, seed: int) -> SharedData:
    """Share `data`, a data module or a function that makes one; `seed` is that of the search."""
    source = ray.put(data)
    return SharedData(source=source, loaded=_load.remote(source, seed))


def made(data: Any) -> Any:
    """The data module that `data` is, or makes."""
    return data() if callable(data) else data


# Tried again where its process or its node dies, not where it raises.
@ray.remote(num_cpus=0, max_retries=3, scheduling_strategy="SPREAD")
def _load(data: Any, seed: int) -> Any:
    module = made(data)
    seed_everything(seed)
    module.prepare_data()
    module.setup("fit")
    return module
