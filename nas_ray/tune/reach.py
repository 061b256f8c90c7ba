"""Whether every node of a cluster sees the storage: trials write their checkpoints there."""

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from nas_ray.errors import SearchError
from nas_ray.storage import Place

#: What every node must find in the storage, just as the driver does.
MARK = "record.json"
#: Seconds to wait for nodes. Who has not answered by then is busy starting and not asked again.
PATIENCE_S = 30.0


def require_reach(place: Place) -> None:
    """Raise SearchError where a node that could hold trials sees another storage, or none."""
    wanted = place.read(MARK)
    asked = {
        _read.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote(place): node["NodeManagerAddress"]
        for node in ray.nodes()
        if node["Alive"] and node["Resources"].get("CPU")
    }
    answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=PATIENCE_S)
    for answer in answered:
        try:
            found, why = ray.get(answer)
        except RayError:
            continue  # The node went away: there is nothing to ask.
        if found != wanted:
            raise SearchError(
                f"every node must see the storage {place.name}, but on the node {asked[answer]} "
                f"{why or 'another folder lies there'}. Use a folder that every node mounts at "
                "this path, or a URI such as s3://bucket/run with its credentials on every node."
            )


@ray.remote(num_cpus=0)
def _read(place: Place) -> tuple[bytes | None, str]:
    try:
        found = place.read(MARK)
    except OSError as error:
        return None, f"it cannot be read: {error}"
    return found, "" if found else "it is missing"
