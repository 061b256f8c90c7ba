"""Whether every node of a cluster sees the storage: trials write their checkpoints there."""

import time
import warnings

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from nas_ray.errors import RecordError, SearchError
from nas_ray.storage import HEADER, Place, told

#: Seconds to wait for nodes: one that is busy starting may not answer.
PATIENCE_S = 30.0
#: A file that another machine has just written may take a moment.
LOOKS = 4
BETWEEN_LOOKS_S = 1.0


def require_reach(place: Place) -> None:
    """Raise SearchError where a node with CPUs sees another storage than the driver, or none.

    Warns of nodes that do not answer. Nodes that join later are not asked.
    """
    with told(place, "read"):
        wanted = place.read(HEADER)
    asked = {
        _problem.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote(place, wanted): node["NodeManagerAddress"]
        for node in ray.nodes()
        if node["Alive"] and node["Resources"].get("CPU")
    }
    answered, silent = ray.wait(list(asked), num_returns=len(asked), timeout=PATIENCE_S)
    for answer in answered:
        _require_sound(place, asked[answer], answer)
    if silent:
        warnings.warn(
            f"whether {place.name} is seen from {', '.join(asked[one] for one in silent)} is not "
            f"known: no answer within {PATIENCE_S:g} s.",
            UserWarning,
            stacklevel=2,
        )


def _require_sound(place: Place, node: str, answer: ray.ObjectRef[str]) -> None:
    try:
        problem = ray.get(answer)
    except RayTaskError as error:
        why = str(error).strip().splitlines()[-1]
        raise SearchError(
            f"every node must be able to run nas_ray, but the node {node} says: {why}. Install the "
            "same packages there as here."
        ) from error
    except RayError:
        return  # The node went away: there is nothing to ask.
    if problem:
        raise SearchError(
            f"every node must see the storage {place.name}, but on the node {node} {problem}. Use "
            "a folder that every node mounts at this path, or a URI such as s3://bucket/run with "
            "its credentials on every node."
        )


@ray.remote(num_cpus=0)
def _problem(place: Place, wanted: bytes | None) -> str:
    found = None
    for _ in range(LOOKS):
        try:
            with told(place, "read"):
                found = place.read(HEADER)
        except RecordError as error:
            return str(error).rstrip(".")
        if found == wanted:
            return ""
        time.sleep(BETWEEN_LOOKS_S)
    return "it is missing" if found is None else "another folder lies there"
