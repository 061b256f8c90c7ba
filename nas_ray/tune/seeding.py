"""Seeds for everything that draws: a worker may have trained other networks before."""

import random

import numpy as np
import torch


def seed_everything(*seeds: int) -> None:
    """Seed the generators of Python, numpy and torch by numbers >= 0."""
    (mixed,) = np.random.SeedSequence(seeds).generate_state(1)
    random.seed(int(mixed))
    torch.manual_seed(int(mixed))
    np.random.seed(mixed)  # noqa: NPY002 - what a user's data pipeline may draw from
