"""Weights on their way, by hand arithmetic; networks and their pieces."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nas_ray
from nas_ray.estimate.building import traced
from nas_ray.estimate.hardware import read_hardware
from nas_ray.estimate.memory import peak_memory_bytes, piece_of
from nas_ray.estimate.peak import peaks
from nas_ray.estimate.skeleton import pieces
from nas_ray.estimate.staging import Work, copied, cycles
from nas_ray.graph import subgraphs
from search_spaces import classification

DEVICE = read_hardware(Path(nas_ray.__file__).parent / "devices" / "ethos-u85-2048" / "device.toml")

#: Times that hand arithmetic can follow: a copy takes 100 cycles and one a byte.
STAGING = replace(
    DEVICE.staging,
    far_latency_cycles=100.0,
    near_latency_cycles=0.0,
    copy_rate=1.0,
    stream_rate=1.0,
    near_rate=100.0,
)
#: 1,600 bytes for 32 channels, read twice. 16 channels take 10,000 cycles of arithmetic, and what
#: ends waits a quarter of that for its last outputs.
WORK = Work(
    stored=1600.0,
    passes=2.0,
    channels=32.0,
    alone=25_000.0,
    staged=25_000.0,
    blocks=1.0,
    block=32.0,
    micro=16.0,
    arithmetic=10_000.0,
    output=0.0,
    written=0.0,
    read=0.0,
    first_write=0.0,
)


def one(work):
    return Work(*np.array([work]).T)


@pytest.mark.parametrize(
    ("changes", "hidden", "expected"),
    [
        ({}, 5000.0, (1600, 1600, 1600, 25_000)),
        ({}, 400.0, (1600, 800, 800, 12_500)),
        ({"stored": 0.0}, 5000.0, (0, 0, 0, 25_000)),
        ({"alone": 500.0, "arithmetic": 200.0, "passes": 1.0}, 0.0, (0, 0, 0, 500)),
        ({}, -np.inf, (1600, 0, 800, 12_500)),
        ({"passes": 1.0}, -np.inf, (0, 0, 0, 25_000)),
        (
            {"channels": 64.0, "alone": 2250.0, "staged": 2250.0, "arithmetic": 500.0},
            400.0,
            (1200, 400, 400, 625),
        ),
    ],
    ids=[
        "hidden_whole:one_buffer_ahead",
        "hidden_in_part:the_first_channels_ahead_and_the_others_in_a_second_buffer",
        "no_weights",
        "read_once_and_sooner_from_afar",
        "first_pass:nothing_is_copied_before_it",
        "first_pass:read_once_it_does_not_wait",
        "three_slices_take_turns",
    ],
)
def test_what_is_copied_by_hand(changes, hidden, expected):
    """Most, early and late bytes, and the cycles that hide the next copy."""
    copy = copied(one(WORK._replace(**changes)), np.array([hidden]), STAGING)
    assert tuple(int(part[0]) for part in copy) == expected


def test_weights_that_come_no_sooner_are_not_copied():
    copy = copied(one(WORK), np.array([400.0]), replace(STAGING, copy_rate=1e-3))
    assert copy.most[0] == 0


def test_time_is_arithmetic_output_or_what_is_waited_for():
    """One step of 10,000 cycles; with outputs of 1,000 cycles a channel these are the longer."""
    half = np.array([16.0])
    assert cycles(one(WORK), half, 0.0, ends=False)[0] == 10_000
    assert cycles(one(WORK), half, 0.0)[0] == 12_500
    slow = one(WORK._replace(output=1000.0))
    assert cycles(slow, half, 0.0)[0] == 16 * 1000 + 10_000
    waiting = one(WORK._replace(read=70.0, first_write=30.0))
    assert cycles(waiting, half, 0.0)[0] == 12_500 + 70 + 30
    assert cycles(waiting, half, 0.0, begins=False, ends=False)[0] == 10_000


@pytest.mark.parametrize(
    "arguments",
    [{}, {"in_channels": 3, "channel_multiple": 8, "resolutions": (48, 64, 96)}],
    ids=["as_it_is", "other_arguments"],
)
def test_pieces_together_are_the_network(arguments):
    """Thirty networks of the classification space, all at once from their pieces."""
    space, rng = classification.space(**arguments), np.random.default_rng(3)
    graphs = [traced(space, space.sample(rng)) for _ in range(30)]
    found = [[*pieces(graph, subgraphs(graph)).values()] for graph in graphs]
    known = [piece_of(piece, DEVICE) for one in found for piece in one]
    ids = np.full((len(graphs), 2 * max(map(len, found))), -1, dtype=np.int32)
    first = 0
    for row, one in zip(ids, found, strict=True):
        # A gap behind each piece, as where a position stays empty.
        row[: 2 * len(one) : 2] = range(first, first + len(one))
        first += len(one)
    expected = [peak_memory_bytes(graph, DEVICE) for graph in graphs]
    assert peaks(known, ids, DEVICE.staging).tolist() == expected
    largest = [max(peak_memory_bytes(piece, DEVICE) for piece in one) for one in found]
    assert expected != largest
