"""Linear layers on tokens, mixers, attention and small vision transformers."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import nn

from .layers import Apply, Residual, conv, head, tokens
from .specimen import Specimen, specimen, together

#: Tokens, features, hidden features, layers.
_ALONE = (
    (49, 64, 128, 1),
    (64, 384, 384, 2),
    (196, 192, 768, 1),
    (256, 96, 288, 2),
    (100, 72, 40, 3),
)
#: Image side, patch, features, hidden, blocks.
_PATCHES = (
    (64, 8, 64, 256, 2),
    (112, 16, 192, 768, 2),
    (128, 8, 96, 192, 1),
    (96, 12, 144, 144, 3),
)
#: Image side, patch, features, hidden over tokens, hidden over features, blocks.
_MIXERS = ((64, 8, 64, 32, 128, 2), (112, 16, 96, 64, 384, 2), (128, 8, 128, 96, 256, 1))
#: Tokens, features, heads.
_ATTENTION = ((49, 64, 1), (64, 96, 3), (196, 64, 4), (144, 192, 6), (100, 40, 2))
#: Image side, patch, features, heads, blocks.
_TRANSFORMERS = ((64, 8, 64, 2, 2), (96, 16, 96, 3, 3), (128, 16, 192, 3, 2), (80, 16, 128, 1, 1))


class Attention(nn.Module):
    """Multi-head self-attention with one projection for queries, keys and values."""

    def __init__(self, width: int, heads: int, *, by_hand: bool = False) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.heads, self.by_hand = heads, by_hand

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, tokens, width)` to the same shape."""
        batch, count, width = x.shape
        qkv = self.qkv(x).reshape(batch, count, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        if self.by_hand:
            scores = query @ key.transpose(-2, -1) * (width // self.heads) ** -0.5
            y = scores.softmax(-1) @ value
        else:
            y = nn.functional.scaled_dot_product_attention(query, key, value)
        z: torch.Tensor = self.out(y.transpose(1, 2).reshape(batch, count, width))
        return z


class OnMaps(nn.Module):
    """Attention of an image with 1x1 convolutions and one head (Zhang et al., 2019)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query, self.key = (
            nn.Conv2d(channels, channels // 4, 1),
            nn.Conv2d(channels, channels // 4, 1),
        )
        self.value = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, C, H, W)` to the same shape."""
        query, key, value = (m(x).flatten(2) for m in (self.query, self.key, self.value))
        weights = torch.bmm(query.transpose(1, 2), key).softmax(-1)
        return x + torch.bmm(value, weights.transpose(1, 2)).view_as(x)


class Linearised(nn.Module):
    """Attention without a softmax: keys times values first (Cai et al., 2023)."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.qkv, self.heads = nn.Conv2d(channels, 3 * channels, 1, bias=False), heads
        self.out = conv(channels, channels, 1, activation=None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, C, H, W)` to the same shape."""
        batch, channels, height, width = x.shape
        shape = (batch, 3, self.heads, channels // self.heads, height * width)
        query, key, value = self.qkv(x).view(shape).unbind(1)
        context = value @ key.relu().transpose(-2, -1)
        y = (context @ query.relu()).view(batch, channels, height, width)
        z: torch.Tensor = x + self.out(y)
        return z


class Windows(nn.Module):
    """Self-attention inside windows of the image (Liu et al., 2021)."""

    def __init__(self, channels: int, window: int, heads: int) -> None:
        super().__init__()
        self.attention, self.window = Attention(channels, heads), window

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, C, H, W)` to the same shape; both sides divisible by the window."""
        batch, channels, height, width = x.shape
        side = self.window
        x = x.view(batch, channels, height // side, side, width // side, side)
        x = x.permute(0, 2, 4, 3, 5, 1).reshape(-1, side * side, channels)
        x = self.attention(x).view(batch, height // side, width // side, side, side, channels)
        return x.permute(0, 5, 1, 3, 2, 4).reshape(batch, channels, height, width)


class Transformer(nn.Module):
    """Patches, positions, layers and a classifier on the mean or on an extra token."""

    def __init__(self, side: int, patch: int, width: int, heads: int, *layers: nn.Module) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch)
        count = (side // patch) ** 2
        self.token = nn.Parameter(torch.zeros(1, 1, width)) if heads % 2 else None
        self.position = nn.Parameter(torch.zeros(1, count + heads % 2, width))
        self.layers = nn.Sequential(*layers, nn.LayerNorm(width))
        self.classifier = nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, 3, side, side)` to `(N, 10)`."""
        x = tokens(self.patches(x))
        if self.token is not None:
            x = torch.cat([self.token.expand(len(x), -1, -1), x], dim=1)
        x = self.layers(x + self.position)
        y: torch.Tensor = self.classifier(x.mean(1) if self.token is None else x[:, 0])
        return y


def mlp(width: int, hidden: int, activation: Callable[[], nn.Module] = nn.GELU) -> nn.Module:
    """Two linear layers."""
    return nn.Sequential(nn.Linear(width, hidden), activation(), nn.Linear(hidden, width))


def _normed(width: int, body: nn.Module) -> nn.Module:
    return Residual(nn.Sequential(nn.LayerNorm(width), body))


def _turned(body: nn.Module) -> nn.Module:
    """`body` on the other axis of `(N, tokens, width)`."""
    turn = Apply(lambda x: x.transpose(1, 2))
    return nn.Sequential(turn, body, Apply(lambda x: x.transpose(1, 2)))


def _alone(width: int, hidden: int, layers: int) -> nn.Module:
    return nn.Sequential(*(mlp(width, hidden, nn.ReLU) for _ in range(layers)))


def _patches(patch: int, width: int, hidden: int, blocks: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, width, patch, patch),
        Apply(tokens),
        *(Residual(mlp(width, hidden)) for _ in range(blocks)),
        Apply(lambda x: x.mean(1)),
        nn.Linear(width, 10),
    )


def _mixer(count: int, patch: int, width: int, few: int, many: int, blocks: int) -> nn.Module:
    layers: list[nn.Module] = []
    for _ in range(blocks):
        layers += [_normed(width, _turned(mlp(count, few))), _normed(width, mlp(width, many))]
    return nn.Sequential(
        *(nn.Conv2d(3, width, patch, patch), Apply(tokens), *layers, nn.LayerNorm(width)),
        *(Apply(lambda x: x.mean(1)), nn.Linear(width, 10)),
    )


def _transformer(side: int, patch: int, width: int, heads: int, blocks: int) -> nn.Module:
    layers: list[nn.Module] = []
    for _ in range(blocks):
        attention = Attention(width, heads, by_hand=heads != 3)
        layers += [_normed(width, attention), _normed(width, mlp(width, 2 * width))]
    return Transformer(side, patch, width, heads, *layers)


def _on_a_map(channels: int, attention: nn.Module) -> nn.Module:
    return nn.Sequential(
        conv(3, channels, 3, 4), attention, conv(channels, channels, 1), head(channels)
    )


class TorchAttention(nn.Module):
    """Torch's own multi-head attention; only the first of its results is used."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, tokens, width)` to the same shape."""
        y: torch.Tensor = self.attention(x, x, x, need_weights=False)[0]
        return y


def _torch_encoder(width: int) -> nn.Module:
    return nn.TransformerEncoderLayer(width, 4, 2 * width, activation="gelu", batch_first=True)


def _autoencoder(features: int, hidden: int, code: int) -> nn.Module:
    """Linear layers with batch norm down to a code and up again (MLPerf Tiny)."""

    def layer(before: int, after: int) -> nn.Module:
        return nn.Sequential(nn.Linear(before, after), nn.BatchNorm1d(after), nn.ReLU())

    return nn.Sequential(
        *(layer(features, hidden), layer(hidden, hidden), layer(hidden, code)),
        *(layer(code, hidden), nn.Linear(hidden, features)),
    )


def _linears() -> Iterator[Specimen]:
    build: Callable[[], nn.Module]
    for features, hidden, code in ((640, 128, 8), (100, 60, 10)):
        what = f"{features} to {code} features and back"
        build = partial(_autoencoder, features, hidden, code)
        yield specimen("linear", what, build, (1, features))
    for count, width, hidden, layers in _ALONE:
        what = f"{width} to {hidden} features and back, {layers} times, alone"
        yield specimen(
            "linear on tokens", what, partial(_alone, width, hidden, layers), (1, count, width)
        )
    for side, patch, width, hidden, blocks in _PATCHES:
        what = f"patches of {patch}, {width} to {hidden} features and back, {blocks} times"
        build = partial(_patches, patch, width, hidden, blocks)
        yield specimen("linear on tokens", what, build, (1, 3, side, side))
    for side, patch, width, few, many, blocks in _MIXERS:
        what = f"patches of {patch}, {width} features, hidden {few} and {many}, {blocks} blocks"
        build = partial(_mixer, (side // patch) ** 2, patch, width, few, many, blocks)
        yield specimen("mixer", what, build, (1, 3, side, side))


def _attentions() -> Iterator[Specimen]:
    build: Callable[[], nn.Module]
    for count, width, heads in _ATTENTION:
        what = f"{width} features, {heads} heads, alone"
        build = partial(Attention, width, heads, by_hand=heads % 2 == 0)
        yield specimen("attention", what, build, (1, count, width))
    what = "torch's own, 64 features, 4 heads"
    yield specimen("attention", what, partial(TorchAttention, 64, 4), (1, 81, 64))
    what = "torch's own encoder layer of 48 features"
    yield specimen("attention", what, partial(_torch_encoder, 48), (1, 64, 48))
    maps: tuple[tuple[str, int, Callable[[], nn.Module], int], ...] = (
        ("1x1 convolutions, 48 channels", 48, partial(OnMaps, 48), 64),
        ("without softmax, 64 channels, 4 heads", 64, partial(Linearised, 64, 4), 96),
        ("windows of 7, 64 channels, 2 heads", 64, partial(Windows, 64, 7, 2), 112),
        ("windows of 8, 32 channels, 1 head", 32, partial(Windows, 32, 8, 1), 128),
    )
    for what, channels, attention, side in maps:
        build = partial(_mapped, channels, attention)
        yield specimen("attention", what, build, (1, 3, side, side))
    for side, patch, width, heads, blocks in _TRANSFORMERS:
        what = f"patches of {patch}, {width} features, {heads} heads, {blocks} blocks"
        build = partial(_transformer, side, patch, width, heads, blocks)
        yield specimen("vision transformer", what, build, (1, 3, side, side))


def _mapped(channels: int, attention: Callable[[], nn.Module]) -> nn.Module:
    return _on_a_map(channels, attention())


SPECIMENS = together(_linears(), _attentions())
