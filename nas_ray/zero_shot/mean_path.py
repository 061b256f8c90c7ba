"""Mean path: how many layers with weights lie between input and output, on average."""

from math import exp, log

from torch import Tensor, nn

from nas_ray.zero_shot.layers import inputs, is_layer
from nas_ray.zero_shot.passes import Passes


def mean_path(network: nn.Module, batch: Tensor) -> float:
    """Weight layers on a path from input to output, the mean over all paths.

    Residual networks act like an ensemble of their paths (Veit et al., 2016): two of equal depth
    differ in how many of these are short. Layers are counted as by `depth`. `batch` is `(N, ...)`
    with N >= 2. Raises ScoreError where the outputs do not depend on the input.
    """
    return mean_path_of(Passes(network, batch))


def mean_path_of(passes: Passes) -> float:
    """The same from passes that other scores share: one forward."""
    path = passes.forward.path
    # The logarithm of how many paths lead from the input to a node, and their mean length.
    paths = dict.fromkeys(path, (0.0, 0.0))
    for node in path[-2::-1]:  # from the input, which is the last, each after what it is made from
        count, before = _together([paths[made] for made in inputs(node) if made in paths])
        paths[node] = (count, before + is_layer(node, paths))
    return _together([paths[node] for node in passes.forward.ends])[1]


def _together(ways: list[tuple[float, float]]) -> tuple[float, float]:
    largest = max(count for count, _ in ways)
    total = sum(exp(count - largest) for count, _ in ways)
    mean = sum(exp(count - largest) * length for count, length in ways) / total
    return largest + log(total), mean
