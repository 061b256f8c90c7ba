"""All zero-shot scores of a network. Adding one is a file with a function, and a line here."""

from torch import Tensor, nn

from nas_ray.zero_shot import naswot, synflow, trainability

#: Functions `(network, batch) -> float`, higher is better, known by their names.
SCORES = (
    naswot.naswot,
    synflow.synflow,
    trainability.trainability,
)


def score(model: nn.Module, batch: Tensor) -> dict[str, float]:
    """Every zero-shot score of the untrained `model` by name; higher is better.

    `batch` is `(N, ...)` of floating point with N >= 2, random numbers or data without labels;
    scores compare at one shape only. Batch and model are on one device. The same model and batch
    score the same every time, and model and global RNG are left as they were.
    Raises ScoreError where one of the scores cannot be computed.
    """
    return {function.__name__: function(model, batch) for function in SCORES}
