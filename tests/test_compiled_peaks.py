"""Peak memory beside what the compiler says of the same network, one of each kind.

The bytes are those of ethos-u-vela 5.2.0, 2026-11-30, Gaussian weights of seed 0: estimates of a
compiler, no measurements. Images have 24 to 96 pixels, so that copies of weights count.
"""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

import nas_ray
from nas_ray.estimate.hardware import read_hardware
from nas_ray.estimate.memory import peak_memory_bytes
from nas_ray.graph import trace

DEVICES = ("ethos-u85-2048", "ethos-u85-1024", "ethos-u65-512", "ethos-u55-256")
HARDWARE = {
    name: read_hardware(Path(nas_ray.__file__).parent / "devices" / name / "device.toml")
    for name in DEVICES
}


def conv(before, after, kernel=3, stride=1, groups=1, activation=nn.ReLU):
    layer = nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups)
    return nn.Sequential(layer, activation()) if activation else layer


class Stacked(nn.Module):
    def __init__(self, *branches):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], 1)


class Ghost(nn.Module):
    def __init__(self, before, after):
        super().__init__()
        self.first = conv(before, after // 2, 1)
        self.cheap = conv(after // 2, after // 2, groups=after // 2)

    def forward(self, x):
        first = self.first(x)
        return torch.cat([first, self.cheap(first)], 1)


class Mixed(nn.Module):
    def __init__(self, channels, kernels):
        super().__init__()
        self.part = channels // len(kernels)
        self.branches = nn.ModuleList(
            conv(self.part, self.part, kernel, groups=self.part) for kernel in kernels
        )

    def forward(self, x):
        parts = zip(self.branches, x.split(self.part, 1), strict=True)
        return torch.cat([branch(part) for branch, part in parts], 1)


class Padded(nn.Module):
    def __init__(self, before, after):
        super().__init__()
        self.inner = nn.Conv2d(before, after, 3, 2)

    def forward(self, x):
        return functional.relu(self.inner(functional.pad(x, (0, 1, 0, 1))))


class Dense(nn.Module):
    """Each layer begins with a batch norm of all before it."""

    def __init__(self, before, growth, layers):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm2d(before + n * growth),
                nn.ReLU(),
                nn.Conv2d(before + n * growth, growth, 3, 1, 1),
            )
            for n in range(layers)
        )

    def forward(self, x):
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return x


class UNet(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.down1, self.down2, self.down3 = (
            conv(3, c),
            conv(c, 2 * c, 3, 2),
            conv(2 * c, 4 * c, 3, 2),
        )
        self.up2, self.up1, self.last = conv(6 * c, 2 * c), conv(3 * c, c), nn.Conv2d(c, 4, 1)

    def forward(self, x):
        first = self.down1(x)
        second = self.down2(first)
        x = functional.interpolate(self.down3(second), scale_factor=2, mode="bilinear")
        x = functional.interpolate(
            self.up2(torch.cat([x, second], 1)), scale_factor=2, mode="bilinear"
        )
        return self.last(self.up1(torch.cat([x, first], 1)))


class Gated(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, channels, ratio, gate):
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // ratio, 1)
        self.excite, self.gate = nn.Conv2d(channels // ratio, channels, 1), gate

    def forward(self, x):
        pooled = functional.adaptive_avg_pool2d(x, 1)
        return x * self.gate(self.excite(functional.relu(self.squeeze(pooled))))


class Masked(nn.Module):
    """A gate of one channel."""

    def __init__(self, channels):
        super().__init__()
        self.inner = nn.Conv2d(channels, 1, 7, padding=3)

    def forward(self, x):
        return x * torch.sigmoid(self.inner(x))


class Cropped(nn.Module):
    def forward(self, x):
        return x[:, :, 2:-2, 2:-2]


S = nn.Sequential
#: Name, network, shape of the input, bytes on DEVICES.
CASES = [
    (
        "convolutions", S(conv(3, 32), conv(32, 64, 3, 2), conv(64, 96, 5, 2)), (1, 3, 64, 64),
        (285_296, 354_528, 352_192, 282_928),
    ),
    (
        "many channels", S(conv(16, 128, 1), conv(128, 128), conv(128, 32, 1)), (1, 16, 14, 14),
        (54_208, 54_208, 183_440, 150_096),
    ),
    (
        "grouped",
        S(conv(3, 32, 3, 2), conv(32, 64, 3, 1, 4), conv(64, 64, 3, 2, 8), conv(64, 32, 1)),
        (1, 3, 56, 56), (101_440, 101_440, 101_248, 101_040),
    ),
    (
        "concatenation", S(conv(3, 16), Stacked(conv(16, 16), conv(16, 32, 1)), conv(48, 16, 1)),
        (1, 3, 32, 32), (69_312, 69_376, 69_120, 69_040),
    ),
    (
        "concatenation, odd channels",
        S(conv(3, 12), Stacked(conv(12, 20), conv(12, 9, 1)), conv(29, 16, 1)),
        (1, 3, 32, 32), (49_552, 49_552, 49_360, 49_088),
    ),
    (
        "ghost", S(conv(3, 16), Ghost(16, 32), Ghost(32, 64), conv(64, 16, 1)), (1, 3, 32, 32),
        (99_552, 99_552, 99_408, 99_392),
    ),
    (
        "mixed kernels", S(conv(3, 32), conv(32, 96, 1), Mixed(96, (3, 5, 7)), conv(96, 32, 1)),
        (1, 3, 32, 32), (202_320, 202_320, 201_520, 201_504),
    ),
    (
        "padding", S(Padded(3, 32), conv(32, 16, 1)), (1, 3, 96, 96),
        (111_616, 111_616, 111_296, 111_232),
    ),
    (
        "softmax", S(conv(16, 32), nn.Softmax(1), conv(32, 16, 1)), (1, 16, 32, 32),
        (331_776,) * 4,
    ),
    (
        "silu", S(*(conv(*c, activation=nn.SiLU) for c in ((3, 32), (32, 64, 1), (64, 16, 1)))),
        (1, 3, 32, 32), (132_320, 132_320, 132_192, 132_176),
    ),
    (
        "dense", S(conv(3, 16), Dense(16, 16, 3), conv(64, 32, 1)), (1, 3, 32, 32),
        (171_120, 171_120, 171_264, 171_248),
    ),
    ("u-net", UNet(8), (1, 3, 64, 64), (212_992, 212_992, 182_976, 182_912)),
    (
        "transposed", S(conv(3, 32), nn.ConvTranspose2d(32, 32, 2, 2), nn.ReLU(), conv(32, 16)),
        (1, 3, 24, 24), (152_368, 152_368, 114_912, 114_896),
    ),
    (
        "gates",
        S(conv(3, 32), Gated(32, 4, nn.Sigmoid()), conv(32, 64, 3, 2),
          Gated(64, 8, nn.Hardsigmoid()), conv(64, 16, 1)),
        (1, 3, 40, 40), (102_432, 112_224, 119_584, 119_568),
    ),
    (
        "mask", S(conv(3, 32), Masked(32), conv(32, 16)), (1, 3, 32, 32),
        (71_456, 71_456, 70_880, 70_848),
    ),
    (
        "crop", S(conv(3, 32), Cropped(), conv(32, 16)), (1, 3, 32, 32),
        (66_352, 66_352, 65_760, 65_744),
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("model", "shape", "compiled"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_every_kind_of_network_needs_what_the_compiler_says(model, shape, compiled):
    graph = trace(model.eval(), torch.zeros(shape))
    found = [peak_memory_bytes(graph, HARDWARE[name]) for name in DEVICES]
    assert found == pytest.approx(compiled, rel=0.03)
