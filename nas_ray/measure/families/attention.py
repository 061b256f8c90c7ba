"""Attention and the products and softmaxes it is made of."""

import torch
from torch import nn

from nas_ray.measure.blocks import Residual
from nas_ray.measure.families.sample import Sample
from nas_ray.measure.families.tokens import token_norm
from nas_ray.measure.layers import Apply
from nas_ray.measure.sizes import LIGHT_MACS, Sizes


class Attention(nn.Module):
    """Heads over tokens `(1, T, C)`; fused by torch or written out with two products.

    `keys` tokens are read instead of all where the keys are averaged first (Wang et al., 2021).
    """

    def __init__(self, channels: int, heads: int, *, fused: bool, biased: bool = False) -> None:
        super().__init__()
        self.heads, self.fused = heads, fused
        self.project_in = nn.Linear(channels, 3 * channels)
        self.project_out = nn.Linear(channels, channels)
        self.bias = nn.Parameter(torch.zeros(heads, 1, 1)) if biased else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The same shape as `x`."""
        batch, tokens, channels = x.shape
        heads = self.project_in(x).reshape(batch, tokens, 3, self.heads, channels // self.heads)
        query, key, value = heads.permute(2, 0, 3, 1, 4).unbind(0)
        made = (
            nn.functional.scaled_dot_product_attention(query, key, value)
            if self.fused
            else self._written_out(query, key, value)
        )
        result: torch.Tensor = self.project_out(made.transpose(1, 2).flatten(2))
        return result

    def _written_out(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
    ) -> torch.Tensor:
        scores = (query @ key.transpose(-2, -1)) * query.shape[-1] ** -0.5
        if self.bias is not None:
            scores = scores + self.bias
        result: torch.Tensor = scores.softmax(-1) @ value
        return result


def heads_of(sizes: Sizes, widest: int) -> tuple[int, int]:
    """How many heads, and the channels of all of them together."""
    heads = sizes.pick(1, 2, 3, 4, 6, 8)
    each = sizes.pick(8, 16, 24, 32, 48, 64) if sizes.chance(0.8) else sizes.log_uniform(8, 64)
    return heads, heads * min(each, max(8, widest // heads))


def attention(sizes: Sizes) -> Sample:
    """Self-attention, mostly with its norm and its residual."""
    heads, channels = heads_of(sizes, 512)
    tokens = sizes.log_uniform(16, min(256, max(16, LIGHT_MACS // (4 * channels**2))))
    fused = sizes.chance(0.5)
    layers: list[nn.Module] = [token_norm(sizes, channels)] if sizes.chance(0.7) else []
    layers.append(Attention(channels, heads, fused=fused, biased=sizes.chance(0.3)))
    block = nn.Sequential(*layers)
    return Residual(block) if sizes.chance(0.7) else block, (1, tokens, channels)


def pooled_attention(sizes: Sizes) -> Sample:
    """Attention from all positions of a map to the averages of small squares of it."""
    heads, channels = heads_of(sizes, 256)
    pool = sizes.pick(2, 4)
    side = pool * sizes.log_uniform(2, 32 // pool)
    query, pair = nn.Conv2d(channels, channels, 1), nn.Conv2d(channels, 2 * channels, 1)
    last = nn.Conv2d(channels, channels, 1)

    def split(x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = x.flatten(2).unflatten(1, (heads, -1)).transpose(2, 3)
        return result

    def attend(x: torch.Tensor) -> torch.Tensor:
        keys, values = pair(nn.functional.avg_pool2d(x, pool)).chunk(2, dim=1)
        scores = split(query(x)) @ split(keys).transpose(2, 3)
        made = scores.softmax(-1) @ split(values)
        result: torch.Tensor = last(made.transpose(2, 3).flatten(1, 2).unflatten(2, (side, side)))
        return result

    return Apply(attend, query, pair, last), (1, channels, side, side)


def attention_of_channels(sizes: Sizes) -> Sample:
    """Attention between channels instead of tokens (Ali et al., 2021)."""
    heads, channels = heads_of(sizes, 384)
    tokens = sizes.light_length(4 * channels**2, low=8, high=256)
    first, last = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)

    def attend(x: torch.Tensor) -> torch.Tensor:
        query, key, value = first(x).transpose(1, 2).chunk(3, dim=1)
        query, key, value = (part.unflatten(1, (heads, -1)) for part in (query, key, value))
        made = (query @ key.transpose(2, 3)).softmax(-1) @ value
        result: torch.Tensor = last(made.flatten(1, 2).transpose(1, 2))
        return result

    return Apply(attend, first, last), (1, tokens, channels)


def product(sizes: Sizes) -> Sample:
    """One matrix product of two tensors."""
    batch = sizes.pick(1, 2, 4, 8)
    rows, inner, columns = (sizes.log_uniform(4, 256) for _ in range(3))
    transposed = sizes.chance(0.5)
    second = (columns, inner) if transposed else (inner, columns)
    multiply = Apply(lambda a, b: a @ (b.transpose(-2, -1) if transposed else b))
    if sizes.chance(0.4):
        return multiply, (1, rows, inner), (1, *second)
    return multiply, (1, batch, rows, inner), (1, batch, *second)


def softmax(sizes: Sizes) -> Sample:
    """A softmax over any axis of tokens, maps or scores of heads."""
    form = sizes.pick(0, 1, 2, 3, p=(0.25, 0.45, 0.2, 0.1))
    if form == 0:
        shape: tuple[int, ...] = (1, sizes.log_uniform(4, 400), sizes.log_uniform(2, 512))
    elif form == 1:
        shape = (1, sizes.log_uniform(2, 128), sizes.log_uniform(2, 64), sizes.log_uniform(2, 64))
    elif form == 2:
        tokens = sizes.log_uniform(4, 196)
        shape = (1, sizes.pick(1, 2, 4, 8), tokens, tokens)
    else:
        shape = (1, sizes.log_uniform(2, 1000))
    axis = len(shape) - 1 if form == 2 else sizes.pick(*range(1, len(shape)))
    layer = nn.LogSoftmax(axis) if sizes.chance(0.1) else nn.Softmax(axis)
    return layer, shape
