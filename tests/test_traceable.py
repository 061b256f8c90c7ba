"""What `trace` says of an input in another layout, and which quantised modules it lets through."""

import inspect
import pkgutil
import warnings
from importlib import import_module

import pytest
import torch
import torch.ao.nn as quantisable
from torch import nn
from torch.ao.nn import quantized

from nas_ray.cli import main
from nas_ray.errors import TraceError
from nas_ray.graph import signature, trace
from nas_ray.graph.traceable import checked

#: Of torch.ao.nn.quantized: no packed weights, and a result for a float tensor (tried on each).
FLOAT = {"FloatFunctional", "FXFloatFunctional", "Dropout"}


def image_network():
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_channels_last_image_is_named_with_both_ways_out(channels):
    network = nn.Conv2d(channels, 8, 3)
    rule = (
        rf"The input \(1, 224, 200, {channels}\) looks channels-last; torch wants \(1, C, H, W\): "
        r"pass x.permute\(0, 3, 1, 2\), on the command line "
        rf"--input {channels}x224x200 rather than 224x200x{channels}"
    )
    with pytest.raises(TraceError, match=rule):
        trace(network, torch.zeros(1, 224, 200, channels))


@pytest.mark.parametrize(
    "shape",
    [(1, 3, 4, 3), (1, 6, 32, 32), (1, 5, 5, 5), (1, 50, 3)],
    ids=["either_axis", "other_channels", "no_image_channels", "signal"],
)
def test_another_mismatch_is_not_called_channels_last(shape):
    with pytest.raises(TraceError) as error:
        trace(nn.Sequential(nn.Flatten(), nn.Linear(7, 2)), torch.zeros(shape))
    assert "channels-last" not in str(error.value)


def test_a_network_that_wants_channels_last_gets_it():
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 8)

        def forward(self, x):
            return self.layer(x)

    graph = trace(Last(), torch.zeros(1, 16, 16, 3))
    assert graph.macs == 16 * 16 * 3 * 8


def test_the_command_line_says_how_to_write_the_shape(capsys):
    words = ("test_traceable:image_network", "--device", "ethos-u85-2048")
    assert main(["estimate", *words, "--input", "224x224x3"]) == 1
    assert "--input 3x224x224 rather than 224x224x3" in capsys.readouterr().err


def quantised_classes():
    """Every module class of the packages called `quantized` under torch.ao.nn."""
    found = {}
    for info in pkgutil.walk_packages(quantisable.__path__, "torch.ao.nn."):
        module = import_module(info.name)
        for name, value in vars(module).items():
            is_own = inspect.isclass(value) and value.__module__ == module.__name__
            if inspect.isabstract(value):
                continue
            if is_own and issubclass(value, nn.Module) and "quantized" in info.name.split("."):
                found[f"{module.__name__}.{name}"] = value
    return found


@pytest.mark.parametrize("name", quantised_classes())
def test_of_the_quantised_classes_the_float_ones_alone_are_accepted(name):
    """An instance without __init__: whether a class is refused depends on nothing in it."""
    kind = quantised_classes()[name]
    module = kind.__new__(kind)
    nn.Module.__init__(module)
    if kind.__name__ in FLOAT:
        assert checked(module, torch.zeros(1, 3))[0] is module
        return
    with pytest.raises(TraceError, match=r"is quantised already.*Pass the float network"):
        checked(module, torch.zeros(1, 3))


@pytest.mark.parametrize("functional", [quantized.FloatFunctional, quantized.FXFloatFunctional])
def test_a_float_functional_is_the_operator_that_it_calls(functional):
    class Residual(nn.Module):
        def __init__(self, add):
            super().__init__()
            self.layer = nn.Conv2d(3, 3, 1)
            self.adder = add

        def forward(self, x):
            return self.adder.add(self.layer(x), x)

    class Plus(nn.Module):
        def add(self, a, b):
            return a + b

    x = torch.zeros(1, 3, 8, 8)
    assert signature(trace(Residual(functional()), x)) == signature(trace(Residual(Plus()), x))


def test_a_network_is_accepted_before_its_conversion_and_refused_after():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.adder = nn.Conv2d(3, 3, 1), quantized.FloatFunctional()

        def forward(self, x):
            return self.adder.add_relu(self.layer(x), x)

    network, x = Residual().eval(), torch.zeros(1, 3, 8, 8)
    plain = signature(trace(network, x))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch means to drop it
        network.qconfig = torch.ao.quantization.default_qconfig
        converted = torch.ao.quantization.convert(torch.ao.quantization.prepare(network))
    assert plain.endswith("add 1,0 > 1x3x8x8 act=relu")
    with pytest.raises(TraceError, match=r"\((Conv2d|QFunctional)\) is quantised already"):
        trace(converted, x)


def test_a_class_of_ones_own_made_from_a_quantised_one_is_refused():
    class Mine(quantized.ReLU6):
        pass

    with pytest.raises(TraceError, match=r"\(Mine\) is quantised already"):
        trace(Mine(), torch.zeros(1, 3, 8, 8))
