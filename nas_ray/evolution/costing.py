"""What candidates cost, before anything is trained: asked of a device, or of a function."""

from collections.abc import Callable, Mapping, Sequence

from nas_ray.device import Device
from nas_ray.errors import NasRayError
from nas_ray.evolution.screen import Candidate
from nas_ray.space import Config, SearchSpace

#: A device estimates; a function maps a config to its costs by name; None knows none.
Costs = Device | Callable[[Config], Mapping[str, float]] | None


def cost_candidates(space: SearchSpace, costs: Costs, configs: Sequence[Config]) -> list[Candidate]:
    """`configs` with what `costs` says of them; where one cannot be built, with the reason."""
    if costs is None:
        return [Candidate(config=config) for config in configs]
    try:
        rows = _cost_rows(space, costs, configs)
    except NasRayError as error:
        if len(configs) == 1:
            return [Candidate(config=configs[0], error=str(error))]
        return [c for config in configs for c in cost_candidates(space, costs, [config])]
    return [Candidate(config=c, costs=row) for c, row in zip(configs, rows, strict=True)]


def _cost_rows(
    space: SearchSpace,
    costs: Device | Callable[[Config], Mapping[str, float]],
    configs: Sequence[Config],
) -> list[dict[str, float]]:
    rows = (
        costs.estimate_configs(space, configs).to_dict("records")
        if isinstance(costs, Device)
        else [costs(config) for config in configs]
    )
    return [{str(name): float(value) for name, value in row.items()} for row in rows]
