"""Rules for what the host runs: what they say, and that every mistake in one is refused by name."""

import re
import tomllib
from pathlib import Path

import pytest
import torch
from torch import nn

from nas_ray.errors import DeviceError
from nas_ray.estimate.host_rules import OPERATOR_KINDS, host_operators, read_host_rules
from nas_ray.graph import parse_signature, trace
from nas_ray.graph.vocabulary import ELEMENTWISE, PLAIN

POOL = "1x8x{side}x{side}; avg_pool 0 > 1x8x4x4 k=3x3 s={stride}x{stride}"


def read(text: str):
    return read_host_rules(Path("device.toml"), tomllib.loads(text))


def rule(lines: str) -> str:
    return f'[[host]]\nkind = "avg_pool"\nreason = "so"\n{lines}\n'


@pytest.mark.parametrize(
    ("lines", "holds"),
    # Of a pooling of 3 x 3 pixels, stride 2, from 9 x 9 to 4 x 4.
    [
        ("", True),
        ("when = { step = 2 }", True),
        ("when = { step = [1, 3] }", False),
        ("when = { step = { above = 1 } }", True),
        ("when = { step = { above = 2 } }", False),
        ("when = { step = { above = 1, below = 3 } }", True),
        ("when = { step = { below = 2 } }", False),
        ("when = { step = 2, kernel_area = 8 }", False),
        ("when = [{ step = 3 }, { kernel_area = 9 }]", True),
        ("unless = { step = 2 }", False),
        ("unless = { step = 2, kernel_area = 8 }", True),
        ("unless = [{ step = 3 }, { kernel_area = 9 }]", False),
        ("when = { step = 2 }\nunless = { width = 8 }", True),
        ('when = { mode = "" }', True),
        ('when = { mode = ["nearest"] }', False),
    ],
)
def test_a_rule_holds_where_one_case_of_when_does_and_none_of_unless(lines, holds):
    graph = parse_signature(POOL.format(side=9, stride=2))
    assert bool(host_operators(graph, read(rule(lines)))) == holds


def test_the_operators_are_named_with_the_reason_of_the_first_rule_that_holds():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.PixelShuffle(2), nn.MaxPool2d(2), nn.AvgPool2d(2))
    graph = trace(model, torch.zeros(1, 3, 16, 16))
    rules = read(
        '[[host]]\nkind = ["max_pool", "conv"]\nwhen = { kernel_area = 4 }\nreason = "first"\n'
        '[[host]]\nkind = ["depth_to_space", "max_pool"]\nreason = "second"\n'
    )
    found = [(one.name, one.kind, one.reason) for one in host_operators(graph, rules)]
    assert found == [
        ("depth_to_space_1", "depth_to_space", "second"),
        ("max_pool_2", "max_pool", "first"),
    ]


def test_a_profile_without_rules_leaves_nothing_to_the_host():
    assert read("") == ()
    assert host_operators(parse_signature(POOL.format(side=9, stride=2)), ()) == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("host = 3", "host must be a list of sections [[host]], but got 3"),
        ('[host]\nkind = "conv"', "host must be a list of sections"),
        ('[[host]]\nreason = "so"', "kind must be one kind of operator or a list of them, but got"),
        (
            '[[host]]\nkind = "depthwise"\nreason = "so"',
            "got 'depthwise'; did you mean 'depthwise_conv'?",
        ),
        ('[[host]]\nkind = []\nreason = "so"', "kind must be one kind"),
        ('[[host]]\nkind = "conv"', "reason must say in a few words why the host runs it"),
        (rule("whenever = { step = 2 }"), "unknown key 'whenever', did you mean 'when'?"),
        (rule("when = { stpe = 2 }"), "when: unknown attribute 'stpe', did you mean 'step'?"),
        (rule("when = 3"), "when must be a table of conditions"),
        (rule("unless = [{}]"), "unless must be a table of conditions"),
        (rule('when = { step = "2" }'), "step is compared with numbers, or"),
        (rule("when = { step = [] }"), "step is compared with numbers, or"),
        (rule("when = { step = true }"), "step is compared with numbers, or"),
        (rule("when = { mode = 1 }"), "mode is compared with texts, but got 1"),
        (rule("when = { mode = { above = 1 } }"), "mode is compared with texts"),
        (rule("when = { step = { over = 1 } }"), "step is bounded by numbers `above` and `below`"),
        (rule('when = { step = { above = "1" } }'), "but got above = '1'"),
        (rule("when = { step = {} }"), "step has no bound"),
    ],
)
def test_a_mistake_is_refused_with_its_section_its_key_and_the_way_out(text, message):
    section = "" if text.startswith(("host", "[host]")) else r"\[\[host\]\] number 1"
    with pytest.raises(DeviceError, match=f"device.toml: {section}.*{re.escape(message)}"):
        read(text)


def test_the_second_section_is_called_the_second():
    with pytest.raises(DeviceError, match=r"\[\[host\]\] number 2: unknown key 'wen'"):
        read(rule("") + rule("wen = { step = 2 }"))


def test_rules_may_be_about_every_kind_that_tracing_knows():
    """But for those that functions of the vocabulary name, which are listed here by hand."""
    named = {
        *("conv", "depthwise_conv", "transposed_conv", "linear", "matmul", "max_pool", "avg_pool"),
        *("mean", "softmax", "layer_norm", "batch_norm", "activation", "concat", "slice", "pad"),
        *("resize", "transpose", "flip", "repeat"),
    }
    assert set(OPERATOR_KINDS) == {*named, *ELEMENTWISE.values(), *PLAIN.values()}
