"""The space of image classifiers: four stages of inverted bottlenecks, plain or fused.

One config, one network: no two configs build the same network, although a depth multiplier rounds.
Channels move in steps of twice the channel multiple, so a multiplier of at least 0.5 keeps them
apart after rounding; the width of the head is no choice and tells the multipliers apart; every
stage but the first halves the image, so a block cannot move from one stage to the next.
"""

from collections import OrderedDict
from functools import partial

import torch
from torch import Tensor, nn

from nas_ray.choice import Categorical, Channels, Choice, Ordinal
from nas_ray.errors import SpaceError
from nas_ray.space import Config, SearchSpace
from search_spaces.blocks import BLOCKS, convolution

STAGES = (1, 2, 3, 4)
_STRIDES = {1: 1, 2: 2, 3: 2, 4: 2}
# Lowest and highest number of channels at depth multiplier 1.
_WIDTHS = {1: (32, 64), 2: (32, 96), 3: (64, 128), 4: (64, 160)}
_DEPTHS = {1: (1, 2), 2: (1, 2, 3), 3: (1, 2, 3), 4: (0, 1, 2)}
_BASELINE = {1: (32, 1), 2: (32, 2), 3: (64, 2), 4: (96, 1)}  # channels and depth
_STEM_WIDTH = 16
_HEAD_WIDTH = 128
_DEPTH_MULTIPLIERS = (0.5, 0.75, 1.0)


def space(
    *,
    num_classes: int = 10,
    in_channels: int = 1,
    channel_multiple: int = 16,
    resolutions: tuple[int, ...] = (16, 24, 32),
) -> SearchSpace:
    """Classifiers of `(N, in_channels, H, W)` images of any size into `(N, num_classes)` logits.

    `channel_multiple` is the parallelism factor of the accelerator: every channel count of every
    network is a multiple of it, after the depth multiplier too. `resolutions` (pixels, rising) are
    the sizes to which a network may resize its images. The baseline is a hand-made MobileNetV2-like
    network: plain IBN throughout, depth multiplier 1, the largest resolution.

    Raises SpaceError for no resolutions, or one below 16, which four halvings leave nothing of.
    """
    if not resolutions or min(resolutions) < 16:
        raise SpaceError(
            f"`resolutions` must be one or more of at least 16 pixels, but got {resolutions}."
        )
    choices: dict[str, Choice] = {
        "resolution": Ordinal(*resolutions),
        "depth_multiplier": Ordinal(*_DEPTH_MULTIPLIERS),
    }
    baseline: Config = {"resolution": resolutions[-1], "depth_multiplier": 1.0}
    for stage in STAGES:
        choices |= _stage_choices(stage, channel_multiple)
        baseline |= _stage_baseline(stage, channel_multiple)
    return SearchSpace(
        name="classification",
        choices=choices,
        build=partial(
            Classifier,
            num_classes=num_classes,
            in_channels=in_channels,
            channel_multiple=channel_multiple,
        ),
        example_input=partial(_example_input, in_channels=in_channels),
        baseline=baseline,
    )


def _stage_choices(stage: int, channel_multiple: int) -> dict[str, Choice]:
    depths = _DEPTHS[stage]
    # Without blocks a stage has no channels, kernel, ... that could differ.
    when = {f"stage{stage}.depth": tuple(d for d in depths if d)} if 0 in depths else None
    step = 2 * channel_multiple
    low, high = (_rounded_up(width, step) for width in _WIDTHS[stage])
    return {
        f"stage{stage}.depth": Ordinal(*depths),
        f"stage{stage}.channels": Channels(low, high, multiple=step, when=when),
        f"stage{stage}.kernel": Ordinal(3, 5, when=when),
        f"stage{stage}.expansion": Ordinal(2, 4, 6, when=when),
        f"stage{stage}.block": Categorical("ibn", "fused_ibn", when=when),
    }


def _stage_baseline(stage: int, channel_multiple: int) -> Config:
    width, depth = _BASELINE[stage]
    return {
        f"stage{stage}.depth": depth,
        f"stage{stage}.channels": _rounded_up(width, 2 * channel_multiple),
        f"stage{stage}.kernel": 3,
        f"stage{stage}.expansion": 6,
        f"stage{stage}.block": "ibn",
    }


def _example_input(config: Config, *, in_channels: int) -> Tensor:
    resolution = int(config["resolution"])
    return torch.zeros(1, in_channels, resolution, resolution)


class Classifier(nn.Module):
    """The network of one config: stem, stages, head, mean over the image, linear classifier.

    Images of another size than its own `resolution` are resized bilinearly first, so that data
    need not know the config.
    """

    def __init__(
        self, config: Config, *, num_classes: int, in_channels: int, channel_multiple: int
    ) -> None:
        super().__init__()
        scaled = partial(_scaled, float(config["depth_multiplier"]), channel_multiple)
        self.resolution = int(config["resolution"])
        width = scaled(_STEM_WIDTH)
        layers = OrderedDict[str, nn.Module](
            stem=convolution(in_channels, width, kernel=3, stride=2)
        )
        for stage in STAGES:
            if config[f"stage{stage}.depth"]:
                channels = scaled(int(config[f"stage{stage}.channels"]))
                layers[f"stage{stage}"] = _stage(config, stage, width, channels)
                width = channels
        head = scaled(max(_HEAD_WIDTH, 8 * channel_multiple))
        layers["head"] = convolution(width, head)
        self.features = nn.Sequential(layers)
        self.classifier = nn.Linear(head, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """`(N, in_channels, H, W)` to logits `(N, num_classes)`."""
        size = (self.resolution, self.resolution)
        if images.shape[-2:] != size:
            images = nn.functional.interpolate(images, size, mode="bilinear")
        logits: Tensor = self.classifier(self.features(images).mean((2, 3)))
        return logits


def _stage(config: Config, stage: int, in_channels: int, channels: int) -> nn.Sequential:
    block = BLOCKS[str(config[f"stage{stage}.block"])]
    kernel, expansion = int(config[f"stage{stage}.kernel"]), int(config[f"stage{stage}.expansion"])
    blocks = [
        block(
            in_channels if n == 0 else channels,
            channels,
            kernel=kernel,
            expansion=expansion,
            stride=_STRIDES[stage] if n == 0 else 1,
        )
        for n in range(int(config[f"stage{stage}.depth"]))
    ]
    return nn.Sequential(*blocks)


def _scaled(depth_multiplier: float, channel_multiple: int, channels: int) -> int:
    """`channels` times the multiplier, to the nearest channel multiple (half up), at least one."""
    steps = int(channels * depth_multiplier / channel_multiple + 0.5)
    return max(1, steps) * channel_multiple


def _rounded_up(width: int, step: int) -> int:
    return -(-width // step) * step
