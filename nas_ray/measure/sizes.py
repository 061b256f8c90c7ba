"""Random sizes of blocks: channels, images and activations, each drawn as networks have them."""

from dataclasses import dataclass

import numpy as np


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

    def side(self) -> int:
        """Height of an image inside a network: mostly 2-48, up to 112."""
        return self.log_uniform(2, 48 if self.chance(0.8) else 112)

    def image(self) -> tuple[int, int]:
        """Height and width; one in ten is not square."""
        height = self.side()
        return (height, self.side()) if self.chance(0.1) else (height, height)

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
        """ReLU and ReLU6 mostly, which accelerators apply on the way out."""
        names = ["relu", "relu6", "hardswish", "silu"]
        return str(self.rng.choice(names, p=[0.45, 0.4, 0.11, 0.04]))
