"""Random sizes of blocks: channels, images and activations, each drawn as networks have them."""

from dataclasses import dataclass
from math import isqrt

import numpy as np

#: Multiply-accumulates that a compiler lays out in less than seconds.
LIGHT_MACS = 120_000_000
#: How often each activation follows an operator inside a network.
_USUAL = {
    "relu": 0.32,
    "relu6": 0.25,
    "silu": 0.18,
    "hardswish": 0.15,
    "gelu": 0.03,
    "leaky_relu": 0.02,
    "hardsigmoid": 0.01,
    "sigmoid": 0.01,
    "tanh": 0.01,
    "elu": 0.005,
    "prelu": 0.005,
    "mish": 0.005,
    "softplus": 0.005,
}
#: The same where the activation is what a block is drawn for.
_ALL = dict.fromkeys(_USUAL, 1.0) | {"relu": 0.5, "relu6": 0.5, "silu": 1.5, "hardswish": 1.5}


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Draws from `rng`. Sizes are log-uniform: a network halves its image from stage to stage."""

    rng: np.random.Generator
    channel_multiple: int

    def log_uniform(self, low: int, high: int) -> int:
        """An int from `low` to `high`, both included."""
        return int(np.exp(self.rng.uniform(np.log(low), np.log(high + 1))))

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return bool(self.rng.random() < probability)

    def pick(self, *options: int, p: tuple[float, ...] | None = None) -> int:
        """One of `options`, all alike unless `p` gives their probabilities."""
        return int(self.rng.choice(options, p=p))

    def name(self, *options: str) -> str:
        """One of `options`, all alike."""
        return str(self.rng.choice(options))

    def side(self) -> int:
        """Height of an image inside a network: mostly 2-48, up to 112."""
        return self.log_uniform(2, 48 if self.chance(0.8) else 112)

    def image(self) -> tuple[int, int]:
        """Height and width; one in ten is not square."""
        height = self.side()
        return (height, self.side()) if self.chance(0.1) else (height, height)

    def light_image(
        self, macs_per_position: float, low: int = 4, high: int = 160
    ) -> tuple[int, int]:
        """Height and width whose arithmetic stays below `LIGHT_MACS`; one in four is not square.

        The smallest image is `low`, however much arithmetic a position takes.
        """
        light = isqrt(int(LIGHT_MACS / max(1.0, macs_per_position)))
        most = max(low, min(high, light))
        height = self.log_uniform(low, most)
        return (height, self.log_uniform(low, most)) if self.chance(0.25) else (height, height)

    def light_length(self, macs_per_position: float, low: int = 1, high: int = 400) -> int:
        """A number of tokens or time steps whose arithmetic stays below `LIGHT_MACS`."""
        return self.log_uniform(low, max(low, min(high, int(LIGHT_MACS / macs_per_position))))

    def channels(self, low: int = 8, high: int = 0) -> int:
        """Six of ten are multiples of what the accelerator runs in parallel."""
        value = self.log_uniform(low, high or (160 if self.chance(0.8) else 320))
        multiple = self.channel_multiple
        return max(multiple, round(value / multiple) * multiple) if self.chance(0.6) else value

    def channels_after(self, channels: int, stride: int) -> int:
        """Most blocks of stride 1 keep the channels; the others change them by up to 2.5."""
        if stride == 1 and self.chance(0.6):
            return channels
        low, high = max(8, int(channels * 0.6)), min(320, max(9, int(channels * 2.5)))
        return self.channels(min(low, high), high)

    def activation(self) -> str:
        """ReLU and ReLU6 mostly, which accelerators apply on the way out, then SiLU."""
        return self._weighted(_USUAL)

    def any_activation(self) -> str:
        """Each activation often enough to learn what it costs."""
        return self._weighted(_ALL)

    def _weighted(self, shares: dict[str, float]) -> str:
        weights = np.array(list(shares.values()))
        return str(self.rng.choice(list(shares), p=weights / weights.sum()))
