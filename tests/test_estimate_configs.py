"""Many configs are looked up, and cost what each of them costs when it is built alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nas_ray.device import _WORTH_LEARNING, load_device
from nas_ray.errors import SpaceError
from nas_ray.estimate import lookup
from nas_ray.estimate.building import traced
from nas_ray.estimate.codes import Codebook
from nas_ray.estimate.cost import COST_COLUMNS
from nas_ray.estimate.dependence import NoFunctionError, smallest_set
from nas_ray.estimate.learning import LearnedSpace, NotLearnedError
from nas_ray.estimate.memory import peak_memory_bytes
from nas_ray.estimate.skeleton import pieces, put_together, take_apart
from nas_ray.graph import signature, subgraphs, trace
from nas_ray.space import SearchSpace
from search_spaces import classification
from search_spaces.blocks import InvertedBottleneck, convolution

COUNT = 1500
USED = {"width": (8, 16, 24), "kernel": (3, 5), "deep": (1, 2, 3), "wide": (1, 2)}
#: Seven choices that change nothing make 78,732 configs of 36 networks.
CHOICES = {**USED, **{f"free{n}": (0, 1, 2) for n in range(7)}}


@dataclass
class Plain:
    """A space that is no SearchSpace: it counts what it builds."""

    make: Callable[[Mapping[str, Any]], nn.Module]
    channels: int = 3
    built: int = 0

    __hash__ = None  # as of any dataclass that can be compared

    def build(self, config: Mapping[str, Any]) -> nn.Module:
        self.built += 1
        return self.make(config)

    def example_input(self, config: Mapping[str, Any]) -> torch.Tensor:
        return torch.zeros(1, self.channels, 16, 16)


def sampled(count: int, seed: int = 0, choices: Mapping[str, tuple] = CHOICES) -> list[dict]:
    rng = np.random.default_rng(seed)
    return [{k: v[rng.integers(len(v))] for k, v in choices.items()} for _ in range(count)]


def alone(device, space, config) -> list[float]:
    cost = device.estimate(space.build(config), space.example_input(config))
    return [getattr(cost, name) for name in COST_COLUMNS]


def assert_equal_to_the_last_bit(device, space, configs, rows) -> None:
    table = device.estimate_configs(space, configs)
    assert len(table) == len(configs)
    for n in rows:
        assert table.iloc[n].tolist() == alone(device, space, configs[n]), configs[n]


# Networks that are looked up


@pytest.mark.parametrize(
    "arguments",
    [{}, {"in_channels": 3, "channel_multiple": 8, "resolutions": (48, 64, 96)}],
    ids=["as_it_is", "other_arguments"],
)
def test_the_classification_space_is_looked_up_to_the_last_bit(small_device, arguments):
    space, rng = classification.space(**arguments), np.random.default_rng(0)
    configs = [space.sample(rng) for _ in range(COUNT)]
    assert_equal_to_the_last_bit(small_device, space, configs, rng.permutation(COUNT)[:40])
    assert 0 < networks_seen(space, small_device) < COUNT // 2


def test_weights_on_their_way_are_looked_up_too(small_device):
    """`look_up` gives up nowhere, and the peaks are those of the networks built."""
    assert small_device.hardware.staging
    space, rng = classification.space(), np.random.default_rng(1)
    configs = [space.sample(rng) for _ in range(COUNT)]
    found = lookup.look_up(space, configs, small_device.hardware, small_device._estimator)
    for n in rng.permutation(COUNT)[:40]:
        expected = peak_memory_bytes(traced(space, configs[n]), small_device.hardware)
        assert found["peak_memory_bytes"][n] == expected


def networks_seen(space, device) -> int:
    memory = lookup._REMEMBERED.get((id(space), device.name))
    return len(memory.learned) if memory else 0


def stacked(config: Mapping[str, Any], *more: nn.Module) -> nn.Sequential:
    width = config["width"]
    blocks = [
        InvertedBottleneck(width, width, kernel=config["kernel"], expansion=2, stride=1)
        for _ in range(config["deep"])
    ]
    return nn.Sequential(convolution(3, width, kernel=3), *blocks, *more)


def three_way(config: Mapping[str, Any]) -> nn.Module:
    """1 of 18 networks, told by three choices together, has a pooling more."""
    odd = config["width"] == 24 and config["deep"] == 3 and config["kernel"] == 5
    return stacked(config, *([nn.MaxPool2d(2)] if odd else []))


def reordered(config: Mapping[str, Any]) -> nn.Module:
    first, second = convolution(3, 16, kernel=3), convolution(16, 16, kernel=config["kernel"])
    third = convolution(16, 16, kernel=7, stride=2)
    order = [second, third] if config["wide"] == 1 else [third, second]
    network = nn.Sequential(first)
    for block in order:
        network.add_module("second" if block is second else "third", block)
    return network


def summed(config: Mapping[str, Any]) -> nn.Module:
    """As many convolutions as two choices sum up to."""
    return nn.Sequential(
        *(convolution(3 if n == 0 else 8, 8) for n in range(config["deep"] + config["wide"]))
    )


@pytest.mark.parametrize(
    "make", [stacked, three_way, reordered, summed], ids=lambda make: make.__name__
)
def test_other_spaces_are_looked_up_to_the_last_bit(small_device, make):
    """Every one of the 36 networks; which config stands for it is left to chance."""
    space, configs = Plain(make), sampled(COUNT)
    distinct = {str([config[name] for name in USED]): n for n, config in enumerate(configs)}
    assert_equal_to_the_last_bit(small_device, space, configs, list(distinct.values()))
    assert space.built < COUNT // 2


def test_what_is_outside_the_table_is_looked_up_to_the_last_bit():
    """A convolution of 31 is nowhere in the table, and its share depends on the network around."""
    # Fitted to a twentieth of its table, a device doubts its estimates of common blocks too.
    device = load_device("ethos-u85-2048")

    def make(config: Mapping[str, Any]) -> nn.Module:
        width = config["width"]
        wide = nn.Conv2d(width, width, 31, padding=15) if config["wide"] == 2 else nn.Identity()
        return stacked(config, wide)

    space, configs = Plain(make), sampled(COUNT)
    distinct = {str([config[name] for name in USED]): n for n, config in enumerate(configs)}
    assert_equal_to_the_last_bit(device, space, configs, list(distinct.values()))
    shares = device.estimate_configs(space, configs)["outside_share"].to_numpy()
    is_wide = np.array([config["wide"] == 2 for config in configs])
    assert shares[is_wide].min() > shares[~is_wide].max()


def test_what_the_host_runs_is_looked_up_to_the_last_bit(small_device):
    """The compiler knows no shuffled pixels: one more operator on the host for each."""

    def make(config: Mapping[str, Any]) -> nn.Module:
        shuffles = [nn.PixelUnshuffle(2), nn.PixelShuffle(2)] * (config["wide"] - 1)
        return stacked(config, *shuffles)

    space, configs = Plain(make), sampled(COUNT)
    distinct = {str([config[name] for name in USED]): n for n, config in enumerate(configs)}
    assert_equal_to_the_last_bit(small_device, space, configs, list(distinct.values()))
    counts = small_device.estimate_configs(space, configs)["host_operators"].tolist()
    assert counts == [2 * (config["wide"] - 1) for config in configs]


def test_a_network_in_a_hundred_is_found_by_three_choices(small_device):
    """1 of 125 configs has a pooling more, told by three choices of five values each."""
    choices = {"width": (8,), "kernel": (3,), "deep": (1,)}
    choices |= {f"x{n}": (0, 1, 2, 3, 4) for n in range(6)}
    configs = sampled(2500, choices=choices)
    odd = [n for n, c in enumerate(configs) if (c["x0"], c["x3"], c["x5"]) == (1, 2, 3)]
    assert 5 < len(odd) < 50

    def make(config: Mapping[str, Any]) -> nn.Module:
        rare = (config["x0"], config["x3"], config["x5"]) == (1, 2, 3)
        return stacked(config, *([nn.MaxPool2d(2)] if rare else []))

    table = small_device.estimate_configs(Plain(make), configs)
    macs, latency = table["macs"].to_numpy(), table["latency_ms"].to_numpy()
    assert len(set(macs)) == 1
    assert sorted(np.flatnonzero(latency != np.median(latency)).tolist()) == odd


def test_a_space_that_changes_between_requests_is_noticed(small_device):
    space, configs = Plain(stacked), sampled(COUNT)
    small_device.estimate_configs(space, configs)
    space.make = summed
    assert_equal_to_the_last_bit(small_device, space, configs, range(20))


# Networks that are not


class OverEverything(nn.Module):
    """The input is added to the result: nowhere is one tensor alone alive."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.body = stacked(config, nn.Conv2d(config["width"], 3, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x)


class Shared(nn.Module):
    """One convolution, used twice with something between."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.shared = convolution(3, 3, kernel=config["kernel"])
        self.between = nn.MaxPool2d(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.shared(self.between(self.shared(x)))


def by_order_of_keys(config: Mapping[str, Any]) -> nn.Module:
    """The first key says which convolution is first."""
    kernels = (3, 5) if next(iter(config)) == "width" else (5, 3)
    return nn.Sequential(*(convolution(3, 3, kernel=kernel) for kernel in kernels))


@pytest.mark.parametrize("make", [OverEverything, Shared], ids=lambda make: make.__name__)
def test_what_has_no_cuts_or_shares_weights_costs_the_same_too(small_device, make):
    space, configs = Plain(make), sampled(_WORTH_LEARNING)
    rows = np.random.default_rng(0).permutation(len(configs))[:20]
    assert_equal_to_the_last_bit(small_device, space, configs, rows)


def test_the_order_of_keys_is_a_choice_where_it_differs(small_device):
    space, configs = Plain(by_order_of_keys), sampled(COUNT)
    configs[::3] = [dict(reversed(config.items())) for config in configs[::3]]
    assert_equal_to_the_last_bit(small_device, space, configs, range(30))


def test_a_space_that_is_no_function_of_its_config_is_not_learned():
    widths = iter(range(8, 10**6))
    space = Plain(lambda config: convolution(3, next(widths)))
    with pytest.raises(NotLearnedError):
        learner(space).compositions(sampled(COUNT))


def test_a_value_without_a_hash_is_not_learned_and_costs_the_same(small_device):
    space = Plain(lambda config: convolution(3, config["widths"][0]))
    configs = [{"widths": [8 + n % 3]} for n in range(_WORTH_LEARNING)]
    assert_equal_to_the_last_bit(small_device, space, configs, range(6))


def learner(space) -> LearnedSpace:
    def look(config):
        graph = traced(space, config)
        return {p: take_apart(piece) for p, piece in pieces(graph, subgraphs(graph)).items()}

    return LearnedSpace(look)


# What is asked


def test_no_configs_are_an_empty_table(small_device):
    assert small_device.estimate_configs(classification.space(), []).shape == (
        0,
        len(COST_COLUMNS),
    )


@pytest.mark.parametrize("place", [0, 700, COUNT - 1])
def test_a_config_that_is_wrong_is_refused_as_alone(small_device, place):
    space, rng = classification.space(), np.random.default_rng(0)
    configs = [space.sample(rng) for _ in range(COUNT)]
    configs[place] = {**configs[place], "stage1.kernel": 4}
    with pytest.raises(SpaceError, match=r"'stage1.kernel' of space .* but got 4"):
        small_device.estimate_configs(space, configs)


def test_few_configs_are_all_built(small_device):
    space = Plain(stacked)
    small_device.estimate_configs(space, sampled(50))
    assert space.built == 50


def test_the_second_request_builds_few_networks_and_says_the_same(small_device):
    space, configs = Plain(stacked), sampled(3000)
    first = small_device.estimate_configs(space, configs)
    built = space.built
    again = small_device.estimate_configs(space, configs)
    assert again.equals(first)
    assert space.built - built <= 25
    assert built < 400


# The parts


def test_equal_values_of_different_type_are_different_choices():
    codes = Codebook().encode([{"a": 1}, {"a": 1.0}, {"a": True}, {"a": 1}, {}])
    assert len(set(codes[0].tolist())) == 4
    assert codes[0, 0] == codes[0, 3]


def test_the_smallest_set_is_found_among_random_choices():
    """Y = a xor b, seen 60 times among six other choices; neither alone says anything."""
    codes = np.random.default_rng(0).integers(0, 2, (8, 60)).astype(np.int32)
    assert smallest_set(codes, (codes[2] ^ codes[5]).astype(np.int64)) == (2, 5)


def test_two_values_for_one_config_are_no_function():
    with pytest.raises(NoFunctionError):
        smallest_set(np.zeros((2, 2), dtype=np.int32), np.array([0, 1]))


@pytest.mark.parametrize("seed", range(5))
def test_a_network_taken_apart_and_put_together_is_the_same(seed):
    space: SearchSpace = classification.space()
    config = space.sample(np.random.default_rng(seed))
    graph = trace(space.build(config), space.example_input(config))
    parts = subgraphs(graph)
    again = [put_together(*take_apart(p)) for p in pieces(graph, parts).values()]
    signatures = [signature(part) for piece in again for part in subgraphs(piece)]
    assert signatures == [signature(part) for part in parts]


def test_built_without_data_a_network_has_the_same_graph():
    space = classification.space()
    config = space.sample(np.random.default_rng(0))
    assert traced(space, config) == trace(space.build(config), space.example_input(config))
