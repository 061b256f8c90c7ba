"""The rules of the Ethos-U devices for what the host runs, against the compiler itself.

Around each limit one operator that keeps to it and one that does not; the compiler says for each
of the four devices how many operators it leaves to the host.
"""

import pytest
import torch
from torch import nn
from torch.nn import functional

pytest.importorskip("ethosu", reason="the compiler ethos-u-vela is not installed")

from nas_ray.device import device_folder
from nas_ray.estimate.hardware import read_hardware
from nas_ray.estimate.host_rules import host_operators
from nas_ray.graph import trace
from nas_ray.measure.vela import vela

U55, U85 = ("ethos-u55-256", "ethos-u65-512"), ("ethos-u85-1024", "ethos-u85-2048")
IMAGE = (1, 8, 6, 6)


class Does(nn.Module):
    """A network of one function."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def resized(mode, *, size=None, factor=None, corners=None, image=IMAGE):
    def function(x):
        options = {} if corners is None else {"align_corners": corners}
        return functional.interpolate(x, size=size, scale_factor=factor, mode=mode, **options)

    return Does(function), image


def tokens(function):
    """`function` of tokens `(1, 12, 8)` that come from a linear layer."""
    return nn.Sequential(nn.Linear(8, 8), Does(function)), (1, 12, 8)


CONVOLUTIONS = {
    "stride_3_padded": (nn.Conv2d(8, 8, 5, stride=3, padding=2), (1, 8, 33, 33)),
    "stride_4_plain": (nn.Conv2d(8, 8, 4, stride=4), (1, 8, 32, 32)),
    "stride_4_same_without_padding": (nn.Conv2d(8, 8, 3, stride=4, padding=1), (1, 8, 32, 32)),
    "stride_4_padded": (nn.Conv2d(8, 8, 7, stride=4, padding=3), (1, 8, 32, 32)),
    "stride_4_padded_apart": (nn.Conv2d(8, 8, 7, stride=4, padding=2), (1, 8, 32, 32)),
    "stride_4_dilated": (nn.Conv2d(8, 8, 3, stride=4, dilation=2), (1, 8, 32, 32)),
    "stride_4_one_output": (nn.Conv2d(8, 8, 7, stride=4, padding=3), (1, 8, 4, 4)),
    "stride_5_across": (nn.Conv2d(8, 8, (1, 9), stride=(1, 5), padding=(0, 4)), (1, 8, 8, 40)),
    "signal_stride_4": (nn.Conv1d(8, 8, 4, stride=4), (1, 8, 64)),
    "signal_stride_4_padded": (nn.Conv1d(8, 8, 9, stride=4, padding=4), (1, 8, 64)),
    "kernel_65": (nn.Conv2d(8, 8, 65), (1, 8, 70, 70)),
    "depthwise_stride_3": (nn.Conv2d(8, 8, 3, stride=3, groups=8), (1, 8, 33, 33)),
    "depthwise_stride_4": (nn.Conv2d(8, 8, 4, stride=4, groups=8), (1, 8, 32, 32)),
    "depthwise_stride_4_one_output": (nn.Conv2d(8, 8, 4, stride=4, groups=8), (1, 8, 4, 4)),
    **{
        f"transposed_{kernel}_by_{stride}": (nn.ConvTranspose2d(8, 8, kernel, stride), IMAGE)
        for kernel, stride in ((3, 1), (2, 2), (4, 2), (3, 3), (8, 4), ((1, 2), (1, 2)))
    },
    "transposed_cut": (nn.ConvTranspose2d(8, 8, 4, 2, padding=1), IMAGE),
    "transposed_signal": (nn.ConvTranspose1d(8, 8, 4, 2), (1, 8, 16)),
    "transposed_signal_by_4": (nn.ConvTranspose1d(8, 8, 8, 4, padding=2), (1, 8, 16)),
    "transposed_column": (nn.ConvTranspose2d(8, 8, (2, 1), (2, 1)), (1, 8, 6, 1)),
}
POOLINGS = {
    "average_7_padded": (nn.AvgPool2d(7, 1, 3), (1, 8, 16, 16)),
    "average_9_padded": (nn.AvgPool2d(9, 1, 4), (1, 8, 16, 16)),
    "average_9_plain": (nn.AvgPool2d(9, 1), (1, 8, 16, 16)),
    "average_9_padded_apart": (nn.AvgPool2d(9, 2, 3), (1, 8, 18, 18)),
    "average_of_256_rows": (nn.AvgPool2d((256, 1), 1), (1, 8, 300, 2)),
    "average_of_257_rows": (nn.AvgPool2d((257, 1), 1), (1, 8, 300, 2)),
    "average_of_300_columns": (nn.AvgPool2d((1, 300), 1), (1, 8, 2, 320)),
    "average_stride_4": (nn.AvgPool2d(4, 4), (1, 8, 16, 16)),
    "average_stride_5_padded": (nn.AvgPool2d(7, 5, 3), (1, 8, 24, 24)),
    "average_stride_5_padded_apart": (nn.AvgPool2d(7, 5, 2), (1, 8, 26, 26)),
    "maximum_stride_4_padded_apart": (nn.MaxPool2d(7, 4, 2), (1, 8, 32, 32)),
    "maximum_stride_4": (nn.MaxPool2d(4, 4), (1, 8, 16, 16)),
    "maximum_stride_4_padded": (nn.MaxPool2d(7, 4, 3), (1, 8, 16, 16)),
    "maximum_9_padded": (nn.MaxPool2d(9, 1, 4), (1, 8, 16, 16)),
    "maximum_of_257_rows": (nn.MaxPool2d((257, 1), 1), (1, 8, 300, 2)),
    "global_of_256_rows": (nn.AdaptiveAvgPool2d(1), (1, 8, 256, 256)),
    "global_of_257_rows": (nn.AdaptiveAvgPool2d(1), (1, 8, 257, 8)),
    "global_of_65537_columns": (nn.AdaptiveAvgPool1d(1), (1, 4, 65537)),
}
RESIZINGS = {
    **{f"bilinear_{n}": resized("bilinear", factor=n) for n in (2, 3, 4, 0.5)},
    "bilinear_1": resized("bilinear", size=(6, 6)),
    "bilinear_4_by_2": resized("bilinear", factor=(4.0, 2.0)),
    "bilinear_of_a_pixel": resized("bilinear", size=(5, 7), image=(1, 8, 1, 1)),
    "linear_2": resized("linear", factor=2, image=(1, 8, 16)),
    **{f"nearest_{n}": resized("nearest", factor=n) for n in (2, 3, 8, 16, 0.5)},
    "nearest_1": resized("nearest", size=(6, 6)),
    "nearest_4_by_2": resized("nearest", factor=(4.0, 2.0)),
    "nearest_of_a_pixel": resized("nearest", size=(5, 7), image=(1, 8, 1, 1)),
    "nearest_of_a_signal": resized("nearest", factor=2, image=(1, 8, 16)),
    **{
        f"corners_6_to_{side}": resized("bilinear", size=(side, side), corners=True)
        for side in (11, 12, 21, 41, 81)
    },
    "corners_of_a_pixel": resized("bilinear", size=(5, 7), corners=True, image=(1, 8, 1, 1)),
    "corners_of_a_row": resized("bilinear", size=(1, 11), corners=True, image=(1, 8, 1, 6)),
    "corners_of_a_row_to_2": resized("bilinear", size=(2, 11), corners=True, image=(1, 8, 1, 6)),
}
REDUCTIONS = {
    "mean_of_columns": (Does(lambda x: x.mean(3)), IMAGE),
    "mean_of_4096": (Does(lambda x: x.mean(3)), (1, 8, 2, 4096)),
    "mean_of_4097": (Does(lambda x: x.mean(3)), (1, 8, 2, 4097)),
    "mean_of_channels": (Does(lambda x: x.mean(1, keepdim=True)), IMAGE),
    "mean_of_channels_of_a_row": (Does(lambda x: x.mean(1, keepdim=True)), (1, 8, 1, 6)),
    "mean_of_everything": (Does(lambda x: x.mean((1, 2, 3), keepdim=True)), IMAGE),
    "mean_of_tokens": tokens(lambda x: x.mean(1)),
    "sum_of_channels": (Does(lambda x: x.sum(1, keepdim=True)), IMAGE),
    "maximum_of_channels": (Does(lambda x: x.amax(1, keepdim=True)), IMAGE),
    "sum_of_5000": (Does(lambda x: x.sum(3)), (1, 8, 2, 5000)),
    "softmax_of_65536_rows": (Does(lambda x: x.softmax(-1)), (1, 16, 4096, 4)),
    "softmax_of_more_rows": (Does(lambda x: x.softmax(-1)), (1, 17, 4096, 4)),
    "softmax_of_channels": (Does(lambda x: x.softmax(1)), (1, 4, 257, 256)),
    "layer_norm_of_4096": (nn.LayerNorm(4096), (1, 5, 4096)),
    "layer_norm_of_4097": (nn.LayerNorm(4097), (1, 5, 4097)),
    "group_norm": (nn.GroupNorm(2, 8), IMAGE),
    "group_norm_of_257_rows": (nn.GroupNorm(2, 8), (1, 8, 257, 4)),
    "group_norm_of_5000": (nn.GroupNorm(1, 5000), (1, 5000, 2, 2)),
}
OTHERS = {
    "pixel_shuffle": (nn.PixelShuffle(2), IMAGE),
    "pixel_unshuffle": (nn.PixelUnshuffle(2), IMAGE),
    "division": (Does(lambda x: x / x.sigmoid()), IMAGE),
    "flip": (Does(lambda x: x.flip(3)), IMAGE),
    "reflection": (nn.ReflectionPad2d(1), IMAGE),
    "repetition": (Does(lambda x: x.repeat(1, 1, 2, 2)), IMAGE),
    "every_second_channel": (Does(lambda x: x[:, ::2].relu()), IMAGE),
    "every_second_row": (Does(lambda x: x[:, :, ::2].relu()), IMAGE),
    "every_second_token": tokens(lambda x: x[:, ::2].relu()),
    "every_second_channel_of_tokens": tokens(lambda x: x[:, :, ::2].relu()),
    "windows": (
        Does(lambda x: x.view(1, 4, 7, 4, 7, 16).permute(0, 1, 3, 2, 4, 5).reshape(16, 49, 16)),
        (1, 784, 16),
    ),
    "many_windows": (
        Does(lambda x: x.view(1, 16, 7, 16, 7, 64).permute(0, 1, 3, 2, 4, 5).reshape(256, 49, 64)),
        (1, 12544, 64),
    ),
    "products": (Does(lambda x: x @ x.transpose(1, 2)), (1, 12, 8)),
    "products_of_70000": (Does(lambda x: x.transpose(1, 2) @ x), (1, 70000, 4)),
    "gelu": (nn.GELU(), IMAGE),
    "mish": (nn.Mish(), IMAGE),
}
CASES = {**CONVOLUTIONS, **POOLINGS, **RESIZINGS, **REDUCTIONS, **OTHERS}


@pytest.mark.parametrize("device", [*U55, *U85])
@pytest.mark.parametrize("name", CASES)
def test_what_the_rules_leave_to_the_host_the_compiler_does(device, name):
    model, shape = CASES[name]
    graph = trace(model.eval(), torch.empty(shape, device="meta"))
    hardware = read_hardware(device_folder(device) / "device.toml")
    compiled = vela(graph, {"clock_hz": hardware.clock_hz, **hardware.measure})
    ours = host_operators(graph, hardware.host)
    assert bool(ours) == (compiled.cpu_operators > 0), [one.reason for one in ours]


def test_devices_of_a_family_have_the_same_rules():
    rules = [read_hardware(device_folder(name) / "device.toml").host for name in (*U55, *U85)]
    assert rules[0] == rules[1] != rules[2] == rules[3]
    assert all(rules)
