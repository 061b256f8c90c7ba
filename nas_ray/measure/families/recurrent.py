"""Recurrences, unrolled: each step reads the state that the one before it left."""

from collections.abc import Callable

import torch
from torch import nn

from nas_ray.measure.families.sample import Sample
from nas_ray.measure.layers import Apply
from nas_ray.measure.sizes import Sizes


def recurrence(sizes: Sizes) -> Sample:
    """A GRU or LSTM over a short sequence; its last state, or all of them, and a linear layer."""
    features, hidden = sizes.channels(8, 128), sizes.channels(16, 128)
    kind: Callable[..., nn.Module] = nn.GRU if sizes.chance(0.5) else nn.LSTM
    layer, head = kind(features, hidden, batch_first=True), nn.Linear(hidden, sizes.pick(2, 10, 35))
    last_only = sizes.chance(0.6)

    def run(x: torch.Tensor) -> torch.Tensor:
        states = layer(x)[0]
        result: torch.Tensor = head(states[:, -1] if last_only else states)
        return result

    return Apply(run, layer, head), (1, sizes.pick(4, 6, 8, 12, 16, 24), features)


def gru_step(sizes: Sizes) -> Sample:
    """One step of a GRU on an input and a state, as streaming networks run it."""
    features, hidden = sizes.channels(8, 256), sizes.channels(16, 256)
    return nn.GRUCell(features, hidden), (1, features), (1, hidden)


def lstm_step(sizes: Sizes) -> Sample:
    """One step of an LSTM on an input, a state and a memory."""
    features, hidden = sizes.channels(8, 256), sizes.channels(16, 256)
    cell = nn.LSTMCell(features, hidden)
    step = Apply(lambda x, state, memory: cell(x, (state, memory)), cell)
    return step, (1, features), (1, hidden), (1, hidden)


def plain_steps(sizes: Sizes) -> Sample:
    """A recurrence of one linear layer and an activation, a few steps of it."""
    features, hidden = sizes.channels(8, 128), sizes.channels(16, 192)
    read, keep = nn.Linear(features, hidden), nn.Linear(hidden, hidden)
    is_bounded = sizes.chance(0.7)

    def run(x: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        for step in range(x.shape[1]):
            sum_of_both = read(x[:, step]) + keep(state)
            state = sum_of_both.tanh() if is_bounded else sum_of_both.relu()
        return state

    return Apply(run, read, keep), (1, sizes.pick(2, 3, 4, 6, 8), features), (1, hidden)
